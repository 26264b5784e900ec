"""14, 15: papers and a model -> perplexity and passkey tables and figures."""
