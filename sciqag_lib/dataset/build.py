"""From pairs, and what a judge and the checks say of them, to a dataset: chosen, split by paper, compared, counted.

    report = build_dataset(Path("processed_output.json"), Path("out"), test_filter={"min_score": 3},
                           evaluation_dir=Path("05_evaluation"), seed=0)
    show_build(report)

Written into `output_dir`: pairs.parquet (every pair, kept or dropped, and why; pairs.py), papers (every paper
and its split) and matches (every question that was found twice; contamination.py), both as .parquet and .csv, and
build.json. The file's texts wait on the disk, so that memory stays flat.

The order: the papers are split; each pair goes through its split's filter; what is left is compared with the benchmark
and with each other. A pair that a filter drops from test does not go to train: its paper is a test paper.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm import tqdm

from sciqag_lib.checks.duplicates import check_threshold, digest_question
from sciqag_lib.dataset.contamination import COLUMNS as MATCH_COLUMNS
from sciqag_lib.dataset.contamination import Comparison, VectorStore, embed_questions
from sciqag_lib.dataset.evaluation_results import EvaluationResults, read_results
from sciqag_lib.dataset.filters import REASONS, PairFilter, make_filter
from sciqag_lib.dataset.input import InputRecord, name_file, read_input
from sciqag_lib.dataset.pairs import COLUMNS, FILE, ROW_GROUP, PairWriter, write_pairs
from sciqag_lib.dataset.report import SHOWN, BuildReport
from sciqag_lib.dataset.splitting import RULE_VERSION, check_test_size, read_earlier, split_papers
from sciqag_lib.dataset.state import KEPT, BuildState
from sciqag_lib.engines.embeddings import Embedder
from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.racar.judging import DIMENSIONS
from sciqag_lib.records.categories import CategoryFinder, read_categories, read_journals
from sciqag_lib.records.evidence import EvidenceFile
from sciqag_lib.records.papers import normalize_doi, read_records
from sciqag_lib.tables import write_report, write_table


@dataclass
class Benchmark:
    file: str
    questions: list[tuple[str, int, str]] = field(default_factory=list)  # paper or record, pair, question
    bad: int = 0  # records and pairs that could not be read


STAGED = tuple(name for name in COLUMNS if name not in ("split", "dropped_by"))
PAPER_COLUMNS = {
    "paper": "text",
    "doi": "text",
    "title": "text",
    "journal": "text",
    "category": "text",
    "split": "text",
    "pairs": "whole",
    "kept": "whole",
}
REPORT = "build.json"
FOREIGN = "the scores of {:,} pairs are those of other words under the same number, and not used: judge this file again"


def build_dataset(
    file_path: str | Path,
    output_dir: str | Path,
    *,
    train_filter: dict[str, Any] | None = None,
    test_filter: dict[str, Any] | None = None,
    test_size: float = 0.05,
    seed: int = 0,
    evaluation_dir: Path | None = None,
    categories: Path | None = None,
    journals: Path | None = None,
    benchmark: Path | None = None,
    earlier_papers: Path | None = None,
    embedder: Embedder | None = None,
    near_duplicate: float = 0.95,
) -> BuildReport:
    """Build a dataset from a processed output, a released file or a list of {"Q", "A"}.

    Filters: filters.py, None keeps all; `test_size` and `earlier_papers`, the papers.csv of an earlier build:
    splitting.py; `evaluation_dir`: a 05_evaluation run of the file; `categories` (None: SciQAG-24D) and `journals`:
    categories.py; `benchmark`: a file of questions that train must not have; near questions are looked for where an
    `embedder` is given. InputError: a file that was named cannot be read, a setting cannot be meant, a filter asks for
    what nobody judged, or the file holds no pair.
    """
    file_path, output_dir = Path(file_path), Path(output_dir)
    check_test_size(test_size)
    check_threshold(near_duplicate)
    results = read_results(evaluation_dir)
    filters = {
        "train": make_filter(train_filter or {}, "train_filter", results.top),
        "test": make_filter(test_filter or {}, "test_filter", results.top),
    }
    _check_needs(filters, results)
    if benchmark and not Path(benchmark).is_file():
        raise InputError(f"{benchmark}: no such file; give a benchmark's questions, or null")
    earlier = read_earlier(earlier_papers) if earlier_papers else {}
    known = read_categories(categories)
    table, bad_lines = read_journals(journals, known) if journals else ({}, [])
    finder, state = CategoryFinder(known, table), BuildState()
    output_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=output_dir) as staged:
        evidence = EvidenceFile(file_path.parent / "evidence.json")
        _stage_pairs(file_path, staged, state, finder, results, filters, evidence)
        state.notes += [*map(name_file, bad_lines), *finder.describe_unknown()]
        _place_papers(state, test_size, seed, earlier)
        _warn_of_movers(state, output_dir / "papers.csv")
        _warn_of_results(state, results, filters, evidence)
        state.decide()
        bench = _read_benchmark(Path(benchmark), state) if benchmark else None
        comparison = _compare(state, staged, bench, embedder, near_duplicate, output_dir)
        (output_dir / REPORT).unlink(missing_ok=True)  # it comes last: where it lies, the build is whole
        licences = _write_pairs(staged, state, output_dir / FILE)
        examples = _write_matches(comparison, staged, state, bench, output_dir)
    _write_papers(state, output_dir)
    report = BuildReport(
        file=file_path.name,
        **state.count_all(known),
        matches=comparison.count_matches(),
        examples=examples,
        benchmark={"file": bench.file, "questions": len(bench.questions), "bad": bench.bad} if bench else {},
        filters={split: found.describe() for split, found in filters.items()},
        test_size=test_size,
        seed=seed,
        encoder=embedder.model_id if embedder else "",
        near_duplicate=near_duplicate if embedder else None,
        judge=results.judge,
        useless=results.useless,
        licences=licences,
        split_version=RULE_VERSION,
    )
    report.check_sums()
    write_report(output_dir / REPORT, report)
    return report


def _check_needs(filters: dict[str, PairFilter], results: EvaluationResults) -> None:
    for split, found in filters.items():
        missing = [name for name in found.dimensions if name not in results.dimensions]
        if missing:
            raise InputError(
                f"{split}_filter.min_score: asks for {', '.join(missing)}, of which there are no scores "
                f"(there are {', '.join(results.dimensions) or 'none at all'}): judge them in "
                f"05_evaluation, or give thresholds by name, as in {{accuracy: 3}}"
            )
        if found.needs_checks and not results.num_checks:
            raise InputError(
                f"{split}_filter: asks for checks, and there are none: give the folder of a 05_evaluation "
                f"run as evaluation_dir"
            )


def _stage_pairs(
    path: Path,
    staged: IO[bytes],
    state: BuildState,
    finder: CategoryFinder,
    results: EvaluationResults,
    filters: dict[str, PairFilter],
    evidence: EvidenceFile,
) -> None:
    """Read the file once: texts go to `staged`, what decides about them into `state`."""
    writer = PairWriter(staged, STAGED)
    for record in tqdm(read_input(path, finder, evidence), unit="record", desc="reading"):
        if isinstance(record, BadRecord):
            state.num_bad += 1
            state.note(name_file(record))
            continue
        state.num_records += 1
        if record.problem:
            state.note(f"{record.problem}; its {len(record.pairs)} pairs are dropped")
        paper = state.place_paper(record)
        for number, pair in enumerate(record.pairs):
            scores = _judge_pair(state, record, number, paper, results, filters)
            writer.add(
                {
                    "record": record.number,
                    "doi": record.doi,
                    "pair": number,
                    "title": record.title,
                    "journal": record.journal,
                    "category": state.papers[paper].category,
                    "licence": record.licence,
                    "question": pair.question,
                    "answer": pair.answer,
                    "evidence": record.evidence.get((pair.question, pair.answer)),
                    **{f"score_{name}": scores.get(name) for name in DIMENSIONS},
                }
            )
    writer.close()
    if not len(state):
        raise InputError("; ".join([f"{path}: holds no pair to build from", *state.notes[:1]]))


def _judge_pair(
    state: BuildState,
    record: InputRecord,
    number: int,
    paper: int,
    results: EvaluationResults,
    filters: dict[str, PairFilter],
) -> dict[str, float]:
    """Put what would keep the pair out of each split into `state`; its scores."""
    question, answer = record.pairs[number].question, record.pairs[number].answer
    if record.problem:
        state.add_pair(paper, digest_question(question), dict.fromkeys(filters, ["same_doi"]))
        return {}
    scores = results.find_scores(record.where, record.doi, number, question, answer)
    check = results.find_check(record.name, question, answer)
    state.num_scored += bool(results.dimensions) and all(name in scores for name in results.dimensions)
    state.num_found += bool(scores)
    state.num_checked += check is not None
    state.add_pair(
        paper,
        digest_question(question),
        {split: found.list_reasons(question, answer, scores, check) for split, found in filters.items()},
    )
    return scores


def _place_papers(state: BuildState, test_size: float, seed: int, earlier: dict[str, str]) -> None:
    keys = [paper.key for paper in state.papers]
    for paper, split in zip(
        state.papers, split_papers(keys, [paper.category for paper in state.papers], test_size, seed, earlier)
    ):
        paper.split = split
    unnamed = sum(not paper.doi for paper in state.papers)
    if unnamed:
        state.note(f"records that name no paper: {unnamed:,}; each is placed by its own question")
    gone = len(set(earlier) - set(keys))
    if gone:
        state.note(f"papers of the earlier build that are not in this file: {gone:,}")
    state.warn_of_papers()


def _warn_of_movers(state: BuildState, path: Path) -> None:
    """Papers that the last build here put elsewhere: a model that was trained on them must not be tested on them."""
    if not path.exists():
        return
    try:
        before = read_earlier(path)
    except InputError as error:
        state.note(str(error).replace(str(path), path.name))
        return
    moved = Counter(
        f"{before[paper.key]} to {paper.split}"
        for paper in state.papers
        if before.get(paper.key, paper.split) != paper.split
    )
    if moved:
        state.warn(
            f"papers in another split than in the last build in this folder: "
            f"{', '.join(f'{number:,} from {way}' for way, number in sorted(moved.items()))}; to keep them, give a "
            "copy of its papers.csv as earlier_papers"
        )


def _warn_of_results(
    state: BuildState, results: EvaluationResults, filters: dict[str, PairFilter], evidence: EvidenceFile
) -> None:
    used = {name for found in filters.values() for name in found.dimensions}
    for name in results.useless:
        if name in used:
            state.warn(f"{name}: its judge does not tell pairs from a null baseline, so its scores should choose none")
    for name, number, asked in (
        ("a score of each judged dimension", state.num_scored, bool(results.dimensions)),
        ("a row of checks", state.num_checked, bool(results.num_checks)),
    ):
        if asked and number < len(state):
            state.note(f"pairs without {name}: {len(state) - number:,} of {len(state):,}")
    if results.dimensions and not results.num_checks:
        state.warn(
            "scores without checks beside them are matched by the number of a pair alone: if pairs were added or "
            "removed after the judging, they are those of others; give a folder that holds both"
        )
    if (results.dimensions or results.num_checks) and not (state.num_found or state.num_checked):
        raise InputError(
            "evaluation_dir: its scores and checks are of another file, none is of a pair of this one; give "
            "the folder of a 05_evaluation run of this file, or null"
        )
    if results.num_foreign:
        state.warn(FOREIGN.format(results.num_foreign))


def read_question(entry: Any) -> Any:
    """The question of a test file's entry, of the training form or of a harness' file."""
    found = [entry[key] for key in ("Q", "question", "input") if key in entry] if isinstance(entry, dict) else []
    return found[0] if found else None


def _read_benchmark(path: Path, state: BuildState) -> Benchmark:
    bench, bad = Benchmark(path.name), []
    try:
        for where, record in read_records(path):
            if isinstance(record, BadRecord):
                bad.append(name_file(record))
                continue
            entries = record["Q&A"] if isinstance(record.get("Q&A"), list) else [record]
            doi = record.get("doi")
            for pair, entry in enumerate(entries):  # without an answer, and of a paper that stands there twice, as well
                question = read_question(entry)
                if isinstance(question, str) and question.strip():
                    bench.questions.append((doi if isinstance(doi, str) and doi else where, pair, question))
                else:
                    bad.append(f'{path.name}, {where}: expected a question "Q", found {str(entry)[:80]}')
    except InputError as error:  # it holds no JSON: the rest goes on
        bad.append(str(error).replace(str(path), path.name))
    bench.bad = len(bad)
    if not bench.questions:
        state.warn(
            f'benchmark: no question could be read, so nothing was compared with it; expected a list of {{"Q", '
            f'"A"}} or a processed output. {bad[0] if bad else "The file holds no record"}'
        )
    elif bad:
        state.warn(
            f"benchmark: {len(bad):,} records or pairs could not be read and were not compared, the first: {bad[0]}"
        )
    return bench


def _compare(
    state: BuildState,
    staged: IO[bytes],
    bench: Benchmark | None,
    embedder: Embedder | None,
    near_duplicate: float,
    folder: Path,
) -> Comparison:
    """Drop what stands twice, and in the benchmark, whose questions have the numbers after the file's pairs."""
    questions = [question for *_, question in bench.questions] if bench else []
    digests = state.digests + [digest_question(question) for question in questions]
    comparison = Comparison(
        {
            "benchmark": range(len(state), len(digests)),
            "test": state.list_kept("test"),
            "train": state.list_kept("train"),
        }
    )
    comparison.compare_exact(digests)
    left = comparison.list_left()
    if embedder:
        with VectorStore(folder) as store:
            groups = _group_questions(staged, left, questions)
            embed_questions(tqdm(groups, unit="record", desc="embedding"), embedder, store)
            comparison.compare_near(
                [row for rows in left.values() for row in rows], store.vectors(), near_duplicate, digests
            )
            if store.num_bad:
                state.note(f"questions without a vector, the model gives nan: {store.num_bad:,}; not compared")
    for reason in REASONS:
        hit = np.zeros(len(state), bool)
        hit[[row for row, found in comparison.reasons.items() if found == reason]] = True
        state.drop(hit, reason)
    _warn_of_shared_papers(state, comparison, bench)
    if comparison.num_unlisted:
        state.note(f"matches that are counted and not listed: {comparison.num_unlisted:,}")
    return comparison


def _warn_of_shared_papers(state: BuildState, comparison: Comparison, bench: Benchmark | None) -> None:
    """A train paper that the benchmark names, or shares a question with, may be one of the benchmark's."""
    hit = [row for row, reason in comparison.reasons.items() if reason in ("in_benchmark", "near_benchmark")]
    dois = {normalize_doi(doi) for doi, *_ in bench.questions} if bench else set()
    named = [number for number, paper in enumerate(state.papers) if paper.doi and normalize_doi(paper.doi) in dois]
    papers = np.unique([*state.paper_of[hit], *(number for number in named if state.papers[number].split == "train")])
    others = int(np.isin(state.paper_of[state.list_kept("train")], papers).sum())
    if others:
        state.warn(
            f"{len(papers):,} papers of train have a question of the benchmark, or are named there; {others:,} "
            "other pairs of theirs stay in train: remove these papers if the benchmark was made of them"
        )


def _read_staged(staged: IO[bytes], *columns: str) -> Iterator[tuple[Any, ...]]:
    """These columns of each pair, in order."""
    import pyarrow.parquet

    for batch in pyarrow.parquet.ParquetFile(staged).iter_batches(ROW_GROUP, columns=list(columns)):
        yield from zip(*(batch.column(name).to_pylist() for name in columns))


def _group_questions(
    staged: IO[bytes], left: dict[str, list[int]], benchmark: list[str]
) -> Iterator[tuple[list[int], list[str]]]:
    """All questions of a record with the places of those that are left: the benchmark's, then test's, then train's."""
    for start in range(0, len(benchmark), 100):
        part = benchmark[start : start + 100]
        yield list(range(len(part))), part
    for split in ("test", "train"):
        wanted = set(left[split])
        rows = enumerate(_read_staged(staged, "record", "question"))
        for _, group in groupby(rows, key=lambda row: row[1][0]):
            numbers, texts = zip(*((number, question) for number, (_, question) in group))
            places = [place for place, number in enumerate(numbers) if number in wanted]
            if places:
                yield places, list(texts)


def _write_pairs(staged: IO[bytes], state: BuildState, path: Path) -> dict[str, int]:
    """Write the table; licence -> kept pairs."""
    import pyarrow
    import pyarrow.parquet

    names, licences, start = [*REASONS], Counter(), 0
    with write_pairs(path) as writer:
        for batch in pyarrow.parquet.ParquetFile(staged).iter_batches(ROW_GROUP):
            rows = slice(start, start + len(batch))
            start += len(batch)
            reasons, has_split = state.reasons[rows].tolist(), state.has_split[rows].tolist()
            splits = ["test" if test else "train" for test in state.is_test[rows].tolist()]
            decided = [
                [split if has else None for split, has in zip(splits, has_split)],
                [None if reason == KEPT else names[reason] for reason in reasons],
            ]
            writer.add_columns([*batch.columns, *(pyarrow.array(column, pyarrow.string()) for column in decided)])
            found = zip(batch.column("licence").to_pylist(), reasons)
            licences.update(licence or "unknown" for licence, reason in found if reason == KEPT)
    return dict(licences.most_common())


def _write_matches(
    comparison: Comparison, staged: IO[bytes], state: BuildState, bench: Benchmark | None, folder: Path
) -> list[dict[str, Any]]:
    """Write all that are listed, and return the first."""
    wanted, texts = comparison.list_rows(), {}
    rows = enumerate(_read_staged(staged, "doi", "record", "pair", "question")) if wanted else ()
    for number, (doi, record, pair, question) in rows:
        if number in wanted:
            texts[number] = (doi or f"record {record + 1}", pair, question)
    for number, found in enumerate(bench.questions if bench else (), start=len(state)):
        texts[number] = found
    examples: list[dict[str, Any]] = []
    with write_table(folder, "matches", MATCH_COLUMNS) as table:
        for row in comparison.show_matches(texts):
            table.add([row])
            if len(examples) < SHOWN:
                examples.append(row)
    return examples


def _write_papers(state: BuildState, folder: Path) -> None:
    with write_table(folder, "papers", PAPER_COLUMNS) as table:
        for paper, pairs, kept in zip(state.papers, state.count_pairs().tolist(), state.count_kept().tolist()):
            table.add(
                [
                    {
                        "paper": paper.key,
                        "doi": paper.doi,
                        "title": paper.title,
                        "journal": paper.journal,
                        "category": paper.category,
                        "split": paper.split,
                        "pairs": pairs,
                        "kept": kept,
                    }
                ]
            )
