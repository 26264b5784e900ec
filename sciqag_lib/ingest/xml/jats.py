"""JATS and its ancestor NLM (the XML of PubMed Central and most publishers) -> Document.

Follows the JATS Journal Archiving tag set (jats.nlm.nih.gov); element names are met with or without a namespace.

    <article article-type="research-article">
      <front><article-meta><article-id pub-id-type="doi">10.1371/journal.pone.0000217</article-id>...
      <body><sec sec-type="methods"><title>Methods</title><p>Cells were grown ...</p></sec></body>
"""

import re
from typing import Any

from sciqag_lib.ingest.document import Document, join_abstract
from sciqag_lib.ingest.headings import find_boilerplate_kind
from sciqag_lib.ingest.running_text.captions import cut_object_doi
from sciqag_lib.ingest.running_text.footnotes import mark_footnote_calls
from sciqag_lib.ingest.running_text.inline import inline_text
from sciqag_lib.ingest.running_text.nodes import (
    child_elements,
    child_named,
    find_all,
    find_first,
    local_name,
    own_language,
    text_size,
)
from sciqag_lib.ingest.xml.jats_blocks import read_blocks, read_section
from sciqag_lib.ingest.xml.keyword_groups import KeywordGroup, choose_keywords

# Back matter that is no section, and the heading under which it is cut.
BACK_MATTER = {
    "ack": "acknowledgements",
    "ref-list": "references",
    "glossary": "abbreviations",
    "fn-group": "footnotes",
    "bio": "author contributions",
    "notes": "notes",
    "supplementary-material": "supporting information",
}


def read_jats(article: Any) -> Document:
    """The document of an <article> element."""
    document = Document(article_type=article.get("article-type", ""))
    mark_footnote_calls(article)
    _read_front(article, document)
    body = child_named(article, "body")
    if body is not None:
        read_blocks(body, document, 1)
    for child in child_elements(article):
        name = local_name(child)
        if name == "back":
            _read_back(child, document)
        elif name == "floats-group":
            document.add("heading", "Figures and tables", 1)
            read_blocks(child, document, 2)
        elif name in ("sub-article", "response"):  # translations, decision letters, replies
            document.cut["sub-articles"] += text_size(child)
    return document


def _read_front(article: Any, document: Document) -> None:
    meta = find_first(article, "front/article-meta")
    meta = find_first(article, "front-stub") if meta is None else meta
    journal = find_first(article, "journal-title")
    document.journal = inline_text(journal, document.cut) if journal is not None else ""
    if meta is None:
        return
    for notes in find_all(article, "front/notes"):
        title = find_first(notes, "title")
        kind = find_boilerplate_kind(inline_text(title, document.cut)) if title is not None else ""
        document.cut[kind or "notes"] += text_size(notes)
    dois = [node for node in find_all(meta, "article-id") if node.get("pub-id-type") == "doi"]
    document.doi = "".join(dois[0].itertext()).strip() if dois else ""
    title = find_first(meta, "title-group/article-title")
    document.title = inline_text(title, document.cut, frozenset({"xref"})) if title is not None else ""
    document.abstract = _read_abstract(meta, document, own_language(article))
    document.keywords = _read_keywords(meta, document, own_language(article))
    document.license = _read_license(meta)


def _read_abstract(meta: Any, document: Document, language: str) -> str:
    """The abstract proper; summaries for editors or lay readers carry an abstract-type."""
    abstracts = [child for child in child_elements(meta) if local_name(child) in ("abstract", "trans-abstract")]
    candidates = [node for node in abstracts if local_name(node) == "abstract"]
    candidates.sort(key=lambda node: (bool(node.get("abstract-type")), own_language(node) not in ("", language)))
    chosen = candidates[0] if candidates else None
    for node in abstracts:
        if node is not chosen:
            document.cut["other abstracts"] += text_size(node)
    if chosen is None:
        return ""
    part = Document(cut=document.cut)
    read_blocks(chosen, part, 1)
    for block in part.blocks:
        block.text = cut_object_doi(block.text, document.cut)
    return join_abstract([block for block in part.blocks if block.text])


def _read_keywords(meta: Any, document: Document, language: str) -> list[str]:
    groups = []
    for node in find_all(meta, "kwd-group"):
        title = child_named(node, "title")
        text = inline_text(title, document.cut) if title is not None else ""
        words = [_read_keyword(word, document) for word in node.iterdescendants("{*}kwd", "{*}compound-kwd")]
        groups.append(KeywordGroup(own_language(node), text, node.get("kwd-group-type", ""), words))
    return choose_keywords(groups, language, document.cut)


def _read_keyword(node: Any, document: Document) -> str:
    """A keyword; the parts of a compound one without its code in a classification."""
    if local_name(node) == "kwd":
        return inline_text(node, document.cut)
    parts = [part for part in child_elements(node) if part.get("content-type") != "code"]
    return " ".join(filter(None, (inline_text(part, document.cut) for part in parts)))


def _read_license(meta: Any) -> str:
    permissions = find_first(meta, "license")
    permissions = find_first(meta, "copyright-statement") if permissions is None else permissions
    if permissions is None:
        return ""
    text = " ".join("".join(permissions.itertext()).split())
    if re.search(r"public domain|free of all copyright|\bCC0\b", text, re.IGNORECASE):
        return "public domain"
    links = " ".join(value for node in permissions.iter() for value in node.attrib.values()) + text
    terms = re.search(r"creativecommons\.org/licenses/([a-z-]+)/", links)
    plain = re.search(r"Creative Commons Attribution Licen[cs]e", text)
    return f"CC {terms.group(1).upper()}" if terms else "CC BY" if plain else text[:80]


def _read_back(back: Any, document: Document) -> None:
    for child in child_elements(back):
        name = local_name(child)
        if name == "sec":
            read_section(child, document, 1)
        elif name in ("app-group", "app"):
            for appendix in [child] if name == "app" else child_elements(child):
                read_section(appendix, document, 1)
        else:
            document.cut[BACK_MATTER.get(name, "back matter")] += text_size(child)
