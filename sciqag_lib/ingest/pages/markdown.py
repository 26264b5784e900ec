"""Markdown, as people and converters of PDFs write it (marker, docling, pandoc, MinerU, Nougat) -> a web page.

Parsed as CommonMark with tables by markdown-it-py (MIT); the page then goes the way of every other page. What
CommonMark does not know is settled here:

    # <span id="page-8-0"></span>References      spans and comments are HTML and leave no text
    [\\[20\\]](#page-8-0), [(Alpha,](#p) [2001)](#p)   links inside the file that are citations' marks
    $x_1$, \\(x_1\\), $$E = mc^2$$                 TeX, alone in a paragraph an equation
    text[^1] ... [^1]: A note.                   a footnote: mark and note are cut
    **2.1 Sites**                                a heading, alone in a paragraph
    ---\\ntitle: On foam\\n---                     a header of lines "name: value"
"""

import re
from collections import Counter
from html import escape
from itertools import islice
from typing import Any

from lxml import etree
from lxml import html as lxml_html
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.html_inline import html_inline

from sciqag_lib.ingest.headings import SECTION_NAMES, find_boilerplate_kind, is_caption, is_heading
from sciqag_lib.ingest.pages.tags import drop_controls
from sciqag_lib.ingest.running_text.inline import clean_text
from sciqag_lib.ingest.running_text.nodes import local_name

_HEADING_LINE = re.compile(r"(?m)^(?: {0,3}#{1,6}[ \t]+\S.*|\*\*[^*\n]{2,100}\*\*:?[ \t]*)$")
_UNDERLINED = re.compile(r"(?m)(?:^|(?<=\n\n))([^\s#>|+*<-][^\n|]{0,90})\n(={3,}|-{3,})[ \t]*$")
_MARKS = re.compile(r"\]\(|<span |<sup>|\[\^")
LONGEST_TEX = 3000  # characters
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_NOTE = re.compile(r"\[\^[^\]\s]{1,40}\]:[ \t]*(.*)")
_NOTE_MARK = re.compile(r"\[\^[^\]\s]{1,40}\](?!:)")
_HEADER = re.compile(r"\s*---[ \t]*\n((?:[^\n]*\n){0,60}?)(?:---|\.\.\.)[ \t]*\n")
_SCRIPT = re.compile(r"\s*(?:\{\})?\s*([\^_])\s*(?:\{([^{}\\^_]{1,60})\}|(\w))\s*")  # 10$^{-6}$, H$_2$O
_LINE_END = re.compile(r"[ \t]*(?:\(\S{1,8}\))?[ \t]*[.,;]?[ \t]*(?:\n|$)")  # behind a formula: its number
_TEX_NUMBER = re.compile(r"\\tag\*?\{([^{}]{1,20})\}")
_TEX_ENDS = {"$$": "$$", "$": "$", r"\(": r"\)", r"\[": r"\]"}
_QUOTES = " \t'\"[]"
_TAGS = (
    "a b i u s p br hr em strong sup sub span div img table thead tbody tfoot tr td th caption colgroup col pre code"
    " center figure figcaption small big font del ins mark ul ol li dl dt dd h1 h2 h3 h4 h5 h6 math details summary"
    " section article blockquote q cite abbr kbd samp var tt html body head"
)
_TAG = re.compile(rf"</?(?:{'|'.join(_TAGS.split())})(?:\s[^<>=]{{1,200}}=[^<>]{{0,1000}})?\s?/?>|<!--", re.IGNORECASE)
_YEAR = re.compile(r"\b(?:1[6-9]|20)\d\d[a-z]?\b")
_BRACKETED = re.compile(r"\[\s*\d{1,3}[a-z]?(?:\s*[,;–-]\s*\d{1,3})*\s*\]|\[[A-Z][\w+]{1,12}\d{2}[a-z]?\]")
_NUMBERS = re.compile(r"\[?\s*\d{1,3}(?:\s*[,;–-]\s*\d{0,3})*\s*\]?[,;]?")
_OBJECT = r"\b(?:fig(?:ure)?s?|tab(?:le)?s?|eqs?|equations?|sect?(?:ion)?s?|appendix|box|chapter|step)\b"
_AFTER_OBJECT = re.compile(rf"(?:{_OBJECT}|§)[\s.(\[]*$", re.IGNORECASE)
_OBJECT_FIRST = re.compile(rf"\W*{_OBJECT}", re.IGNORECASE)
BETWEEN_CITATIONS = re.compile(r"[\s,;–-]*(?:and|&)?\s*")


def is_markdown(text: str) -> bool:
    """Whether a text has two headings that only Markdown writes, or two underlined ones and other marks.

    >>> [is_markdown(text) for text in ("# On foam\\n\\n## Methods\\n", "On foam\\n\\nMethods\\n")]
    [True, False]
    """
    outside = "\n".join(line for line, is_code in _mark_code(text.split("\n")) if not is_code)
    count = len(list(islice(_HEADING_LINE.finditer(outside), 2)))
    if count < 2 and _MARKS.search(outside):
        count += len(list(islice(_UNDERLINED.finditer(outside), 2)))
    return count >= 2


def make_page(text: str, cut: Counter[str]) -> Any:
    """The page of a Markdown text, as an lxml tree; footnotes are counted in `cut`."""
    header = _HEADER.match(text)
    body = text[header.end() :] if header else text
    body = _UNDERLINED.sub(lambda match: f"{'#' if match[2][0] == '=' else '##'} {match[1]}", body)
    body = body.replace("<!-- formula-not-decoded -->", '<img class="formula" alt="">')  # docling, of an image
    html = _parser().render(_cut_footnotes(body, cut))
    root = lxml_html.document_fromstring(f"<html><head>{_read_header(header, cut)}</head><body>{html}</body></html>")
    _mark_citations(root)
    for paragraph in list(root.iter("p")):
        _set_paragraph(paragraph)
    for numbered in list(root.iter("ol")):
        if len(numbered) == 1 and SECTION_NAMES.fullmatch(clean_text("".join(numbered.itertext()))):  # "1. Results"
            numbered.tag, numbered[0].tag = "h6", "span"
    _set_title(root)
    return root


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable("table")
    parser.inline.ruler.before("escape", "tex", _read_tex)
    parser.inline.ruler.at("html_inline", _read_tag)
    parser.block.ruler.disable("code")  # four blanks before a line are a margin in papers
    return parser


def _read_header(header: re.Match[str] | None, cut: Counter[str]) -> str:
    tags = []
    for line in header[1].split("\n") if header else []:
        found = re.match(r"(title|doi|keywords):[ \t]*(\S.*)", line, re.IGNORECASE)
        if found:
            tags.append(f'<meta name="citation_{found[1].lower()}" content="{escape(found[2].strip(_QUOTES))}">')
        cut["title and authors"] += len(line)
    return "".join(tags)


def _set_title(root: Any) -> None:
    """Where all headings are on lower levels, the one that the file begins with is the title."""
    first = next((node for node in root.find("body").iter(etree.Element) if "".join(node.itertext()).strip()
                  and node.tag != "body"), None)  # fmt: skip
    if first is not None and first.tag in ("h2", "h3") and root.find(".//h1") is None:
        if not is_heading("".join(first.itertext())):
            first.tag = "h1"


def _mark_code(lines: list[str]) -> list[tuple[str, bool]]:
    """Each line, and whether it belongs to code between fences."""
    marked: list[tuple[str, bool]] = []
    fence = ""
    for line in lines:
        found = _FENCE.match(line)
        marked.append((line, bool(fence or found)))
        if found and not fence:
            fence = found[1]
        elif found and found[1].startswith(fence):
            fence = ""
    return marked


def _cut_footnotes(text: str, cut: Counter[str]) -> str:
    """The text without footnotes' marks and without the notes, each a line and the indented lines after it."""
    kept: list[str] = []
    in_note = False
    for line, is_code in _mark_code(text.split("\n")):
        note = None if is_code else _NOTE.match(line)
        in_note = note is not None or (in_note and (not line.strip() or line.startswith(("  ", "\t"))))
        if in_note:
            cut["footnotes"] += len(line.strip())
            kept.append("")
        else:
            kept.append(line if is_code else _NOTE_MARK.sub("", line))
    return "\n".join(kept)


def _read_tag(state: StateInline, silent: bool) -> bool:
    """HTML inside a line: the tags that papers use and no others, so that "a <b and c> d" stays."""
    return _TAG.match(state.src, state.pos) is not None and html_inline(state, silent)


def _read_tex(state: StateInline, silent: bool) -> bool:
    """TeX between $ and $ (no blank inside the signs, no digit after: $5 and $6 are money), $$ or \\( and \\)."""
    start = next((sign for sign in _TEX_ENDS if state.src.startswith(sign, state.pos)), "")
    if not start:
        return False
    end = _TEX_ENDS[start]
    first = state.pos + len(start)
    last = state.src.find(end, first, min(state.posMax, first + LONGEST_TEX))
    if last < 0:
        return False
    tex = state.src[first:last]
    has_words = re.search(r"[a-z]{2} +[a-z]{2}", tex) is not None and "\\" not in tex
    is_money = start == "$" and (tex != tex.strip() or state.src[last + 1 : last + 2].isdigit() or has_words)
    if not tex.strip() or is_money or (start[0] == "\\" and not _is_tex(state, first, last)):
        return False
    if not silent:
        token = state.push("html_inline", "", 0)
        script = _SCRIPT.fullmatch(tex)
        name = {"^": "sup", "_": "sub"}[script[1]] if script else "tex-math"
        plain = script[2] or script[3] if script else re.sub(r"\\([%$#])", r"\1", _TEX_NUMBER.sub(r" (\1) ", tex))
        token.content = f"<{name}>{escape(plain)}</{name}>"
    state.pos = last + len(end)
    return True


def _is_tex(state: StateInline, first: int, last: int) -> bool:
    r"""Whether \( and \), or \[ and \] on lines of their own, hold a formula: "\[20\]", "\[OR = 2\]" are brackets."""
    text, before = state.src[first:last], state.src[: first - 2][-1:]
    if state.src[first - 1] == "[":
        is_alone = before in ("", "\n") and _LINE_END.match(state.src, last + 2) is not None
        return is_alone and re.search(r"[\\=^_<>+]", text) is not None
    return re.search(r"[\\=^_<>+]|^\s*\w\s*$", text) is not None


def _mark_citations(root: Any) -> None:
    """Links inside the file that are citations' marks get the class that the reader of pages looks for."""
    listed = _find_listed(root)
    for run in _find_runs(root):
        text = clean_text(" ".join("".join(link.itertext()) for link in run))
        before = _text_before(run[0])
        is_raised = run[0].getparent().tag == "sup" and _NUMBERS.fullmatch(text)
        into_list = any(link.get("href")[1:] in listed for link in run) and re.search(r"\d", text)
        is_mark = _BRACKETED.search(text) or is_raised or (_YEAR.search(text) and not _OBJECT_FIRST.match(text))
        if (is_mark or into_list) and not _AFTER_OBJECT.search(before):
            for link in run:
                link.set("class", "bibr")


def _find_listed(root: Any) -> set[str]:
    """The anchors at or after the heading of the reference list."""
    found: set[str] = set()
    in_list = False
    for node in root.iter(etree.Element):
        if re.fullmatch(r"h[1-6]", node.tag):
            in_list = find_boilerplate_kind(clean_text("".join(node.itertext()))) == "references"
        if in_list and node.get("id"):
            found.add(node.get("id"))
    return found


def _find_runs(root: Any) -> list[list[Any]]:
    """Links inside the file, those together that only blanks, commas and semicolons set apart."""
    runs: list[list[Any]] = []
    for link in root.iter("a"):
        if not link.get("href", "").startswith("#"):
            continue
        last = runs[-1][-1] if runs else None
        if last is not None and link.getprevious() is last and BETWEEN_CITATIONS.fullmatch(last.tail or ""):
            runs[-1].append(link)
        else:
            runs.append([link])
    return runs


def _text_before(node: Any) -> str:
    before = node.getprevious()
    return ((before.tail if before is not None else node.getparent().text) or "")[-20:]


def _set_paragraph(node: Any) -> None:
    """A paragraph that is a formula, a heading or an image with its caption becomes what it is."""
    children = [child for child in node if local_name(child) not in ("br", "")]
    around = (node.text or "") + "".join(child.tail or "" for child in node)
    text = clean_text("".join(node.itertext()))
    if len(children) == 1 and children[0].tag == "tex-math" and re.fullmatch(r"\s*(?:\(\S{1,8}\))?[\s.,;]*", around):
        node.set("class", "equation")
    elif len(children) == 1 and children[0].tag == "img" and not around.strip():
        words = clean_text(children[0].get("alt", ""))
        if is_caption(words) or len(words.split()) > 4:
            node.tag, node.text = "figcaption", drop_controls(words)
            node.remove(children[0])
    elif node.getparent().tag == "body" and is_caption(text):
        node.tag = "figcaption"
    elif node.getparent().tag == "body" and not text.endswith(".") and is_heading(text, by_number=False):
        node.tag = "h6"
