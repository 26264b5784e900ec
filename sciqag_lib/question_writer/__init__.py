"""A sentence of a paper -> questions in the sentence's own words, turned round by its parse; the sentence answers."""
