"""Plain text and Markdown -> Document; the same rules for lines serve text taken out of a PDF.

    Growth of strain A at low temperature
    <blank line>
    Abstract
    Strain A grows at 4 °C ...
    Keywords: psychrophile; growth rate
    1. Introduction

Paragraphs are what stands between blank lines (or, without any, lines); lines broken by hand are joined, words
broken by a hyphen too. A heading is a short line without a full stop that is numbered, in capitals, marked
(Markdown) or one of the names that sections of papers have.
"""

import re
from collections import Counter

from sciqag_lib.errors import InputError
from sciqag_lib.ingest.document import Block, Document, find_boilerplate_kind, join_abstract
from sciqag_lib.ingest.inline import clean_text

_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"<>{}|\\^`\[\]]+")
KEYWORDS_LINE = re.compile(
    r"^\W*(?:key\s?-?words?(?: and phrases)?|index terms)\W*[:.—–-]\s*(.+)", re.IGNORECASE | re.DOTALL
)
_NUMBERED = re.compile(r"^((?:\d{1,2}\.)*\d{1,2}|[IVX]{1,5}|[A-Z](?=[.)]))[.)]?\s+(?=[^\W\d_])")
SECTION_NAMES = re.compile(
    r"(?:abstract|summary|introduction|background|(?:general |theoretical )?background and .*|related work|theory"
    r"|(?:materials?|patients?|subjects?|data|experimental)? ?(?:(?:and|&) )?methods?|methodology|"
    r"experimental(?: (?:section|procedures?|setup|part))?"
    r"|results?(?: ?(?:and|&|/) ?discussions?)?|discussions?(?: ?(?:and|&) ?conclusions?)?|(?:general )?conclusions?"
    r"(?: and (?:outlook|future work|perspectives?))?|(?:conclud|clos)ing remarks|limitations|future (?:work|"
    r"directions)|outlook"
    r"|statistical analysis|study area|case (?:study|report)|appendix(?: [a-z0-9])?)",
    re.IGNORECASE,
)
MAX_HEADING = 90  # characters
MAX_ABSTRACT = 5000  # characters, of one whose parts have headings
_ABSTRACT_PARTS = re.compile(
    r"(?:background|context|introduction|rationale|objectives?|aims?|purpose|importance|hypothesis|study design|design"
    r"|(?:patients?|materials?|subjects?|participants|setting|data)?(?: ?(?:and|&|,) ?)?method(?:s|ology)?"
    r"(?:(?: ?(?:and|&|/) ?)(?:principal |main |key )?(?:findings|results))?|setting|participants|interventions?"
    r"|main outcome measures?|(?:principal |main |key )?(?:findings|results)|findings and conclusions|interpretation"
    r"|conclusions?(?: ?(?:and|&|/) ?(?:significance|relevance|interpretation))?|significance|discussion|limitations"
    r"|trial registration|registration)",
    re.IGNORECASE,
)


def decode_text(data: bytes) -> str:
    """A text file's content: UTF-8, or UTF-16 with its byte order mark. InputError names the first bad byte."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        found = f"0x{data[error.start]:02x}" if error.start < len(data) else "the end of the file"
        raise InputError(
            f"not valid {error.encoding} at byte {error.start} ({found}): save the file as UTF-8"
        ) from error


def read_text(data: bytes) -> Document:
    """The document of a text or Markdown file. InputError as `decode_text`."""
    text = decode_text(data).replace("\r\n", "\n").replace("\r", "\n")
    document = Document()
    for lines in _split_chunks(text):
        _add_chunk(lines, document)
    take_front_matter(document)
    return document


def _split_chunks(text: str) -> list[list[str]]:
    """Runs of lines between blank lines; in a text without blank lines each line is a paragraph."""
    chunks = [chunk.split("\n") for chunk in re.split(r"\n[ \t\f\v]*(?:\n[ \t\f\v]*)+", text.strip("\n"))]
    if len(chunks) == 1 and len(chunks[0]) > 1 and not is_table(chunks[0]):
        chunks = [[line] for line in chunks[0]]
    return [[line.rstrip() for line in chunk if line.strip()] for chunk in chunks]


def _add_chunk(lines: list[str], document: Document) -> None:
    if not lines:
        return
    if is_table(lines):
        document.add("table", format_lines(lines))
        return
    if len(lines) > 1 and re.fullmatch(r"\s*(=+|-+|~+)\s*", lines[1]) and len(lines[1].strip()) > 2:  # underlined
        level = 1 if "=" in lines[1] else 2
        document.add("heading", clean_text(lines[0]), level)
        return _add_chunk(lines[2:], document)
    level = heading_level(lines[0])
    if level and (len(lines) == 1 or not lines[0].rstrip().endswith((",", "-")) and _is_certain(lines[0])):
        document.add("heading", bare_heading(lines[0]), level)
        return _add_chunk(lines[1:], document)
    document.add("caption" if is_caption(lines[0]) else "paragraph", join_lines(lines))


def is_table(lines: list[str]) -> bool:
    """Whether at least two lines, and all of them, have cells: set apart by tabs or bars."""
    return len(lines) > 1 and all(
        "\t" in line.strip() or " | " in line or line.strip().startswith("|") for line in lines
    )


def format_lines(lines: list[str]) -> str:
    rows = []
    for line in lines:
        cells = [clean_text(cell) for cell in re.split(r"\t+|\s*\|\s*", line.strip().strip("|"))]
        if any(not re.fullmatch(r"[:=-]*", cell) for cell in cells):  # not Markdown's |---|---|
            rows.append(" | ".join(cells))
    return "\n".join(rows)


def is_caption(line: str) -> bool:
    return re.match(r"\s*(?:fig(?:ure|\.)?|table|scheme)\s*S?\d+\s*[.:|—-]", line, re.IGNORECASE) is not None


def join_lines(lines: list[str], words: Counter[str] | None = None) -> str:
    """One paragraph of lines broken at the margin; a word broken by a hyphen is put together again.

    `words`, those of the whole text by `count_words`, tell a broken word from a compound.

    >>> join_lines(["The tempera-", "ture of pH-", "7 buffer"])
    'The temperature of pH-7 buffer'
    >>> join_lines(["of long-", "term effects"], count_words("long-term aims"))
    'of long-term effects'
    """
    text = ""
    for line in lines:
        line = clean_text(line)
        # "state-of-the-" and "art" are compounds whatever their words
        broken = re.search(r"(?<![\w-])[^\W\d_]{2,}-$", text[-40:]) if re.match(r"[a-z]+(?!-)\b", line) else None
        if broken and not _is_compound(broken[0][:-1], re.match(r"[^\W\d_]*", line)[0], words or Counter()):
            text = text[:-1] + line
        elif line and (re.search(r"\S[-–—/]$", text) or re.match(r"[,.;:)\]]+(?:\s|$)|—\S", line)):
            text += line
        else:
            text += (" " if text else "") + line
    return text


def count_words(text: str) -> Counter[str]:
    """Words in lower case; of a compound also its first part, "long-", and its last."""
    counts: Counter[str] = Counter()
    for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", text.lower()):
        counts[word] += 1
        if "-" in word:
            first, _, last = word.partition("-")
            counts.update((f"{first}-", last))
    return counts


def _is_compound(left: str, right: str, words: Counter[str]) -> bool:
    """Whether a hyphen at the end of a line belongs to the word: the text writes it so, or knows both halves."""
    if left.isupper():  # "DNA-" and "binding"
        return True
    left, right = left.lower(), right.lower()
    whole, compound = words[left + right], words[f"{left}-{right}"]
    if whole != compound:
        return compound > whole
    return len(right) > 3 and words[right] > 0 and (words[f"{left}-"] > 0 or (len(left) > 2 and words[left] > 0))


def heading_level(line: str) -> int:
    """1 for a top-level heading, 2 and more below, 0 where the line is none.

    >>> [heading_level(line) for line in ("2.1 Cell culture", "RESULTS", "The cells grew.", "## Setup", "3.5 g")]
    [2, 1, 0, 2, 0]
    """
    marks = re.match(r"(#{1,6})\s+\S", line.strip())
    if marks:
        return len(marks.group(1))
    text = line.strip().strip("*_ ")
    numbered = _NUMBERED.match(text)
    level = numbered.group(1).count(".") + 1 if numbered else 1
    rest = text[numbered.end() :] if numbered else text
    if not rest[:1].isupper() or len(text) > MAX_HEADING:
        return 0
    if _is_certain(text):
        return level
    if not re.search(r"[^\W\d_]{2}", rest) or re.search(r"[=<>;,|]|[.?!\d]$", rest) or len(rest.split()) > 14:
        return 0
    if numbered and not re.fullmatch(r"[A-Z]", numbered.group(1)):  # "A. Smith" is a name
        return level
    return 2 if text.isupper() and len(rest.split()) <= 10 else 0


def _is_certain(line: str) -> bool:
    """A heading by its name or mark alone, even with text in the next line."""
    bare = bare_heading(line)
    return (
        line.lstrip().startswith("#") or SECTION_NAMES.fullmatch(bare) is not None or find_boilerplate_kind(bare) != ""
    )


def bare_heading(line: str) -> str:
    """A heading without its marks and number."""
    text = clean_text(line).strip("#*_ ")
    return _NUMBERED.sub("", text).rstrip(" :.") or text


def take_front_matter(document: Document) -> None:
    """Title, DOI, keywords and abstract are taken out of the first blocks, authors and addresses with them."""
    blocks = document.blocks
    first = next(
        (n for n, b in enumerate(blocks[:20]) if b.kind == "heading" and SECTION_NAMES.fullmatch(b.text)), None
    )
    document.doi = document.doi or next(
        filter(None, (find_doi(block.text) for block in blocks[: (first or 3) + 3])), ""
    )
    if not document.title and first != 0 and blocks and len(blocks[0].text) <= 300 and not blocks[0].text.endswith("."):
        document.title = blocks[0].text
        document.cut["title and authors"] += len(blocks.pop(0).text)
        first = first - 1 if first else first
    # Without a section named after the title, what follows may be the text itself.
    size = sum(len(b.text) < 120 and find_doi(b.text) != "" for b in blocks[:1]) if first is None else first
    kept = [block for block in blocks[:size] if KEYWORDS_LINE.match(block.text) or len(block.text) > 400]
    document.cut["title and authors"] += sum(len(block.text) for block in blocks[:size] if block not in kept)
    blocks[:size] = kept
    _take_keywords(document)
    _take_abstract(document)


def _take_keywords(document: Document) -> None:
    for number, block in enumerate(document.blocks[:15]):
        match = KEYWORDS_LINE.match(block.text) if block.kind == "paragraph" else None
        heading = block.kind == "heading" and re.fullmatch(r"key\s?words?|index terms", block.text, re.IGNORECASE)
        if match:
            document.keywords = document.keywords or split_keywords(match.group(1))
            del document.blocks[number]
            return
        if heading and number + 1 < len(document.blocks):
            document.keywords = document.keywords or split_keywords(document.blocks[number + 1].text)
            del document.blocks[number : number + 2]
            return


def _take_abstract(document: Document) -> None:
    blocks = document.blocks
    for number, block in enumerate(blocks[:10]):
        if block.kind == "heading" and block.text.lower() in ("abstract", "summary"):
            rest = blocks[number + 1 :]
            length = _count_parts(rest) or next(
                (n for n, b in enumerate(rest) if b.kind == "heading"), min(len(rest), 1)
            )
            document.abstract = document.abstract or join_abstract(rest[:length])
            del blocks[number : number + 1 + length]
            return
        run_in = re.match(r"(?:abstract|summary)\s*[:.—–-]+\s*(?=\S)", block.text, re.IGNORECASE)
        if run_in and block.kind == "paragraph":
            document.abstract = document.abstract or block.text[run_in.end() :]
            del blocks[number]
            return


def _count_parts(blocks: list[Block]) -> int:
    """How many blocks a structured abstract has, from "Background" to "Conclusions"; 0 where it has no such parts."""
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        if block.kind == "heading":
            name = block.text.lower().rstrip(" .:")
            if name in seen or (number and name == "introduction") or not _ABSTRACT_PARTS.fullmatch(name):
                is_short = sum(len(part.text) for part in blocks[:number]) < MAX_ABSTRACT
                return number if len(seen) > 1 and is_short else 0
            seen.add(name)
        elif not number:
            return 0
    return 0


def find_doi(text: str) -> str:
    """The first DOI in a text, without the punctuation that follows it, or ""."""
    match = _DOI.search(text)
    if not match:
        return ""
    doi = match[0].rstrip(".,;:'’”")
    while doi.endswith(")") and doi.count(")") > doi.count("("):
        doi = doi[:-1].rstrip(".,;:")
    return doi


def split_keywords(text: str) -> list[str]:
    """Keywords written in one line, set apart by semicolons or, without any, by commas, dots in the middle or bars."""
    separator = next((sign for sign in (";", "[·•∙|]", r"\s–\s") if re.search(sign, text)), r",(?!\d)")
    parts = re.split(separator, text)
    words = (clean_text(part).strip(" .,:") for part in parts)
    return list(dict.fromkeys(word for word in words if 1 < len(word) <= 100))
