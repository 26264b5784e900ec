"""Captions: "Figure 1. Oxygen by month. Means of six places.", and the DOIs that eLife prints below them.

Label, title and text are separated by ". ", because later stages split captions into sentences.
"""

import re
from collections import Counter

_ENDED = re.compile(r"[.:?!][)\]\"'”’]*$")
_LABEL = re.compile(
    r"(?:\w+\s)?[^\W\d]+\.?\s*(?:\S*\d\S*|[IVXLC]+|[A-Z])\s*[.:|]?"
)  # "Fig. 1", "Table S2.", "Table IV"
_OBJECT_DOI = re.compile(
    r"(?:(?<=[.?!)])\s|^)\s?(?:(?:object )?doi ?: ?(?:https?://(?:dx\.)?doi\.org/)?|https?://(?:dx\.)?doi\.org/)"
    r"10\.\d{4,9}/\S+$",
    re.IGNORECASE,
)


def join_caption(label: str, *parts: str) -> str:
    """Label and parts as sentences; a label that the first part repeats is given once.

    >>> join_caption("Fig. 1", "Fig 1 Oxygen by month", "Means of six places.")
    'Fig. 1. Oxygen by month. Means of six places.'
    """
    label = label.rstrip(" .:|–—-")
    texts = [part for part in parts if part]
    if label and texts:
        texts[0] = _drop_label(label, texts[0])
    return " ".join(text if _ENDED.search(text) else text + "." for text in [label, *texts] if text)


def join_cut_label(head: str, description: str) -> str:
    """As `join_caption`, for GROBID's heads, which may end anywhere: "Fig. 2 M", "-waves during the scan"."""
    if head and (len(head) > 40 or not _LABEL.fullmatch(head)):
        if description.startswith("-"):
            return join_caption("", head + description)
        if re.match(r"[a-z\d]", description):
            return join_caption("", f"{head} {description}")
    return join_caption(head, description)


def _drop_label(label: str, text: str) -> str:
    words = re.findall(r"\w+", label)
    if not words:
        return text
    found = re.match(r"\W{0,3}" + r"\W{0,3}".join(map(re.escape, words)), text, re.IGNORECASE)
    rest = text[found.end() :] if found else ""
    return re.sub(r"^\s?[.:|–—-]?\s?", "", rest) if found and re.match(r"\s?[.:|]|\s|$", rest) else text


def cut_object_doi(text: str, cut: Counter[str]) -> str:
    """A paragraph without the DOI of the figure or abstract itself, which may be all of it: "DOI: http://..."."""
    kept = _OBJECT_DOI.sub("", text)
    if kept != text:
        cut["object DOIs"] += len(text) - len(kept)
    return kept


def drop_object_doi(text: str, cut: Counter[str]) -> str:
    """A paragraph of the text as it is, or "" where it is nothing but such a DOI."""
    return text if _OBJECT_DOI.sub("", text) else cut_object_doi(text, cut)
