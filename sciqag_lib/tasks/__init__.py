"""A task as data: rows, prompt, reader of replies, measure and baselines."""
