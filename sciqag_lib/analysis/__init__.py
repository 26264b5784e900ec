"""03, 04: a processed output -> similarity and coverage tables and figures."""
