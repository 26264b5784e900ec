"""Elements of a page that hold one part of a paper: an abstract, or a box that ends where its element ends.

<section class="abstract"><p>Oxygen fell.</p></section>                 an abstract, with or without a heading
<div class="boxed-text"><h3>Abbreviations</h3><p>O: oxygen</p></div>    cut; what follows is the outer section's
<p><b>2. Methods</b></p>                                                a heading
"""

import re
from typing import Any

from sciqag_lib.ingest.document import Block, Document
from sciqag_lib.ingest.front import LONGEST_ABSTRACT
from sciqag_lib.ingest.headings import (
    ABSTRACT_TITLES,
    find_abstract_language,
    find_boilerplate_kind,
    find_keywords_language,
    is_other_abstract,
)
from sciqag_lib.ingest.running_text.inline import clean_text
from sciqag_lib.ingest.running_text.nodes import child_elements, local_name

_BOXES = {"section", "fieldset", "details"}
_BOX_CLASS = re.compile(r"(?:[\w-]*[_-])?(?:box|boxed(?:-text)?|callout|panel|glossary|def-list|note)(?:[_-][\w-]*)?")
# Of an element that holds an abstract: PMC's and PLOS's "abstract", Wiley's "article-section__abstract".
_ABSTRACT_CLASS = re.compile(
    r"(?:[\w-]*[_-])?abstract(?:section|infull|[_-]?(?:text|content|section|full|inner|body|\d+))?"
)
_OTHER_ABSTRACT_CLASS = re.compile(r"\b(?:graphical|highlights?|teaser|summary|lay|plain|editors?|digest|visual)\b")


def has_class(node: Any, pattern: re.Pattern[str]) -> bool:
    """Whether one of an element's classes, in small letters, matches the pattern as a whole."""
    return any(pattern.fullmatch(name) for name in node.get("class", "").lower().split())


def cut_box(node: Any, document: Document, start: int) -> None:
    """Cut boilerplate that its own element ends: without a heading after it, what follows is the outer section's."""
    blocks = document.blocks[start:]
    kind = find_boilerplate_kind(blocks[0].text) if blocks and blocks[0].kind == "heading" else ""
    ends = local_name(node) in _BOXES or has_class(node, _BOX_CLASS) or kind == "abbreviations"
    names = [block.text for block in blocks if block.kind == "heading"]
    holds_front = any(_opens_abstract(name) or find_keywords_language(name) for name in names)
    if kind in ("", "publication history", "copyright") or len(names) == len(blocks) or not ends or holds_front:
        return
    size = next(
        (n for n, b in enumerate(blocks) if n and b.kind == "heading" and b.level <= blocks[0].level), len(blocks)
    )
    document.cut[kind] += sum(len(block.text) for block in blocks[:size])
    del document.blocks[start : start + size]


def is_bold(node: Any) -> bool:
    """Whether a paragraph is bold as a whole, as headings of old pages and of converters are."""
    parts = [child for child in child_elements(node) if local_name(child) != "br"]
    around = (node.text or "") + "".join(child.tail or "" for child in node)
    return len(parts) == 1 and local_name(parts[0]) in ("b", "strong") and not around.strip(" :.\u00a0\r\n\t")


def end_run_in(node: Any) -> None:
    """Write the colon that the page leaves to bold letters: "<b>Keywords</b> river; lake"."""
    first = next(child_elements(node), None)
    if first is None or (node.text or "").strip() or local_name(first) not in ("b", "strong", "span"):
        return
    name = clean_text("".join(first.itertext()))
    opens = find_keywords_language(name) or find_abstract_language(name)
    after = "".join(node.itertext())[len("".join(first.itertext())) :].strip()
    if opens and after and not name.endswith((":", ".")) and not after.startswith((":", ".", "-", "–", "—")):
        first.tail = ": " + (first.tail or "")


def is_abstract(node: Any) -> bool:
    """Whether an element says by its class, name or role that it holds an abstract."""
    names = f"{node.get('class', '')} {node.get('id', '')} {node.get('data-title', '')}".lower().split()
    return node.get("role") == "doc-abstract" or any(_ABSTRACT_CLASS.fullmatch(name) for name in names)


def group_abstract(node: Any, document: Document, start: int) -> None:
    """Mark what an abstract's element holds as one abstract, under a heading where the page prints none."""
    blocks = document.blocks[start:]
    size = sum(len(block.text) for block in blocks)
    if not any(block.kind == "paragraph" for block in blocks) or size > LONGEST_ABSTRACT:
        return
    names = [n for n, block in enumerate(blocks) if block.kind == "heading" and _opens_abstract(block.text)]
    before = document.blocks[start - 1] if start else None
    if not names and before is not None and before.kind == "heading" and _opens_abstract(before.text):
        start -= 1  # the heading is outside
    elif not names:
        is_other = _OTHER_ABSTRACT_CLASS.search(node.get("class", "").lower())
        code = (node.get("lang") or node.get("xml:lang") or "")[:2]
        name = "Highlights" if is_other else ABSTRACT_TITLES.get(code, "Abstract")
        document.blocks.insert(start, Block("heading", name, 2))
    for block in document.blocks[start + (names[0] if names else 0) :]:
        block.group = block.group or start + 1


def _opens_abstract(name: str) -> bool:
    return find_abstract_language(name) != "" or is_other_abstract(name)
