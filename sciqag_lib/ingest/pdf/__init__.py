"""PDF -> Document: by the built-in reader, or by a GROBID service."""
