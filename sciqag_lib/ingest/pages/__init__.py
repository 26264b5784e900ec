"""Web pages, and Markdown as a page of its own -> Document."""
