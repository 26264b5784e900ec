"""A paper's web page (publisher, PubMed Central, arXiv's HTML, or a page of one's own) -> Document.

What a page says about itself is taken from the tags that Google Scholar asks publishers for:

    <meta name="citation_title" content="..."> <meta name="citation_doi" content="10.1234/abc">
    <meta name="citation_journal_title" content="..."> <meta name="citation_keywords" content="a; b">

The text is that of <article> or <main> where there is one; menus, sidebars, forms and scripts are dropped.
"""

import re
from typing import Any

from lxml import etree
from lxml import html as lxml_html

from sciqag_lib.errors import InputError
from sciqag_lib.ingest.document import Document, join_abstract
from sciqag_lib.ingest.front import find_abstract, take_front
from sciqag_lib.ingest.headings import SECTION_NAMES, bare_heading, find_boilerplate_kind, is_heading
from sciqag_lib.ingest.pages.formulas import set_formulas
from sciqag_lib.ingest.pages.notes import cut_notes
from sciqag_lib.ingest.pages.parts import cut_box, end_run_in, group_abstract, has_class, is_abstract, is_bold
from sciqag_lib.ingest.pages.tags import decode_page, find_page_doi, first_value, read_keywords, read_meta
from sciqag_lib.ingest.running_text.captions import cut_object_doi, join_caption
from sciqag_lib.ingest.running_text.inline import clean_text, inline_parts, inline_text, list_number
from sciqag_lib.ingest.running_text.nodes import child_elements, local_name
from sciqag_lib.ingest.running_text.tables import format_table
from sciqag_lib.records.dois import find_doi

FURNITURE = frozenset(
    "nav aside footer form script style noscript template button iframe dialog select menu head svg canvas audio"
    " video input textarea object".split()
)
_FURNITURE_ROLES = {"navigation", "banner", "contentinfo", "complementary", "search", "dialog", "menu"}
# A class is judged as a whole: the sections of PLOS's papers are "section toc-section".
_FURNITURE_CLASS = re.compile(
    r"(?:nav|navbar|navigation|breadcrumbs?|cookie[\w-]*|share|social|sidebar|toc|skip-link|usa-skipnav|menu"
    r"|figure-inline-download|caption_object|articleinfo|reflinks|ref-tooltip)"
)
# Links and notes of a page, each a paragraph of its own.
_FURNITURE_TEXT = re.compile(
    r"(?:open in a new (?:tab|window)|(?:view )?full[- ]size (?:image|table)|view (?:large|article|in article)"
    r"|download(?: (?:figure|pdf|powerpoint slide|slide))?|click here for additional data file\.?|https?://\S+)",
    re.IGNORECASE,
)
_FIGURE_CLASS = re.compile(r"figure|fig|tw|table-wrap|c-article-table|html-fig-wrap|html-table-wrap|video(?:-[\w-]+)?")
_EQUATION_CLASS = re.compile(r"(?:[\w-]*-)?equation(?:-[\w-]*)?|disp-formula|html-disp-formula-info|ltx_equation\w*")
_LABEL = re.compile(r"[(\[]?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{1,5})[.)\]]|[•–-]")  # of a list's item
_REFERENCE_CLASS = re.compile(
    r"\b(?:ltx_bibliography|ref-?list|references|citation-list|bibliography|c-article-references)\b"
)
CONTAINERS = frozenset(
    "html body div section article main header center span figure details summary ul ol dl blockquote hgroup"
    " fieldset address font".split()
)
BLOCK_NAMES = CONTAINERS - {"span", "font"} | {
    "p",
    "table",
    "pre",
    "li",
    "dt",
    "dd",
    "figcaption",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
}
_HEADING = re.compile(r"h([1-6])")
BOLD_LEVEL = 7  # of a heading that is a bold paragraph
_NOTE_CLASS = re.compile(r"fn")  # of a table: its mark and its text are one line


def read_html(data: bytes) -> Document:
    """The document of a web page. InputError: bytes that are not in the page's encoding, or no page at all."""
    try:
        root = lxml_html.document_fromstring(decode_page(data), parser=lxml_html.HTMLParser(huge_tree=False))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise InputError(f"not readable as HTML: {error}") from error
    return read_page(root, Document())


def read_page(root: Any, document: Document) -> Document:
    """The document of a parsed page, whose tree is changed; `document` may hold counts of what was cut before."""
    meta = read_meta(root)
    document.title = _read_markup(first_value(meta, "citation_title", "dc.title", "og:title"))
    document.doi = find_page_doi(meta)
    document.journal = first_value(meta, "citation_journal_title", "prism.publicationname")
    language = first_value(meta, "citation_language", "dc.language")[:2].lower()
    document.keywords = read_keywords(root, language)
    set_formulas(root, document.cut)
    cut_notes(root, document.cut)
    _read_block(_find_content(root), document)
    _take_title(document, root)
    _take_front_matter(document, _read_markup(first_value(meta, "citation_abstract", "dc.description")), language)
    _level_headings(document)
    return document


def _read_markup(text: str) -> str:
    """The text of a tag's content, in which some pages write HTML: "&lt;p&gt;Oxygen &lt;i&gt;fell&lt;/i&gt;." """
    if not re.search(r"</?[a-zA-Z][^<>]{0,200}>", text):
        return text
    part = Document()
    _read_block(lxml_html.fragment_fromstring(text, create_parent="div"), part)
    return join_abstract(part.blocks)


def _find_content(root: Any) -> Any:
    """The element that holds the paper: the longest <article>, else <main>, if most paragraphs are in it."""
    body = root.find("body") if root.find("body") is not None else root
    total = len(body.xpath(".//p"))
    for path in (".//article", ".//main", ".//*[@role='main']"):
        found = sorted(body.xpath(path), key=lambda node: len(node.xpath(".//p")))
        if found and len(found[-1].xpath(".//p")) * 2 > total:
            return found[-1]
    return body


def _is_furniture(node: Any) -> bool:
    if local_name(node) in FURNITURE or node.get("role", "") in _FURNITURE_ROLES or node.get("hidden") is not None:
        return True
    return node.get("aria-hidden") == "true" or has_class(node, _FURNITURE_CLASS)


def _read_block(node: Any, document: Document) -> None:
    """An element and what is in it, in order; loose text between blocks becomes paragraphs."""
    loose: list[Any] = []
    if node.text and node.text.strip():
        loose.append(node.text)
    for child in node:
        name = local_name(child)
        if name and _is_furniture(child):
            document.cut["page furniture"] += len(clean_text("".join(child.itertext())))
        elif name and (name in BLOCK_NAMES or _holds_blocks(child)):
            _flush(loose, document)
            _read_child(child, document)
        elif name:
            loose.append(child)
        if child.tail and child.tail.strip():
            loose.append(child.tail)
    _flush(loose, document)


def _holds_blocks(node: Any) -> bool:
    return any(local_name(below) in BLOCK_NAMES for below in node.iterdescendants())


def _flush(loose: list[Any], document: Document) -> None:
    _add_paragraph(inline_parts(loose, document.cut), document)
    loose.clear()


def _add_paragraph(text: str, document: Document) -> None:
    if _FURNITURE_TEXT.fullmatch(text):
        document.cut["page furniture"] += len(text)
    else:
        document.add("paragraph", text)


def _read_child(node: Any, document: Document) -> None:
    start = len(document.blocks)
    _read_element(node, document)
    if is_abstract(node):
        group_abstract(node, document, start)
    elif local_name(node) in CONTAINERS:
        cut_box(node, document, start)


def _read_element(node: Any, document: Document) -> None:
    name = local_name(node)
    heading = _HEADING.fullmatch(name)
    if heading:
        document.add("heading", inline_text(node, document.cut), int(heading.group(1)))
    elif _REFERENCE_CLASS.search(node.get("class", "").lower()) or node.get("role") == "doc-bibliography":
        document.cut["references"] += len(clean_text("".join(node.itertext())))
    elif has_class(node, _EQUATION_CLASS):  # a table, or blocks, that set formula and number side by side
        document.add("equation", inline_text(node, document.cut))
    elif name == "table":
        _read_table(node, document)
    elif name == "figure" or has_class(node, _FIGURE_CLASS):
        _read_figure(node, document)
    elif name == "figcaption":
        document.add("caption", inline_text(node, document.cut))
    elif name == "li":
        _read_item(node, document)
    elif (name in ("p", "dt", "dd", "pre") and not _holds_blocks(node)) or has_class(node, _NOTE_CLASS):
        end_run_in(node)
        text = inline_text(node, document.cut)
        if name == "p" and is_bold(node) and is_heading(text):
            document.add("heading", text.rstrip(" :."), BOLD_LEVEL)
        else:
            _add_paragraph(text, document)
    else:
        if name in ("ol", "ul"):
            _number_items(node)
        _read_block(node, document)


def _read_figure(node: Any, document: Document) -> None:
    """A figure, or a table with its caption and notes: what comes before the table is the caption, label first."""
    part = Document(cut=document.cut)
    _read_block(node, part)
    size = next((n for n, block in enumerate(part.blocks) if block.kind in ("table", "equation")), len(part.blocks))
    document.add("caption", join_caption("", *(cut_object_doi(block.text, part.cut) for block in part.blocks[:size])))
    for block in part.blocks[size:]:
        document.add("paragraph" if block.kind == "heading" else block.kind, block.text)


def _number_items(node: Any) -> None:
    """Write into the items of a list the number that a browser prints before each; "" where it prints none."""
    look = f"{node.get('style', '')} {node.get('class', '')}"
    is_bare = local_name(node) == "ul" or re.search(r"list-style(?:-type)?\s*:\s*none|list-style-none", look)
    start = node.get("start", "")
    first = int(start) if re.fullmatch(r"[0-9]{1,6}", start) else 1
    for number, item in enumerate(node.iterchildren("li"), start=first):
        item.set("value", list_number(number, "" if is_bare else node.get("type", "1")))


def _read_item(item: Any, document: Document) -> None:
    """A list's item behind the number that it bears itself or that `_number_items` gave it."""
    start = len(document.blocks)
    _read_block(item, document)
    added = document.blocks[start:]
    number = item.get("value", "")
    if len(added) > 1 and _LABEL.fullmatch(added[0].text):
        number = added.pop(0).text
        del document.blocks[start]
    if number and added and added[0].kind == "paragraph" and not added[0].text.startswith(number):
        added[0].text = f"{number} {added[0].text}"


def _read_table(table: Any, document: Document) -> None:
    if table.xpath(".//table") or table.xpath(".//h1|.//h2|.//h3"):  # a table that lays out the page
        for cell in table.xpath(".//td[not(.//table)]|.//th[not(.//table)]"):
            _read_block(cell, document)
        return
    for caption in table.iterchildren("caption"):
        document.add("caption", inline_text(caption, document.cut))
    rows = [[cell for cell in child_elements(row) if local_name(cell) in ("td", "th")] for row in table.iter("tr")]
    if all(len(row) == 1 for row in rows):
        for row in rows:
            document.add("paragraph", inline_text(row[0], document.cut))
    else:
        document.add("table", format_table(rows, lambda cell: inline_text(cell, document.cut)))


def _take_title(document: Document, root: Any) -> None:
    """The title from the first <h1> where no tag gave it, and that heading removed from the text."""
    position = next((n for n, block in enumerate(document.blocks[:20]) if block.kind == "heading"), None)
    if position is not None:
        text, level = document.blocks[position].text, document.blocks[position].level
        only_one = sum(block.kind == "heading" and block.level == level for block in document.blocks) == 1
        is_title = level == 1 and not SECTION_NAMES.fullmatch(bare_heading(text))
        if text == document.title or (is_title and (not document.title or only_one)):
            document.title = document.title or text
            document.cut["title and authors"] += sum(len(block.text) for block in document.blocks[: position + 1])
            del document.blocks[: position + 1]
    if not document.title:
        titles = root.xpath("//title")
        document.title = clean_text("".join(titles[0].itertext())) if titles else ""


def _take_front_matter(document: Document, abstract: str, language: str) -> None:
    """Abstract, keywords and DOI from the text; what comes before abstract or first heading is authors and links."""
    start = find_abstract(document.blocks)
    first = next((n for n, block in enumerate(document.blocks) if block.kind == "heading"), 0) if start < 0 else start
    front = document.blocks[:first]
    document.doi = document.doi or next(filter(None, (find_doi(block.text) for block in front)), "")
    if start < 0 and all(len(block.text) < 400 for block in front):
        document.cut["title and authors"] += sum(len(block.text) for block in front)
        del document.blocks[:first]
    take_front(document, language)
    document.abstract = document.abstract or abstract


def _level_headings(document: Document) -> None:
    """Levels counted from the highest that the text uses; where all are one, "2.1" is below "2"."""
    headings = [block for block in document.blocks if block.kind == "heading"]
    levels = {block.level for block in headings if not find_boilerplate_kind(block.text)}
    for block in headings:
        number = re.match(r"\d+((?:\.\d+)*)\.?\s+(?=\D)", block.text)
        block.level -= min(levels, default=1) - 1
        if number:
            block.level += number[1].count(".") if len(levels) == 1 else 0
            block.text = block.text[number.end() :]
