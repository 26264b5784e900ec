r"""Model text to keywords and question-answer pairs, and the published text form back again.

The published form (SciQAG, arXiv 2405.09939), one reply for one paper:

    Keywords: gene flow, microsatellites

    Q1: How many loci were genotyped?
    A1: Eleven loci were genotyped in 240 individuals.

Also read: `Q:`/`A:`, `Question 1:`, `Q1.`, `Q1)`, `1. question` with an `A:` line, the same in the languages and
scripts of labels.py (`问题1：`, `【Q1】`), markdown (headings, bold, bullets, tables) and JSON (`{"Q": ..., "A": ...}`
and its relatives, nested, one per line, fenced or cut short).
Reasoning text before or between the pairs is skipped. What can't be read is named, never guessed at:

    >>> parse_reply("Q1: How many loci?\nA1: Eleven.\n\nQ2: Where").problems
    ['question_without_answer']

Every pattern below is anchored at the start of a line and bounded in length, or can't fail once it has begun,
so that the time needed grows linearly with the text whatever a model writes.
"""

import re
from dataclasses import dataclass, field
from itertools import zip_longest

from sciqag_lib.generation.parsing_json import JSON_FIELD, JSON_START, read_json
from sciqag_lib.inference import labels
from sciqag_lib.inference.replies import strip_reasoning
from sciqag_lib.records.papers import QAPair
from sciqag_lib.text.scripts import ends_as_question, is_unspaced

PROBLEMS = (
    "no_pairs",  # not one pair could be read
    "question_without_answer",  # once for each such question
    "answer_without_question",  # once for each such answer
    "truncated",  # the text ends in the middle; an answer that may be cut is left out
    "bad_json",  # a JSON reply with something in it that is not JSON
    "only_reasoning",  # a reasoning block that never ends, or has nothing after it
)


@dataclass
class ParsedReply:
    keywords: list[str] = field(default_factory=list)
    pairs: list[QAPair] = field(default_factory=list)  # in the order of the text
    problems: list[str] = field(default_factory=list)  # from PROBLEMS, one entry per occurrence


def parse_reply(text: str, finished: bool = True) -> ParsedReply:
    """Read a model's reply in any of the forms above. Never raises.

    `finished=False` says that generation was stopped by its token limit: an answer at the very end may then be
    cut, so its pair is left out and "truncated" is among the problems.
    """
    body, problems = strip_reasoning(text)
    body = labels.translate_letters(body)
    markers = find_markers(body)
    first_question = next((m.start for m in markers if m.kind == "question"), len(body) + 1)
    json_field = JSON_FIELD.search(body)
    readers = [lambda: _read_table(body), lambda: _read_marked(body, markers, finished)]
    if json_field:
        readers.insert(0 if json_field.start() < first_question else 2, lambda: _read_json(body))
    reply = ParsedReply()
    for reader in readers:
        found = reader()
        reply.problems = reply.problems or found.problems
        if found.pairs:
            reply = found
            break
        reply.keywords = reply.keywords or found.keywords
    if not reply.pairs:
        if JSON_START.match(body) and not {"bad_json", "truncated"} & set(reply.problems):
            reply.problems.append("bad_json")
        reply.problems.insert(0, "no_pairs")
    if not finished and "truncated" not in reply.problems:
        reply.problems.append("truncated")
    reply.problems = problems + reply.problems
    return reply


def format_pairs(keywords: list[str], pairs: list[QAPair]) -> str:
    """The published `Keywords:`/`Q1:`/`A1:` text; line breaks within a text become spaces."""
    blocks = ["Keywords: " + ", ".join(_one_line(keyword) for keyword in keywords)] if keywords else []
    for number, pair in enumerate(pairs, start=1):
        blocks.append(f"Q{number}: {_one_line(pair.question)}\nA{number}: {_one_line(pair.answer)}")
    return "\n\n".join(blocks)


def _one_line(text: str) -> str:
    return re.sub(r"\s*[\r\n]\s*", " ", text.strip())


_BLANK = r"[ \t\u3000\u00a0\u202f]"  # French has a narrow space before the colon
_LEAD = rf"^[ \t\u3000>]{{0,12}}(?:[-*+•・]{_BLANK}{{1,4}})?(?:#{{1,6}}[ \t]{{0,4}})?"  # quote, bullet, heading
_ITEM = rf"(?:\d{{1,3}}[.)．）、]{_BLANK}{{0,4}})?"
_CLOSE = rf"(?P<close>(?P=bold))?{_BLANK}{{0,4}}"  # emphasis ends before the colon or after it
_QUESTION_OR_ANSWER = (
    rf"{_LEAD}{_ITEM}(?P<bold>\*\*|__|\*|_)?{_ITEM}(?P<bracket>[【〔［])?"
    rf"(?:(?P<question>Q|Ｑ|{labels.QUESTION})|(?P<answer>A|Ａ|Ans|{labels.ANSWER}))"
    rf"{_BLANK}?[#(\[（]?(?P<number>{labels.NUMBER})?[)\]）]?(?(bracket)[】〕］])" + _CLOSE + "(?:"
    r"[:：](?P<close_after>(?P=bold))?"  # Q1: and Question:
    r"|(?(bracket)|(?!))"  # 【Q1】
    r"|(?(number)(?:[.)](?:(?P=bold))?(?=[ \t])|[-–—](?=[ \t])|[．）、](?!\d)|(?<=\u3000))|(?!))"  # Q1. Q1) Q1 -
    r"|(?P<alone>$))"  # a line of its own
)
_KEYWORDS = (
    rf"{_LEAD}(?:\*\*|__|\*|_)?(?P<key_bracket>[【〔［])?(?:[Ss]tep 1[:.] ?)?(?P<keywords>{labels.KEYWORDS})"
    rf"(?(key_bracket)[】〕］])(?:\*\*|__|\*|_)?{_BLANK}{{0,4}}(?:[:：](?:\*\*|__|\*|_)?|$|(?(key_bracket)|(?!)))"
)
_NUMBERED = (
    rf"{_LEAD}(?P<bold_item>\*\*|__)?(?P<item>\d{{1,3}})"
    rf"(?:[.)](?P<close_item>(?P=bold_item))?[ \t]{{1,4}}|[．）、](?!\d){_BLANK}{{0,4}})(?=\S)"
)
_TITLE = (
    _LEAD + r"(?:\*\*|__)?(?P<title>(?:Q ?[&/]? ?A|Question(?:-| (?:and )?)Answer)s?(?: [Pp]airs?)?|[Pp]airs?"
    r"|问答对?|問答|问题[与和及]答案|質問と回答|질문과 답변)"
    r"[ \t]{0,4}#?\d{0,3}[:：]?(?:\*\*|__)?[:：]?[ \t]{0,4}$"
)
_HEADING = r"^[ \t]{0,3}(?P<heading>#{1,6}[ \t][^\n]*)"
MARKER = re.compile("|".join((_QUESTION_OR_ANSWER, _KEYWORDS, _NUMBERED, _TITLE, _HEADING)), re.MULTILINE)
LINE = re.compile(r"[^\n]*")
MARKUP_LINE = re.compile(r"^[ \t]*(?:```[\w-]*|[-*_=]{3,})[ \t]*$", re.MULTILINE)
CLOSING_REMARK = re.compile(r"\n\s*\n(?:I hope (?:this|these)|(?:Please )?[Ll]et me know|Feel free)[^\n]*\Z")
INLINE_MARKER = re.compile(
    rf"(?:(?<=[.?!*)])[ \t]{{1,4}}|(?<=[。？！؟])[ \t\u3000]{{0,4}})(?:\*\*)?"
    rf"(?P<kind>Q|A|Ｑ|Ａ|{labels.QUESTION}|{labels.ANSWER}) ?(?P<number>{labels.NUMBER})?[:：]"
)


@dataclass
class Marker:
    """Where a question, an answer, the keywords or something that ends them begins."""

    kind: str  # "question", "answer", "keywords", "item" (a numbered line), "break"
    number: str  # "" where it has none
    start: int
    end: int  # where the text begins that it opens
    open_bold: str = ""  # emphasis opened before the marker and not closed by it


def find_markers(text: str) -> list[Marker]:
    """Every line that opens something, less those that only look so (a numbered list in an answer)."""
    markers = []
    for match in MARKER.finditer(text):
        kind = next(k for k in ("question", "answer", "keywords", "item", "title", "heading") if match[k])
        if match["alone"] is not None and not match["number"] and len(match["question"] or match["answer"]) == 1:
            continue  # a letter on a line
        closed = match["close"] or match["close_after"] or match["close_item"]
        open_bold = "" if closed else match["bold"] or match["bold_item"]
        number = labels.read_number(match["number"] or match["item"] or "")
        kind = "break" if kind in ("title", "heading") else kind
        markers.append(Marker(kind, number, match.start(), match.end(), open_bold or ""))
    return _drop_lookalikes(text, markers)


def _drop_lookalikes(text: str, markers: list[Marker]) -> list[Marker]:
    """A numbered line is a question only where no `Q` marker stands and an answer follows it; an unnumbered
    `Q:` or `A:` within an answer is text (a base, a quality factor) where the questions are numbered."""
    numbered = any(m.kind == "question" and m.number for m in markers)
    has_questions = any(m.kind == "question" for m in markers)
    has_answers = any(m.kind == "answer" for m in markers)
    kept: list[Marker] = []
    for index, marker in enumerate(markers):
        in_answer = bool(kept) and kept[-1].kind == "answer"
        if marker.kind == "item":
            following = markers[index + 1].kind if index + 1 < len(markers) else ""
            line = LINE.match(text, marker.end)[0]
            asks = following == "answer" if has_answers else ends_as_question(line.rstrip(" \t*_"))
            if has_questions or not asks and not INLINE_MARKER.search(line):
                continue
            marker.kind = "question"
        elif marker.kind == "question" and numbered and not marker.number:
            continue
        elif marker.kind == "answer" and in_answer and marker.number in ("", kept[-1].number):
            continue
        kept.append(marker)
    return kept


def _read_marked(text: str, markers: list[Marker], finished: bool) -> ParsedReply:
    reply = ParsedReply()
    ends = [marker.start for marker in markers[1:]] + [len(text)]
    has_answers = any(marker.kind == "answer" for marker in markers)
    question, num_pairs, num_problems = "", 0, 0  # the question that waits for its answer; before the last marker
    for marker, end in zip(markers, ends):
        content, num_pairs, num_problems = text[marker.end : end], len(reply.pairs), len(reply.problems)
        if marker.kind == "keywords":
            reply.keywords = reply.keywords or split_keywords(content)
        elif marker.kind == "answer":
            _add_pair(reply, question, _clean(content, marker.open_bold))
            question = ""
        elif marker.kind == "question":
            _add_pair(reply, question, "")
            *whole, (question, answer) = _split_inline(marker, content, has_answers)
            for pair in whole:
                _add_pair(reply, *pair)
            num_pairs = len(reply.pairs)
            if answer:
                _add_pair(reply, question, answer)
                question = ""
    if finished:
        _add_pair(reply, question, "")
    elif len(reply.pairs) > num_pairs:
        reply.pairs.pop()  # the text ends inside its answer
    elif markers and markers[-1].kind == "answer":
        del reply.problems[num_problems:]  # or before its first word
    return reply


def _add_pair(reply: ParsedReply, question: str, answer: str) -> None:
    if question and answer:
        reply.pairs.append(QAPair(question=question, answer=answer))
    elif question or answer:
        reply.problems.append("question_without_answer" if question else "answer_without_question")


def _split_inline(marker: Marker, content: str, has_answers: bool) -> list[tuple[str, str]]:
    """Questions with the answers that stand in the same block, "" where none does: `Q1: ...? A1: ... Q2: ...? A2: ...`
    on one line, or, in a reply without a single answer marker, the lines after the question's own."""
    if not content.strip():
        return [("", "")]
    parts, start, kind, number = [], 0, "question", int(marker.number or 0)
    for match in INLINE_MARKER.finditer(content):
        expected = number + 1 if kind == "answer" else number
        found, found_number = labels.name_label(match["kind"]), labels.read_number(match["number"] or "")
        if found == kind or (found_number or str(expected)) != str(expected):
            continue
        if kind == "answer" and not found_number:
            continue  # a quality factor
        parts.append(content[start : match.start()])
        start, kind, number = match.end(), found, expected
    parts.append(content[start:])
    texts = [_clean(part, marker.open_bold) for part in parts]
    if len(texts) == 1 and not has_answers:
        first, _, rest = texts[0].partition("\n")
        if ends_as_question(first.rstrip("*_ ")) and rest.strip():
            texts = [_clean(first, marker.open_bold), rest.strip()]
    return list(zip_longest(texts[::2], texts[1::2], fillvalue=""))


def _clean(content: str, open_bold: str = "") -> str:
    """One text without fences, rules, closing remarks and emphasis around the whole."""
    content = content.strip()
    if "\n" in content:
        content = CLOSING_REMARK.sub("", MARKUP_LINE.sub("", content).strip())
        content = re.sub(r"\n[ \t]*\n\s*", "\n\n", content)
    if open_bold:
        first, line_break, rest = content.partition("\n")
        content = first.rstrip().removesuffix(open_bold) + line_break + rest
    for mark in ("**", "__"):
        if len(content) > 4 and content.startswith(mark) and content.endswith(mark) and content.count(mark) == 2:
            content = content[2:-2]
    return content.strip()


OPENING_BRACKET, CLOSING_BRACKET = re.compile(r"[(（]"), re.compile(r"[)）]")
BULLET = re.compile(r"[ \t\u3000]{0,12}(?:(?:[-*+•・]|\d{1,3}[.)])[ \t\u3000]{1,4}|[•・]|\d{1,3}[．）、])")


def split_keywords(content: str) -> list[str]:
    """Keywords of a comma- or semicolon-separated line, or of a list with one on each line.

    >>> split_keywords("1,2-dichloroethane, spectroscopy (NMR, MS); [gene flow].")
    ['1,2-dichloroethane', 'spectroscopy (NMR, MS)', 'gene flow']
    """
    keywords: list[str] = []
    continued = False
    for line in content.strip(" \t").split("\n"):
        bullet = BULLET.match(line)
        line = line[bullet.end() :].strip() if bullet else line.strip()
        if not line and keywords or line.endswith((":", "：")):
            break
        if keywords and not bullet and not continued:
            break
        keywords += _split_commas(line)
        continued = line.endswith(tuple(",;，；、،"))
    return keywords


def _split_commas(line: str) -> list[str]:
    balanced = len(OPENING_BRACKET.findall(line)) == len(CLOSING_BRACKET.findall(line))
    parts, start, depth = [], 0, 0
    for match in re.finditer(r"[(),;（），；、،]", line):
        char, after = match[0], line[match.end() : match.end() + 1]
        depth += (char in "(（") - (char in ")）")
        if char in "()（）" or depth > 0 and balanced:  # a comma in brackets belongs to its keyword
            continue
        # A comma inside a chemical name has no space after it; in a script without spaces none has.
        if char != "," or not after.isalnum() or is_unspaced(after):
            parts.append(line[start : match.start()])
            start = match.end()
    parts.append(line[start:].strip().rstrip("。").removesuffix("."))
    stripped = [part.strip(" \t\u3000*_") for part in parts]
    bare = [part[1:-1].strip() if re.fullmatch(r"\[.*\]|【.*】|「.*」", part) else part for part in stripped]
    return [part for part in bare if part]


TABLE_ROW = re.compile(r"^[ \t]*\|([^\n]*)\|[ \t]*$", re.MULTILINE)


def _read_table(text: str) -> ParsedReply:
    """Rows of the first markdown table that has a question and an answer column."""
    reply = ParsedReply()
    for header in TABLE_ROW.finditer(text):
        kinds = [labels.name_label(re.sub(r"s$", "", name.strip(" *_"))) for name in header[1].split("|")]
        if "question" in kinds and "answer" in kinds:
            break
    else:
        return reply
    column = {kind: kinds.index(kind) for kind in ("question", "answer")}
    for line in text[header.end() :].split("\n")[1:]:
        if not line.strip().startswith("|"):
            break
        cells = [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:])]
        if line.strip(" \t|:-") and len(cells) > max(column["question"], column["answer"]):
            _add_pair(reply, _clean(cells[column["question"]]), _clean(cells[column["answer"]]))
    above = [marker for marker in find_markers(text[: header.start()]) if marker.kind == "keywords"]
    reply.keywords = split_keywords(text[above[0].end : header.start()]) if above else []
    return reply


def _read_json(text: str) -> ParsedReply:
    keywords, pairs, problems = read_json(text)
    reply = ParsedReply(split_keywords(keywords[0]) if len(keywords) == 1 else keywords)
    for question, answer in pairs:
        _add_pair(reply, question, answer)
    reply.problems += problems
    return reply
