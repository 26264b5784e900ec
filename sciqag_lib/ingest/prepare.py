"""The main job of notebook 01: paper files in, `papers.json` and `prepare_report.json` out, in flat memory.

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

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.ingest.readers import InputPath, PreparedPaper, Skipped, find_files, read_files
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.papers import paper_record

PAPERS_FILE, REPORT_FILE = "papers.json", "prepare_report.json"


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

    def __str__(self) -> str:
        lines = [
            f"{self.num_papers} papers from {self.num_files} files, {len(self.skipped)} skipped, {len(self.bad)} bad"
        ]
        lines += [f"skipped {item.source}: {item.reason}" for item in self.skipped]
        lines += [f"bad {item}" for item in self.bad]
        return "\n".join(lines)


def prepare_papers(input_path: InputPath, output_dir: str | Path, extract: bool = True) -> PrepareReport:
    """Read every paper below `input_path` and write papers.json and prepare_report.json into `output_dir`.

    Both appear whole or not at all. `extract=False` leaves papers without keywords as they are. InputError: a
    path does not exist, or nothing in it is a paper; the report is then written all the same, saying why.
    """
    folder = Path(output_dir)
    report = PrepareReport(folder / PAPERS_FILE, folder / REPORT_FILE)
    files = find_files(input_path)
    report.num_files = len(files)
    with ExitStack() as stack:
        report_file = stack.enter_context(write_atomic(report.report_path))
        _write_all(files, report, report_file, extract)
    if not report.num_papers:
        shown = "\n".join(str(report).splitlines()[1:11])
        raise InputError(f"no papers in {input_path}: {report.num_files} files, none of them usable\n{shown}".rstrip())
    return report


def _write_all(files: list[tuple[str, Path]], report: PrepareReport, report_file: TextIO, extract: bool) -> None:
    """Both files in step, a line a paper; papers.json only where there is one to write."""
    items = _prepare_items(files, report, extract)
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
    }
    report_file.write("\n],\n" + json.dumps(rest, ensure_ascii=False, indent=1)[1:] + "\n")


def _prepare_items(files: list[tuple[str, Path]], report: PrepareReport, extract: bool) -> Iterator[PreparedPaper]:
    """The papers, completed; everything else is noted in `report`."""
    for item in read_files(tqdm(files, unit="file", desc="prepare")):
        if isinstance(item, Skipped):
            report.skipped.append(item)
        elif isinstance(item, BadRecord):
            report.bad.append(item)
        else:
            _add_keywords(item, extract)
            _count(item, report)
            yield item


def _add_keywords(prepared: PreparedPaper, extract: bool) -> None:
    if prepared.keywords_origin == "extracted":
        from sciqag_lib.ingest.keywords import extract_keywords

        prepared.paper.keywords = extract_keywords(prepared.paper) if extract else []
        prepared.keywords_origin = "extracted" if prepared.paper.keywords else "none"


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
