"""Marked-up text -> one line, for every format: citations, footnotes, scripts, formulas, tables, captions."""
