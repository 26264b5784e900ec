"""RACAR: a judge scores question-answer pairs on five dimensions, beside null baselines."""
