"""Calls of footnotes that JATS files leave unmarked: <sup>1</sup> in the text, <fn><label>1</label> at its end."""

import re
from typing import Any

from sciqag_lib.ingest.running_text.nodes import child_elements, find_all, local_name

# What is raised after these is an exponent.
_RAISED_WORDS = re.compile(
    r"\b(?:sin|cos|tan|log|exp|min|mol|m?mol|days?|inch(?:es)?|foot|feet|met(?:er|re)s?|miles?|years?|chi|eta|rho|tau"
    r"|sigma|lambda|omega|theta|alpha|beta|gamma|delta)\s*$",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{3}[.,;:!?)\]\"'’”]*$")
_SIDE_MATTER = {"table-wrap", "table", "contrib-group", "contrib", "aff", "fn", "ref", "ref-list", "disp-formula",
                "inline-formula", "author-notes"}  # fmt: skip
_TEXT = {"p", "title", "article-title"}


def mark_footnote_calls(article: Any) -> None:
    """Turn the first bare superscript with the label of an uncalled footnote into an <xref ref-type="fn">."""
    labels = _uncalled_labels(article)
    for node in find_all(article, "sup") if labels else []:
        text = "".join(node.itertext()).strip()
        if text in labels and _is_call(node):
            labels.remove(text)
            node.tag = node.tag.replace("sup", "xref")
            node.set("ref-type", "fn")


def _uncalled_labels(article: Any) -> set[str]:
    called = {word for node in find_all(article, "xref") for word in node.get("rid", "").split()}
    labels: set[str] = set()
    for note in find_all(article, "fn"):
        in_table = any(local_name(above) == "table-wrap" for above in note.iterancestors())
        label = next((child for child in child_elements(note) if local_name(child) == "label"), None)
        if label is not None and not in_table and note.get("id") not in called:
            labels.add("".join(label.itertext()).strip())
    return labels - {""}


def _is_call(node: Any) -> bool:
    above = {local_name(parent) for parent in node.iterancestors()}
    if above & _SIDE_MATTER or not above & _TEXT or next(child_elements(node), None) is not None:
        return False
    previous, parent = node.getprevious(), node.getparent()
    before = (parent.text if previous is None else previous.tail) or ""
    if not before and previous is not None:
        before = "".join(previous.itertext())
    return _WORD.search(before[-40:]) is not None and not _RAISED_WORDS.search(before[-20:])
