"""A string -> spans, words, numbers, expansions."""
