"""SciQAG: question-answer datasets from full-text papers, and the models trained and judged on them."""

__version__ = "0.1.0"
