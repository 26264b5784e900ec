"""SciQAG-24D: a model answers a test file, a judge and the references score it, run against run."""
