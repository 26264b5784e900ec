"""Published JSON files <-> Paper and its QAPairs, streamed."""
