"""What comes before a paper's text: abstracts, keywords and summaries, found among the blocks of any format.

An abstract ends where its container ends, else at the next heading that is not below its own, with two exceptions:

    Abstract / Background / Methods / Conclusions / Introduction / Methods ...   names that come back: the abstract's
                                                                                 own end before they do
    Abstract (level 2) / Introduction (level 3) / ... / References (level 2)     no text would be left: it ends at the
                                                                                 first heading that is not its own

The abstract and keywords in the paper's own language are kept; others, and summaries for editors or lay readers,
are counted in `cut` as "other abstracts".
"""

from dataclasses import dataclass, field

from sciqag_lib.ingest.document import Block, Document, join_abstract
from sciqag_lib.ingest.headings import (
    SECTION_NAMES,
    bare_heading,
    find_abstract_language,
    find_abstract_part,
    find_boilerplate_kind,
    find_keywords_language,
    guess_language,
    is_other_abstract,
    match_abstract_line,
    match_keywords_line,
    may_end_paper,
    split_keywords,
)

LONGEST_PART = 3000  # characters under one heading of a structured abstract
LONGEST_ABSTRACT = 8000
LONGEST_FRONT = 6000  # authors, addresses and links before an abstract
MOST_ABSTRACTS = 12  # a page that repeats the heading a thousand times must not take a thousand times as long
MOST_HEADINGS = 60  # after an abstract, among which its own names may come back
FRONT_BLOCKS = 15  # among which keywords without a heading are looked for


@dataclass
class Front:
    """What was found, in reading order."""

    abstracts: list[tuple[str, list[Block]]] = field(default_factory=list)  # language, or "" for other summaries
    keywords: list[tuple[str, list[str]]] = field(default_factory=list)


def take_front(document: Document, language: str = "", has_levels: bool = True) -> None:
    """Abstract and keywords, taken out of the blocks into their fields; what a field already holds is kept.

    `language` is the paper's, where the file tells. Without `has_levels` (text, PDF) a heading's level says nothing,
    and only the next paragraph belongs to an abstract or keywords after which no heading follows.
    """
    front = Front()
    start = find_abstract(document.blocks)
    while 0 <= start and len(front.abstracts) < MOST_ABSTRACTS and _is_front(document.blocks[:start], front):
        if has_levels:
            start -= _cut_authors(document, start, front)
        _take_abstract(document, start, front, has_levels)
        start = find_abstract(document.blocks)
    _take_keywords(document, front, has_levels)
    text = "\n".join(block.text for block in document.blocks if block.kind == "paragraph")
    language = language or guess_language(text)
    if language and front.abstracts:
        _cut_late_abstracts(document, language, has_levels)
    _choose(document, front, language)


def _is_front(blocks: list[Block], front: Front) -> bool:
    """Whether what comes before an abstract can be authors and links, and not the paper's text."""
    has_heading = any(block.kind == "heading" and not find_keywords_language(block.text) for block in blocks)
    return sum(len(block.text) for block in blocks) <= LONGEST_FRONT and not (front.abstracts and has_heading)


def find_abstract(blocks: list[Block]) -> int:
    """Where the next abstract or other summary before the text starts, or -1; a "Summary" that ends a paper is none."""
    headings = 0
    for number, block in enumerate(blocks):
        if block.kind != "heading":
            name = match_abstract_line(block.text)[0] if number < 10 and block.kind == "paragraph" else ""
            if name and not (headings and may_end_paper(block.text.split(":")[0])):
                return number
            continue
        if block.group or is_other_abstract(block.text):
            return number
        if find_abstract_language(block.text):
            return -1 if headings and may_end_paper(block.text) else number
        if SECTION_NAMES.fullmatch(bare_heading(block.text)):
            return -1
        headings += not find_keywords_language(block.text)
    return -1


def find_abstract_end(blocks: list[Block], start: int, has_levels: bool = True) -> int:
    """One past the last block of the abstract whose heading is at `start`."""
    level, group = blocks[start].level, blocks[start].group
    rest = range(start + 1, len(blocks))
    opens_next = (n for n in rest if blocks[n].kind == "heading" and _opens_abstract(blocks[n]))
    limit = next(opens_next, len(blocks))
    if group:
        return min(limit, next((n for n in rest if blocks[n].group != group), len(blocks)))
    headings = [n for n in rest if n < limit and blocks[n].kind == "heading"]
    if not headings and limit == len(blocks) and not has_levels:
        return min(start + 2, limit)
    by_level = next((n for n in headings if not has_levels or blocks[n].level <= level), limit)
    is_structured = bool(headings) and headings[0] == start + 1
    own, comes_back = _count_own(blocks, headings[:MOST_HEADINGS]) if is_structured else (0, False)
    by_name = headings[own] if own < len(headings) else limit
    if comes_back and own:
        return by_name
    size = sum(len(block.text) for block in blocks[start:by_level])
    return by_level if size <= LONGEST_ABSTRACT and _holds_text(blocks[by_level:]) else min(by_name, by_level)


def _opens_abstract(block: Block) -> bool:
    name = block.text
    return is_other_abstract(name) or (find_abstract_language(name) != "" and not may_end_paper(name))


def _count_own(blocks: list[Block], headings: list[int]) -> tuple[int, bool]:
    """How many of the headings after an abstract's are its own, and whether their names come back in the text."""
    names = [find_abstract_part(blocks[n].text) for n in headings]
    ends = [*headings[1:], len(blocks)]
    sizes = [sum(len(block.text) for block in blocks[n + 1 : end]) for n, end in zip(headings, ends, strict=True)]
    length = next((n for n, size in enumerate(sizes) if not names[n] or size > LONGEST_PART), len(names))
    repeated = ("opening", "methods", "results")
    back = next(
        (n for n, name in enumerate(names) if n and name in repeated and name in names[: min(n - 1, length)]), -1
    )
    run = names[:length] if back < 0 else names[: min(length, back)]
    last_end = next((n for n in reversed(range(len(run))) if run[n] == "end"), -1)
    opening = next((n for n, name in enumerate(run) if n and name == "opening"), 0)
    if back >= 0 and len(set(run)) > 1:
        return last_end + 1 or opening or len(run), True
    following = blocks[headings[length]].text if length < len(headings) else "References"
    is_whole = last_end == length - 1 and not find_boilerplate_kind(following)
    return opening or (length if length and is_whole else 0), False


def _holds_text(blocks: list[Block]) -> bool:
    """Whether a section of the paper with text is among the blocks."""
    is_kept = False
    for block in blocks:
        if block.kind == "heading":
            name = block.text
            is_kept = not (find_boilerplate_kind(name) or find_keywords_language(name) or _opens_abstract(block))
        elif is_kept:
            return True
    return False


def _cut_authors(document: Document, size: int, front: Front) -> int:
    """Cut the blocks before an abstract: authors, addresses and links, but for keywords; how many were removed."""
    part = Document(blocks=document.blocks[:size])
    _take_keywords(part, front, True)
    document.cut["title and authors"] += sum(len(block.text) for block in part.blocks)
    del document.blocks[:size]
    return size


def _take_abstract(document: Document, start: int, front: Front, has_levels: bool) -> None:
    opening = document.blocks[start]
    if opening.kind == "paragraph":  # "Abstract: Oxygen fell."
        language, text = match_abstract_line(opening.text)
        front.abstracts.append((language, [Block("paragraph", text)]))
        del document.blocks[start]
        return
    end = find_abstract_end(document.blocks, start, has_levels)
    part = Document(blocks=document.blocks[start:end])
    del document.blocks[start:end]
    _take_keywords(part, front, has_levels)
    language = "" if is_other_abstract(opening.text) else find_abstract_language(opening.text) or "en"
    front.abstracts.append((language, part.blocks))


def _take_keywords(document: Document, front: Front, has_levels: bool) -> None:
    """Keywords in lines of their own near the start, and under headings anywhere."""
    for block in list(document.blocks[:FRONT_BLOCKS]):
        language, words = match_keywords_line(block.text) if block.kind == "paragraph" else ("", "")
        if language:
            front.keywords.append((language, split_keywords(words)))
            document.blocks.remove(block)
    for block in [block for block in document.blocks if block.kind == "heading"]:
        language = find_keywords_language(block.text)
        if language:
            start = next(n for n, other in enumerate(document.blocks) if other is block)
            front.keywords.append((language, _take_list(document, start, has_levels)))


def _take_list(document: Document, start: int, has_levels: bool) -> list[str]:
    rest = document.blocks[start + 1 :]
    size = next((n for n, block in enumerate(rest) if block.kind == "heading"), len(rest))
    size = size if has_levels else min(size, 1)
    del document.blocks[start : start + 1 + size]
    lines = [block.text for block in rest[:size]]
    return lines if len(lines) > 1 else split_keywords("".join(lines))


def _cut_late_abstracts(document: Document, language: str, has_levels: bool) -> None:
    """Abstracts in another language than the paper's that follow the text."""
    names = [block for block in document.blocks if block.kind == "heading"]
    late = [block for block in names if find_abstract_language(block.text) not in ("", language)]
    for block in late[:MOST_ABSTRACTS]:
        if any(other is block for other in document.blocks):
            start = next(n for n, other in enumerate(document.blocks) if other is block)
            end = find_abstract_end(document.blocks, start, has_levels)
            document.cut["other abstracts"] += sum(len(part.text) for part in document.blocks[start:end])
            del document.blocks[start:end]


def _choose(document: Document, front: Front, language: str) -> None:
    proper = [(code, blocks) for code, blocks in front.abstracts if code and join_abstract(blocks)]
    chosen = next((blocks for code, blocks in proper if code == language), proper[0][1] if proper else [])
    document.abstract = document.abstract or join_abstract(chosen)
    for _, blocks in front.abstracts:
        if blocks is not chosen:
            document.cut["other abstracts"] += sum(len(block.text) for block in blocks)
    own = [words for code, words in front.keywords if code == language] or [words for _, words in front.keywords[:1]]
    document.keywords = document.keywords or list(dict.fromkeys(word for words in own for word in words))
