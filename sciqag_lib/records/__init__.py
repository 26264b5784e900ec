"""Published JSON files <-> Paper, QARecord, QAPair, streamed."""
