"""From judged pairs to a dataset: filters, a split by paper, comparison, exports."""
