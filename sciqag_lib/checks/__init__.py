"""05: a pair and its paper -> reasons to reject it; a processed output -> checks.parquet."""
