"""From files to prepared papers: finds the files, picks the reader by content, judges what is worth keeping.

for item in read_papers("papers/"):
    # PreparedPaper(paper=Paper(doi="10.1371/journal.pone.0000217", ...), keywords_origin="extracted", ...)
    # Skipped(source="erratum.xml", doi="10.1371/...", title="Correction: ...", reason="a correction")
    # BadRecord(file="broken.xml", record="", field="", message="broken XML at line 3, ...")
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.ingest.document import Document, cut_boilerplate, make_paper
from sciqag_lib.ingest.workers import WorkerDied, Workers
from sciqag_lib.records.dois import DOI, bare_doi
from sciqag_lib.records.papers import Paper, read_papers_json

RECORD_SUFFIXES = (".json", ".jsonl", ".ndjson")
SUFFIXES = (".xml", ".nxml", ".tei", ".pdf", ".html", ".htm", ".xhtml", ".txt", ".text", ".md", ".markdown", ".mmd",
            *RECORD_SUFFIXES)  # fmt: skip
MIN_BODY = 200  # characters: less is a title page or a notice, not a paper
# JATS article types that are no papers; "letter", "discussion" and the like do have a text worth asking about.
NOT_PAPERS = {
    "correction": "a correction", "corrected-article": "a correction", "erratum": "a correction",
    "addendum": "an addendum", "retraction": "a retraction", "partial-retraction": "a retraction",
    "expression-of-concern": "an expression of concern", "editorial": "an editorial", "book-review": "a book review",
    "product-review": "a product review", "announcement": "an announcement", "calendar": "a calendar",
    "obituary": "an obituary", "news": "news", "meeting-report": "a meeting report", "introduction": "an introduction",
}  # fmt: skip
_NOTICE = re.compile(
    r"\W*(?:author'?s? |publisher'?s? |formal )?(?P<kind>corrections?|corrigend(?:um|a)|errat(?:um|a)|"
    r"retract(?:ion|ed)|addend(?:um|a)"
    r"|expressions? of concern|editorial)(?: (?:note|notice|article))?\s*(?:[:\]—–]|(?: to|for):|$)",
    re.IGNORECASE,
)


@dataclass
class PreparedPaper:
    """A paper and what a person should know of how it came about."""

    paper: Paper
    doi_origin: str = "paper"  # or "hash of the text"
    keywords_origin: str = "paper"  # "extracted", or "none" where there is nothing to extract
    license: str = ""  # as far as the file tells
    tables: int = 0
    captions: int = 0
    equations: int = 0  # that stand alone; those inside a paragraph are part of it
    cut: dict[str, int] = field(default_factory=dict)  # characters removed by kind; "(number)" kinds are counts
    notes: list[str] = field(default_factory=list)


@dataclass
class Skipped:
    """A readable file that is no paper to ask about, or was read before."""

    source: str
    doi: str
    title: str
    reason: str


Item = PreparedPaper | Skipped | BadRecord
FileTask = tuple[str, Path, str | None]  # its name, the folder to which that is relative, grobid_url
InputPath = str | Path | list[str | Path]


def find_files(input_path: InputPath) -> list[tuple[str, Path]]:
    """The files below each path, sorted: the name each goes by in reports, and the folder to which that is relative.

    InputError: a path that does not exist, or no path at all.
    """
    paths = [Path(path) for path in (input_path if isinstance(input_path, list) else [input_path])]
    if not paths:
        raise InputError("input_path: expected a file, a folder or a list of them, found an empty list")
    files: list[tuple[str, Path]] = []  # a Path a file would take five times the memory
    found: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder; give the path of your papers")
        folder = path if path.is_dir() else path.parent
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            name = file.relative_to(folder).as_posix()
            hidden = any(part.startswith((".", "__")) for part in name.split("/"))
            if not hidden and file.is_file() and file.resolve() not in found:
                found.add(file.resolve())
                files.append((name, folder))
    return files


def read_papers(input_path: InputPath) -> Iterator[Item]:
    """Every paper below `input_path`, one at a time: files of one name sorted, records in their order.

    Duplicates (by normalised DOI) are skipped; a file that cannot be read is a BadRecord and the next one goes
    on. InputError: a path that does not exist.
    """
    yield from read_files(find_files(input_path), Workers(1))


def read_files(files: Iterable[tuple[str, Path]], workers: Workers, grobid_url: str | None = None) -> Iterator[Item]:
    """As `read_papers`, for files already found, each read by one of the workers."""
    first_sources: dict[str, str] = {}
    tasks = ((name, folder, grobid_url) for name, folder in files)
    for (name, folder, _), items in workers.map(read_file, tasks, _name_dead, name=lambda task: task[0]):
        for item in _read_json(name, folder / name) if items is None else items:
            yield _skip_duplicate(item, first_sources)


def _name_dead(task: FileTask, death: WorkerDied) -> list[Item]:
    return [BadRecord(task[0], "", "", f"two workers died reading it ({death}): out of memory? Convert it to text")]


def _skip_duplicate(item: Item, first_sources: dict[str, str]) -> Item:
    if not isinstance(item, PreparedPaper):
        return item
    paper = item.paper
    if paper.key in first_sources:
        return Skipped(
            paper.source, paper.doi, paper.title, f"a duplicate: {first_sources[paper.key]} has the same DOI"
        )
    first_sources[paper.key] = paper.source
    return item


def read_file(task: FileTask) -> list[Item] | None:
    """The papers in a file; None for one of records, which may be larger than memory and is read bit by bit."""
    name, folder, grobid_url = task
    suffix = Path(name).suffix.lower()
    if suffix in RECORD_SUFFIXES:
        return None
    if suffix not in SUFFIXES:
        return [Skipped(name, "", "", f"files of type {suffix or '(none)'} are not read")]
    try:
        documents = read_documents((folder / name).read_bytes(), suffix, grobid_url)
        return [prepare_document(document, name) for document in documents]
    except Exception as error:
        return [_make_bad_record(name, folder / name, error)]


def _make_bad_record(name: str, path: Path, error: Exception) -> BadRecord:
    if isinstance(error, InputError):
        message = str(error).removeprefix(f"{path}: ")
    elif isinstance(error, OSError):
        message = f"cannot be read: {error.strerror}"
    else:  # in one file, it must not cost the others
        message = f"cannot be read ({type(error).__name__}: {error}): a fault of the reader, please report it"
    return BadRecord(name, "", "", message)


def read_documents(data: bytes, suffix: str, grobid_url: str | None = None) -> list[Document]:
    """The documents in a file's bytes (several in a PubMed Central article set). InputError: not readable."""
    start = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if suffix == ".pdf" or start.startswith(b"%pdf-"):
        from sciqag_lib.ingest.pdf.grobid import read_by_grobid
        from sciqag_lib.ingest.pdf.pdf import read_pdf

        return [read_by_grobid(data, grobid_url) if grobid_url else read_pdf(data)]
    if suffix in (".html", ".htm", ".xhtml") or start.startswith((b"<!doctype html", b"<html")):
        from sciqag_lib.ingest.pages.html import read_html

        return [read_html(data)]
    if suffix in (".xml", ".nxml", ".tei"):
        from sciqag_lib.ingest.xml.tag_sets import read_xml

        return read_xml(data)
    from sciqag_lib.ingest.text import read_text

    return [read_text(data)]


def prepare_document(document: Document, source: str) -> PreparedPaper | Skipped:
    """What a reader found, its boilerplate cut; Skipped where it is no paper."""
    reason = NOT_PAPERS.get(document.article_type.lower()) or _find_notice(document.title)
    if reason:
        return Skipped(source, document.doi, document.title, reason)
    cut_boilerplate(document)
    paper = make_paper(document, source)
    body = sum(len(block.text) for block in document.blocks if block.kind != "heading")
    if body < MIN_BODY:
        return Skipped(source, paper.doi, paper.title, f"no body: {body} characters of text")
    kinds = [block.kind for block in document.blocks]
    prepared = PreparedPaper(
        paper,
        license=document.license,
        tables=kinds.count("table"),
        captions=kinds.count("caption"),
        equations=kinds.count("equation"),
        cut={kind: count for kind, count in document.cut.most_common() if count},
        notes=document.notes,
    )
    _complete(prepared)
    return prepared


def _find_notice(title: str) -> str:
    match = _NOTICE.match(title)
    return f"its title says it is a notice ({match['kind'].lower()})" if match else ""


def _complete(prepared: PreparedPaper) -> None:
    """A DOI from the text's hash where the paper has none, and where its keywords are from."""
    paper = prepared.paper
    doi = bare_doi(paper.doi)
    if not DOI.fullmatch(doi):
        if doi:
            prepared.notes.append(f"{doi!r:.80} is no DOI and was replaced")
        doi = "sha256:" + hashlib.sha256(paper.txt.encode("utf-8")).hexdigest()[:16]
        prepared.doi_origin = "hash of the text"
    prepared.paper = replace(paper, doi=doi)
    if not paper.keywords:
        prepared.keywords_origin = "extracted"


def _read_json(name: str, path: Path) -> Iterator[Item]:
    """Records of the published format: the text is kept to the letter, because offsets may refer to it."""
    try:
        for paper in read_papers_json(path, required=("txt",)):
            if isinstance(paper, BadRecord):
                yield BadRecord(name, paper.record, paper.field, paper.message)
            else:
                paper.source = paper.source or name
                yield _prepare_record(paper)
    except (InputError, OSError) as error:
        yield _make_bad_record(name, path, error)


def _prepare_record(paper: Paper) -> PreparedPaper | Skipped:
    reason = _find_notice(paper.title)
    if reason or len(paper.txt) < MIN_BODY:
        reason = reason or f"no body: {len(paper.txt)} characters of text"
        return Skipped(paper.source, paper.doi, paper.title, reason)
    prepared = PreparedPaper(paper, notes=["a published record: its text is kept to the letter"])
    if paper.doi:
        prepared.keywords_origin = "paper" if paper.keywords else "extracted"
    else:
        _complete(prepared)
    return prepared
