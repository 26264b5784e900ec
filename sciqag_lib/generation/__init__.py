"""02: papers.json -> processed_output.json and evidence.json."""
