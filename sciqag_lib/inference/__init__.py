"""Items and a job -> ledger lines, resumable: prompts, the loop, forecasts, replies and the one judge."""
