"""Numbers -> estimates with intervals. Knows no files."""
