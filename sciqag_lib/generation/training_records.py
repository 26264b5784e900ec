r"""A model's training record from a prompt file: what the model sees at inference, and what it is to write.

{"instruction": "Read the scientific paper ...", "input": "The paper: ...", "output": "Keywords: ...\n\nQ1: ..."}
"""

from sciqag_lib.generation.parsing import format_pairs, split_keywords
from sciqag_lib.inference.prompts import PromptFile, fill
from sciqag_lib.records.papers import Paper


def fill_paper_record(prompt: PromptFile, paper: Paper) -> dict[str, str]:
    """A generator's record of a paper: the prompt with its text, and its keywords and pairs."""
    keywords = split_keywords(paper.keywords) if isinstance(paper.keywords, str) else paper.keywords
    values = {"paper": paper.txt, "title": paper.title, "num_pairs": str(len(paper.pairs)), "again": ""}
    return fill_record(prompt, values, format_pairs(keywords, paper.pairs))


def fill_record(prompt: PromptFile, values: dict[str, str], output: str) -> dict[str, str]:
    """Its instruction and input are those of the prompt."""
    parts = {key: fill(prompt.texts[key], values, f"prompt {prompt.name}, {key}") for key in ("instruction", "input")}
    return {**parts, "output": output}
