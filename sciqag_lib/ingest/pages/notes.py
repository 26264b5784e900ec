"""Footnotes of a web page, and marks that only a reference list explains, cut before its text is read.

    settles.<sup><a href="#fn1">1</a></sup>             the mark goes, and the note it points to
    <section role="doc-endnotes">, <div class="footnotes">  the whole list goes
    in August<sup>12,13</sup>, in May.<sup>4</sup>      a citation's mark without a link goes; 10<sup>5</sup> stays

In tables marks and notes stay, because they explain the cells. What is cut is counted: "footnotes", "citation marks".
"""

import re
from collections import Counter
from typing import Any

from lxml import etree

from sciqag_lib.ingest.pages.tags import drop_controls
from sciqag_lib.ingest.running_text.inline import clean_text
from sciqag_lib.ingest.running_text.nodes import local_name

LONGEST_NOTE = 3000  # characters
_TO_NOTE = re.compile(
    r"#(?:[\w.-]{0,40}[-_.])?(?:_?ftn|fn|foot-?note|end-?note|note|en|n)[-_.:]?\d{1,3}", re.IGNORECASE
)
_MARK_CLASS = re.compile(r"(?:[\w-]*-)?(?:foot|end)?note-?(?:ref|reference|link|mark|anchor)|fn-?ref|footnote|xref-fn")
_NOTES_CLASS = re.compile(r"foot-?notes?(?:-(?:list|section|group))?|end-?notes|fn-group|ltx_role_footnote")
_TABLE_CLASS = re.compile(r"tw|table|tw-foot|[\w-]*table[\w-]*|fig(?:ure)?")
_NUMBERS = re.compile(r"\s*\[?\d{1,3}(?:\s*[,–-]\s*\d{1,3})*\]?\s*")
_UNITS = frozenset("meter meters metre metres second seconds inches miles hectare hectares".split())


def cut_notes(root: Any, cut: Counter[str]) -> None:
    """Remove footnotes with their marks, and unlinked marks of citations, from the tree."""
    targets = {node.get("id") or node.get("name"): node for node in root.iter(etree.Element) if _has_name(node)}
    for link in [node for node in root.iter("a") if _is_mark(node) and not _is_in_table(node)]:
        target = _find_note(targets.pop(link.get("href", "")[1:], None), link)
        holder = link.getparent()
        alone = local_name(holder) == "sup" and clean_text("".join(holder.itertext())) == clean_text(_text(link))
        _remove(holder if alone else link, cut, "footnotes")
        if target is not None:
            _remove(target, cut, "footnotes")
    for node in [node for node in root.iter(etree.Element) if _is_list_of_notes(node) and not _is_in_table(node)]:
        _remove(node, cut, "footnotes")
    for node in [node for node in root.iter("sup") if _is_bare_mark(node) and not _is_in_table(node)]:
        _remove(node, cut, "citation marks")


def _has_name(node: Any) -> bool:
    return node.get("id") is not None or (node.tag == "a" and node.get("name") is not None)


def _text(node: Any) -> str:
    return "".join(node.itertext())


def _is_mark(link: Any) -> bool:
    target = link.get("href", "")
    if not target.startswith("#") or len(clean_text(_text(link))) > 5:
        return False
    kind = f"{link.get('role', '')} {link.get('epub:type', '')}"
    named = any(_MARK_CLASS.fullmatch(name) for name in link.get("class", "").lower().split())
    return "noteref" in kind or named or _TO_NOTE.fullmatch(target) is not None


def _is_in_table(node: Any) -> bool:
    return any(
        local_name(parent) in ("table", "figure")
        or any(_TABLE_CLASS.fullmatch(name) for name in parent.get("class", "").lower().split())
        for parent in node.iterancestors()
    )


def _find_note(target: Any, link: Any) -> Any:
    """The element that holds a note's text: the target, or what is around an anchor; None where it is too much."""
    while target is not None and local_name(target) in ("a", "span", "sup", "b", "em", "strong", "small"):
        target = target.getparent()
    if target is None or target in link.iterancestors() or len(_text(target)) > LONGEST_NOTE or _is_in_table(target):
        return None
    return None if local_name(target) in ("body", "html", "article", "main") else target


def _is_list_of_notes(node: Any) -> bool:
    if node.getparent() is None:
        return False
    named = any(_NOTES_CLASS.fullmatch(name) for name in node.get("class", "").lower().split())
    return named or node.get("role") in ("doc-endnotes", "doc-footnote")


def _is_bare_mark(node: Any) -> bool:
    """Whether raised numbers without a link follow a sentence, a clause or a word that is no unit."""
    text = _text(node)
    if not _NUMBERS.fullmatch(text) or len(node) or (node.tail or "")[:1].isalnum():
        return False
    before = node.getprevious()
    words = _text(before)[-40:] + (before.tail or "") if before is not None else node.getparent().text or ""
    if re.search(r"[^\W\d_][\]).,;:?!”\"]*[.,;:?!]”?$|[\d%][\])]?[.;?!]”?$|[\])][.,;:?!]$", words[-60:].rstrip()):
        return True
    word = re.search(r"[^\W\d_]{5,40}$", words[-60:].rstrip())
    is_number = text.strip() in ("2", "3")  # of a power
    return word is not None and word[0].lower() not in _UNITS and not is_number


def _remove(node: Any, cut: Counter[str], kind: str) -> None:
    """Take an element out and keep the text that follows it."""
    parent, before = node.getparent(), node.getprevious()
    if parent is None:
        return
    cut[kind] += len(clean_text(_text(node)))
    words, after = (before.tail if before is not None else parent.text) or "", node.tail or ""
    if words.endswith(("[", "(")) and after.startswith(("]", ")")) and kind == "footnotes":
        words, after = words[:-1].rstrip(), after[1:]
    if before is not None:
        before.tail = drop_controls(words + after)
    else:
        parent.text = drop_controls(words + after)
    node.tail = None
    parent.remove(node)
