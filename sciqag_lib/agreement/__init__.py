"""08: tables of scores -> how far experts, judges and prompts agree."""
