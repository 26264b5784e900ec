"""The main job of notebook 01: paper files in, `papers.json` and `prepare_report.json` out, on all cores.

Files are read in one process each, duplicates dropped in the order of the files, and keywords found for BATCH_PAPERS
papers at a time: a batch holds the same papers whatever the number of workers, so the output has the same bytes.
Memory stays flat: no more than a few batches are under way at once.

`papers.json` is the inference input of sciqag_lib.records.papers. The report holds a row a paper:

    {"source": "a.xml", "doi": "10.1371/...", "doi_origin": "paper", "title": "...", "license": "CC BY",
     "characters": 40112, "sections": 17, "tables": 2, "captions": 5, "equations": 0, "keywords": "extracted",
     "cut": {"references": 9141, "citation marks": 372}, "notes": []}

and the files that were skipped or could not be read, with the reasons.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from sciqag_lib.errors import BadRecord, InputError, check_parameters
from sciqag_lib.ingest.readers import RECORD_SUFFIXES, InputPath, Item, PreparedPaper, Skipped, find_files, read_files
from sciqag_lib.ingest.workers import WorkerDied, Workers, count_cores
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.papers import paper_record

PAPERS_FILE, REPORT_FILE = "papers.json", "prepare_report.json"
BATCH_PAPERS, BATCH_CHARACTERS = 32, 4_000_000  # whose keywords are found together
BYTES_PER_WORKER = 1_000_000  # fewer are read before a worker has started


@dataclass
class PrepareReport:
    """What was made of the input; a row a paper stands only in the file at `report_path`."""

    papers_path: Path
    report_path: Path
    num_files: int = 0
    num_papers: int = 0
    cut: Counter[str] = field(default_factory=Counter)  # characters, by kind, over all papers
    keywords: Counter[str] = field(default_factory=Counter)  # papers, by where their keywords come from
    hashed_dois: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    bad: list[BadRecord] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)  # of workers: "a.xml: signal SIGKILL"

    def __str__(self) -> str:
        lines = [
            f"{self.num_papers} papers from {self.num_files} files, {len(self.skipped)} skipped, {len(self.bad)} bad"
        ]
        lines += [f"skipped {item.source}: {item.reason}" for item in self.skipped]
        lines += [f"bad {item}" for item in self.bad]
        lines += [f"a worker died ({death}) and its task was done again" for death in self.deaths]
        return "\n".join(lines)


def prepare_papers(
    input_path: InputPath,
    output_dir: str | Path,
    extract: bool = True,
    workers: int | None = None,
    grobid_url: str | None = None,
) -> PrepareReport:
    """Read every paper below `input_path` and write papers.json and prepare_report.json into `output_dir`.

    Both appear whole or not at all. `extract=False` leaves papers without keywords as they are. `workers` is the
    number of processes, None the machine's cores. PDFs are read by the GROBID service at `grobid_url`, None by the
    built-in reader. InputError: a path does not exist, no service answers there, or nothing in the input is a paper;
    the report is then written all the same, saying why.
    """
    check_parameters(("workers", workers, workers is None or workers > 0, "None or a whole number above 0"))
    folder = Path(output_dir)
    report = PrepareReport(folder / PAPERS_FILE, folder / REPORT_FILE)
    files = find_files(input_path)
    report.num_files = len(files)
    if grobid_url:
        from sciqag_lib.ingest.pdf.grobid import check_service

        check_service(grobid_url)
    size = sum((folder / name).stat().st_size for name, folder in files)
    number = min(workers or count_cores(), 1 + size // BYTES_PER_WORKER)
    with ExitStack() as stack:
        report_file = stack.enter_context(write_atomic(report.report_path))
        pool = stack.enter_context(Workers(number))
        _write_all(_prepare_items(files, report, extract, pool, grobid_url), report, report_file)
    if not report.num_papers:
        shown = "\n".join(str(report).splitlines()[1:11])
        raise InputError(f"no papers in {input_path}: {report.num_files} files, none of them usable\n{shown}".rstrip())
    return report


def _write_all(items: Iterator[PreparedPaper], report: PrepareReport, report_file: TextIO) -> None:
    """Both files in step, one line per paper; papers.json only where there is one to write."""
    first = next(items, None)
    report_file.write('{"papers": [')
    if first is not None:
        with write_atomic(report.papers_path) as papers_file:
            papers_file.write("[")
            _write_pair(first, papers_file, report_file, "\n")
            for prepared in items:
                _write_pair(prepared, papers_file, report_file, ",\n")
            papers_file.write("\n]\n")
    rest = {
        "num_files": report.num_files,
        "num_papers": report.num_papers,
        "cut": dict(report.cut.most_common()),
        "keywords": dict(report.keywords),
        "hashed_dois": report.hashed_dois,
        "skipped": [asdict(item) for item in report.skipped],
        "bad": [asdict(item) for item in report.bad],
        "deaths": report.deaths,
    }
    report_file.write("\n],\n" + json.dumps(rest, ensure_ascii=False, indent=1)[1:] + "\n")


def _prepare_items(
    files: list[tuple[str, Path]], report: PrepareReport, extract: bool, pool: Workers, grobid_url: str | None
) -> Iterator[PreparedPaper]:
    """The papers, completed, in the order of the files; everything else is noted in `report`."""
    has_records = any(name.lower().endswith(RECORD_SUFFIXES) for name, _ in files)  # any number of papers in a file
    with tqdm(total=None if has_records else len(files), unit="paper", desc="prepare") as bar:
        batches = _make_batches(_keep_papers(read_files(files, pool, grobid_url), report, bar))
        if extract:
            completed = pool.map(_extract_keywords, batches, _leave_out_keywords, _name_batch)
        else:
            completed = ((batch, [[] for _ in _list_waiting(batch)]) for batch in batches)
        for batch, keywords in completed:
            for prepared, found in zip(_list_waiting(batch), keywords, strict=True):
                prepared.paper.keywords = found
                prepared.keywords_origin = "extracted" if found else "none"
            for prepared in batch:
                _count(prepared, report)
                bar.update()
                yield prepared
    report.deaths = pool.deaths


def _keep_papers(items: Iterator[Item], report: PrepareReport, bar: tqdm) -> Iterator[PreparedPaper]:
    for item in items:
        if isinstance(item, PreparedPaper):
            yield item
        else:
            others: list[Any] = report.skipped if isinstance(item, Skipped) else report.bad
            others.append(item)
            bar.update()


def _make_batches(papers: Iterator[PreparedPaper]) -> Iterator[list[PreparedPaper]]:
    batch: list[PreparedPaper] = []
    characters = 0
    for prepared in papers:
        batch.append(prepared)
        characters += len(prepared.paper.txt)
        if len(_list_waiting(batch)) >= BATCH_PAPERS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _list_waiting(batch: list[PreparedPaper]) -> list[PreparedPaper]:
    """Those that name no keywords of their own."""
    return [prepared for prepared in batch if prepared.keywords_origin == "extracted"]


def _extract_keywords(batch: list[PreparedPaper]) -> list[list[str]]:
    from sciqag_lib.ingest.keywords import extract_keywords

    return extract_keywords([prepared.paper for prepared in _list_waiting(batch)])


def _leave_out_keywords(batch: list[PreparedPaper], death: WorkerDied) -> list[list[str]]:
    for prepared in _list_waiting(batch):
        prepared.notes.append(f"no keywords: two workers died of these {len(batch)} papers ({death}); lower `workers`")
    return [[] for _ in _list_waiting(batch)]


def _name_batch(batch: list[PreparedPaper]) -> str:
    return f"keywords of {batch[0].paper.source} to {batch[-1].paper.source}"


def _count(prepared: PreparedPaper, report: PrepareReport) -> None:
    report.num_papers += 1
    report.cut.update(prepared.cut)
    report.keywords[prepared.keywords_origin] += 1
    report.hashed_dois += prepared.doi_origin != "paper"


def _write_pair(prepared: PreparedPaper, papers_file: TextIO, report_file: TextIO, separator: str) -> None:
    for file, record in ((papers_file, paper_record(prepared.paper)), (report_file, report_row(prepared))):
        file.write(separator + json.dumps(record, ensure_ascii=False))


def report_row(prepared: PreparedPaper) -> dict[str, Any]:
    """What the report says of one paper."""
    paper = prepared.paper
    return {
        "source": paper.source,
        "doi": paper.doi,
        "doi_origin": prepared.doi_origin,
        "title": paper.title,
        "license": prepared.license,
        "characters": len(paper.txt),
        "sections": len(paper.sections),
        "tables": prepared.tables,
        "captions": prepared.captions,
        "equations": prepared.equations,
        "keywords": prepared.keywords_origin,
        "cut": prepared.cut,
        "notes": prepared.notes,
    }


def read_report(path: str | Path) -> dict[str, Any]:
    """The whole prepare_report.json: "papers" holds the rows, the other keys are PrepareReport's."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
