"""The questions of a benchmark that train must not have: a test file, a training file or a harness's, in any mixture.

[{"Q": "How ...?", "A": "It ..."}, {"doi": "10.1/x", "Q&A": [{"Q": "Why ...?"}]}, {"input": "When ...?"}]
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciqag_lib.dataset.input import Messages, name_file
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.records.dois import normalize_doi
from sciqag_lib.records.papers import read_records


@dataclass
class Benchmark:
    file: str = ""  # "" where none was given
    questions: list[tuple[str, int, str]] = field(default_factory=list)  # DOI or "record 17", pair, question
    bad: int = 0  # records and pairs that could not be read

    @property
    def keys(self) -> set[str]:
        """Normalized DOIs of the papers that are named."""
        return {normalize_doi(doi) for doi, *_ in self.questions}


def read_benchmark(path: Path, messages: Messages) -> Benchmark:
    """Every question, without an answer, and of a paper that is there twice, as well."""
    bench, bad = Benchmark(path.name), []
    try:
        for where, record in read_records(path):
            if isinstance(record, BadRecord):
                bad.append(name_file(record))
                continue
            doi = record.get("doi")
            for pair, entry in enumerate(record["Q&A"] if isinstance(record.get("Q&A"), list) else [record]):
                question = _read_question(entry)
                if isinstance(question, str) and question.strip():
                    bench.questions.append((doi if isinstance(doi, str) and doi else where, pair, question))
                else:
                    bad.append(f'{path.name}, {where}: expected a question "Q", found {str(entry)[:80]}')
    except InputError as error:  # it holds no JSON: the rest goes on
        bad.append(str(error).replace(str(path), path.name))
    bench.bad = len(bad)
    if not bench.questions:
        messages.warn(
            f'benchmark: no question could be read, so nothing was compared with it; expected a list of {{"Q", '
            f'"A"}} or a processed output. {bad[0] if bad else "The file holds no record"}'
        )
    elif bad:
        messages.warn(
            f"benchmark: {len(bad):,} records or pairs could not be read and were not compared, the first: {bad[0]}"
        )
    return bench


def _read_question(entry: Any) -> Any:
    keys = ("Q", "question", "input")  # of a test file, a harness's file and the training form
    return next((entry[key] for key in keys if key in entry), None) if isinstance(entry, dict) else None
