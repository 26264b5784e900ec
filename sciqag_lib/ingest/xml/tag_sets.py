"""Which tag set an XML file is written in, and the reader for it.

JATS and NLM (<article>, or a set of them), TEI (<TEI>, <teiCorpus>), Elsevier's ja DTD and XHTML are read. Others
are refused by name, because another tag set's text comes out glued together or not at all.
"""

from typing import Any, NoReturn

from sciqag_lib.errors import InputError
from sciqag_lib.ingest.document import Document
from sciqag_lib.ingest.running_text.nodes import child_elements, child_named, find_first, local_name, parse_xml

# Tag sets that are not read: by namespace, by root element, and by what an <article> or its body holds.
_NAMESPACES = {
    "http://docbook.org/ns/docbook": "DocBook",
    "http://www.wiley.com/namespaces/wiley": "Wiley's WileyML",
    "http://dlmf.nist.gov/LaTeXML": "LaTeXML's",
}
_ROOTS = {
    "component": "Wiley's WileyML",
    "Publisher": "Springer's A++",
    "Article": "Springer's A++",
    "Chapter": "Springer's A++",
    "PubmedArticleSet": "PubMed's records, which hold no text",
    "PubmedArticle": "PubMed's records, which hold no text",
    "collection": "BioC or another collection",
    "art": "BioMed Central's old DTD",
    "book": "a book",
    "book-part-wrapper": "a part of a book",
    "doi_batch": "Crossref's records, which hold no text",
    "feed": "a list of records",
    "full-text-retrieval-response": "Elsevier's service without the paper's text",
}
_PARTS = {
    "article-metadata": "IOP's DTD",
    "sec-level1": "IOP's DTD",
    "articleinfo": "DocBook",
    "artheader": "DocBook",
    "info": "DocBook",
    "para": "DocBook",
    "sect1": "DocBook",
    "simplesect": "DocBook",
    "section": "DocBook or ISO 12083",
    "art-admin": "the Royal Society of Chemistry's DTD",
    "art-front": "the Royal Society of Chemistry's DTD",
    "art-body": "the Royal Society of Chemistry's DTD",
    "fm": "an old publisher's DTD (fm, bdy)",
    "bdy": "an old publisher's DTD (fm, bdy)",
}
_ADVICE = "convert it to JATS, or give the paper's HTML or PDF"


def read_xml(data: bytes) -> list[Document]:
    """The documents in an XML file (several in a set). InputError: broken, or a tag set that is not read."""
    root = parse_xml(data)
    name = local_name(root)
    if name == "html":
        from sciqag_lib.ingest.pages.html import read_html

        return [read_html(data)]
    if name in ("TEI", "TEI.2", "teiCorpus"):
        from sciqag_lib.ingest.xml.tei import read_tei

        inner = [node for node in child_elements(root) if local_name(node) in ("TEI", "TEI.2")]
        return [read_tei(node) for node in (inner if name == "teiCorpus" else [root])]
    names = "local-name()='article' or local-name()='converted-article' or local-name()='simple-article'"
    articles = root.xpath(f"(.|.//*)[{names}][not(ancestor::*[{names}])]")
    if not articles:
        _refuse(root)
    return [_read_article(article) for article in articles]


def _refuse(root: Any) -> NoReturn:
    named = name_tag_set(root)
    found = f"<{local_name(root)}>" + (f" of {named}" if named else "")
    raise InputError(f"expected JATS (<article>) or TEI (<TEI>), found {found}: {_ADVICE}")


def _read_article(article: Any) -> Document:
    from sciqag_lib.ingest.xml.elsevier import convert_elsevier, is_elsevier
    from sciqag_lib.ingest.xml.jats import read_jats

    if is_elsevier(article):
        return read_jats(convert_elsevier(article))
    is_jats = any(find_first(article, path) is not None for path in ("front/article-meta", "front-stub"))
    has_text = any(find_first(article, path) is not None for path in ("body/p", "body/sec"))
    if local_name(article) != "article" or name_tag_set(article) or not (is_jats or has_text):
        _refuse(article)
    return read_jats(article)


def name_tag_set(root: Any) -> str:
    """The name of a tag set that is not read, or "".

    >>> from lxml import etree
    >>> name_tag_set(etree.fromstring("<article><article-metadata/></article>"))
    "IOP's DTD"
    """
    namespace = root.tag.rpartition("}")[0].lstrip("{")
    named = _NAMESPACES.get(namespace) or _ROOTS.get(local_name(root), "")
    if named or local_name(root) != "article" or "elsevier.com" in namespace:
        return named
    body = child_named(root, "body")
    parts = [*child_elements(root), *(child_elements(body) if body is not None else [])]
    return next((_PARTS[local_name(part)] for part in parts if local_name(part) in _PARTS), "")
