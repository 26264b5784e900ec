"""What all tests share: no network, no progress bars, and nbval as this project needs it.

Unit tests: pytest. Committed notebooks, their stored outputs compared: pytest --nbval --nbval-current-env notebooks
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent

# Set before anything is imported, since libraries read these once, and inherited by the notebooks' kernels.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["SCIQAG_RUNS"] = tempfile.mkdtemp(prefix="sciqag-")  # the notebooks write here, never over results
atexit.register(shutil.rmtree, os.environ["SCIQAG_RUNS"], ignore_errors=True)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def pytest_collectstart(collector: pytest.Collector) -> None:
    """nbval compares stderr too, where warnings and progress bars differ from one machine to the next."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr",)
