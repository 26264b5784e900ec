"""The title of a PDF: the file's metadata where the first page bears it out, or the largest type that is no masthead.

Hydrologica                       36 pt, one word: the journal's name
RESEARCH ARTICLE                  a label
An invented paper about a river   16 pt: the title
A. Nobody, B. Noone
"""

import re
from itertools import groupby

from sciqag_lib.ingest.document import Document
from sciqag_lib.ingest.headings import SECTION_NAMES, bare_heading
from sciqag_lib.ingest.pdf.lines import Line
from sciqag_lib.ingest.text import join_lines
from sciqag_lib.records.dois import find_doi

MAX_TITLE = 400  # characters
_JUNK = re.compile(
    r"untitled\b|microsoft word|powerpoint|(?:doi:?\s*)?10\.\d{4,9}/|.*\.(?:docx?|pdf|tex|dvi|indd|rtf|odt|qxd|eps)$"
    r"|\S*$|(?:pii|manuscript|layout|template|document|article|paper)\b[\s:_-]*\S*$|arxiv",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"(?:an? )?(?:(?:original|research|review|regular|short|brief|full|full-length|systematic|invited|clinical|case"
    r"|open|rapid|technical|data|mini) ?-?)*(?:articles?|papers?|reviews?|reports?|communications?|letters?|notes?"
    r"|research|access|study|commentary|perspectives?|editorial|methods?|protocol)\b.{0,20}"
    r"|peer-?reviewed|check for updates"
    r"|.{0,40}\bjournals?\b.{0,60}|proceedings of .*|annals of .*|transactions on .*|(?:www\.|https?:).*|.*©.*"
    r"|(?:elsevier|springer|wiley|plos|bmc|biomed central|mdpi|frontiers|nature|hindawi|sage|oxford|cambridge"
    r"|taylor & francis|iop|acs|rsc|ieee|copernicus|peerj|elife|science ?direct)\b.{0,30}",
    re.IGNORECASE,
)


def take_title(lines: list[Line], metadata: str, body: float, document: Document) -> None:
    """Set `document.title` and remove its lines, and the masthead above it, from `lines`."""
    title = _match_metadata(lines, metadata) or _find_largest(lines, body)
    if not title:
        return
    document.title = join_lines([line.text for line in title])
    first = lines.index(title[0])
    masthead = [line for line in lines if line.page == 0 and _is_masthead(line, title[0])]
    document.doi = next(filter(None, (find_doi(line.text) for line in lines[:first])), "")
    document.cut["masthead"] += sum(len(line.text) for line in masthead)
    dropped = {id(line) for line in title + masthead}
    lines[:] = [line for line in lines if id(line) not in dropped]


def _is_masthead(line: Line, title: Line) -> bool:
    """Whether a line above the title is no part of the text: short, larger than the text or a label."""
    return line.top < title.top and (line.size > title.size or _LABEL.fullmatch(line.text) is not None)


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).lower()


def _match_metadata(lines: list[Line], metadata: str) -> list[Line]:
    """The lines of the first page that make up the title in the metadata; [] where it is junk or not on the page."""
    wanted = _letters(metadata)
    if len(metadata.split()) < 3 or len(wanted) < 12 or len(metadata) > MAX_TITLE or _JUNK.match(metadata):
        return []
    if _LABEL.fullmatch(metadata):
        return []
    page = [line for line in lines if line.page == 0]
    for start in range(len(page)):
        found = ""
        for end in range(start, min(start + 8, len(page))):
            found += _letters(page[end].text)
            if not found or not wanted.startswith(found):
                break
            if found == wanted:
                return page[start : end + 1]
    return []


def _find_largest(lines: list[Line], body: float) -> list[Line]:
    """The largest type of the first page's upper part, before the abstract; names and labels only if nothing else."""
    upper = [line for line in lines if line.page == 0 and line.top < 0.5]
    abstract = min((line.top for line in upper if SECTION_NAMES.fullmatch(bare_heading(line.text))), default=1.0)
    upper = [line for line in upper if line.size > body + 1 and line.top < abstract]
    groups = [list(group) for _, group in groupby(upper, key=lambda line: (line.box, round(line.size)))]
    groups = _join_groups(groups)
    groups = [group for group in groups if 3 < sum(len(line.text) for line in group) < MAX_TITLE]
    return max(groups, key=lambda group: (_is_sentence_like(group), round(group[0].size)), default=[])


def _join_groups(groups: list[list[Line]]) -> list[list[Line]]:
    """Groups of one size that follow each other are one title, though each line is a box."""
    joined: list[list[Line]] = []
    for group in groups:
        if joined and abs(joined[-1][-1].size - group[0].size) < 0.5:
            joined[-1] += group
        else:
            joined.append(group)
    return joined


def _is_sentence_like(group: list[Line]) -> bool:
    """Whether type has as many words as titles have, and is no journal's name, label or list of authors."""
    text = " ".join(line.text for line in group)
    is_names = "," in text and re.search(r"(?<!\S)(?!and\b|de\b|van\b|von\b|der\b|da\b)[a-z]{2}", text) is None
    return len(text.split()) >= 4 and not is_names and _LABEL.fullmatch(text) is None
