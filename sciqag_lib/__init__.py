"""SciQAG: question-answer datasets from full-text papers, and the models trained and judged on them."""

import sys

__version__ = "0.1.0"

if "ipykernel" in sys.modules:  # other libraries' progress bars as text: as widgets they are dead in a saved notebook,
    import warnings  # and the notebook form does not heed TQDM_DISABLE

    import tqdm.notebook

    tqdm.notebook.IProgress = None
    warnings.filterwarnings("ignore", message="IProgress not found")
