"""From pairs, and what a judge and the checks say of them, to a dataset: chosen, split by paper, compared, counted.

    report = build_dataset(Path("processed_output.json"), Path("out"), test_filter={"min_score": 3},
                           evaluation_dir=Path("05_evaluation"), seed=0)
    report.to_frame()

Written into `output_dir`: pairs.parquet (every pair, kept or dropped, and why; pairs.py), papers (every paper
and its split) and matches (every question that was found twice; contamination.py), both as .parquet and .csv, and
build.json.

The order: the papers are split; each pair goes through its split's filter; what is left is compared with the benchmark
and with each other. A pair that a filter drops from test does not go to train: its paper is a test paper.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from sciqag_lib.checks.duplicates import check_threshold, digest_question
from sciqag_lib.dataset.benchmark_questions import Benchmark, read_benchmark
from sciqag_lib.dataset.contamination import COLUMNS as MATCH_COLUMNS
from sciqag_lib.dataset.contamination import Comparison, embed_questions
from sciqag_lib.dataset.evaluation_results import EvaluationResults, read_results
from sciqag_lib.dataset.filters import PAIR_REASONS, REASONS, SET_REASONS, PairFilter, make_filter
from sciqag_lib.dataset.input import BuildInput, Messages, name_file, read_input
from sciqag_lib.dataset.pairs import FILE, SPLITS, write_pairs
from sciqag_lib.dataset.report import NO_CATEGORY, SHOWN, BuildReport, count_all
from sciqag_lib.dataset.splitting import RULE_VERSION, check_test_size, read_earlier, split_papers
from sciqag_lib.engines.embeddings import Embedder
from sciqag_lib.errors import InputError
from sciqag_lib.paths import write_atomic
from sciqag_lib.records.categories import CategoryFinder, read_categories, read_journals
from sciqag_lib.tables import write_report, write_table

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)
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
LISTED = 20
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
    `embedder` is given. InputError: a file that was named cannot be read, a setting is invalid, a filter asks for
    what nobody judged, or the file holds no pair.
    """
    file_path, output_dir, messages = Path(file_path), Path(output_dir), Messages()
    check_test_size(test_size)
    check_threshold(near_duplicate)
    results = read_results(evaluation_dir)
    filters = _make_filters(results, train=train_filter, test=test_filter)
    if benchmark and not Path(benchmark).is_file():
        raise InputError(f"{benchmark}: no such file; give a benchmark's questions, or null")
    earlier = read_earlier(earlier_papers) if earlier_papers else {}
    known = read_categories(categories)
    table, bad_lines = read_journals(journals, known) if journals else ({}, [])
    finder = CategoryFinder(known, table)
    output_dir.mkdir(parents=True, exist_ok=True)
    file = read_input(file_path, finder, messages)
    messages.notes += [*map(name_file, bad_lines), *finder.describe_unknown()]
    _place_papers(file.papers, test_size, seed, earlier, messages)
    _warn_of_movers(file.papers, output_dir / "papers.csv", messages)
    pairs = results.add_to(file.pairs)
    _warn_of_results(pairs, results, filters, messages)
    hits = _filter_pairs(pairs, file.papers, filters, messages)
    bench = read_benchmark(Path(benchmark), messages) if benchmark else Benchmark()
    comparison = _compare(pairs, bench, embedder, near_duplicate, messages)
    _warn_of_shared_papers(pairs, file.papers, comparison, bench, messages)
    settings = {"test_size": test_size, "seed": seed, "split_version": RULE_VERSION}
    settings |= {"encoder": "", "near_duplicate": None}
    if embedder:
        settings |= {"encoder": embedder.model_id, "near_duplicate": near_duplicate}
    counts = {**count_all(pairs, hits, file.papers, known), "scored": _count_scored(pairs, results)}
    report = _make_report(file_path.name, file, counts, comparison, bench, filters, results, messages, settings)
    report.check_sums()
    _write_files(pairs, file.papers, comparison, report, output_dir)
    return report


def _make_filters(results: EvaluationResults, **given: dict[str, Any] | None) -> dict[str, PairFilter]:
    filters = {split: make_filter(found or {}, f"{split}_filter", results.top) for split, found in given.items()}
    _check_needs(filters, results)
    return filters


def _make_report(
    name: str,
    file: BuildInput,
    counts: dict[str, Any],
    comparison: Comparison,
    bench: Benchmark,
    filters: dict[str, PairFilter],
    results: EvaluationResults,
    messages: Messages,
    settings: dict[str, Any],
) -> BuildReport:
    return BuildReport(
        file=name,
        num_records=file.num_records,
        num_bad=file.num_bad,
        matches=comparison.count_matches(),
        examples=comparison.to_frame().head(SHOWN).to_dict("records"),
        benchmark={"file": bench.file, "questions": len(bench.questions), "bad": bench.bad} if bench.file else {},
        filters={split: split_filter.describe() for split, split_filter in filters.items()},
        judge=results.judge,
        useless=results.useless,
        warnings=messages.warnings,
        notes=messages.notes,
        **counts,
        **settings,
    )


def _check_needs(filters: dict[str, PairFilter], results: EvaluationResults) -> None:
    for split, split_filter in filters.items():
        missing = [name for name in split_filter.dimensions if name not in results.dimensions]
        if missing:
            raise InputError(
                f"{split}_filter.min_score: asks for {', '.join(missing)}, of which there are no scores "
                f"(there are {', '.join(results.dimensions) or 'none at all'}): judge them in "
                f"05_evaluation, or give thresholds by name, as in {{accuracy: 3}}"
            )
        if split_filter.needs_checks and not results.num_checks:
            raise InputError(
                f"{split}_filter: asks for checks, and there are none: give the folder of a 05_evaluation "
                f"run as evaluation_dir"
            )


# Papers --------------------------------------------------------------------------------------------------------------


def _place_papers(
    papers: "pd.DataFrame", test_size: float, seed: int, earlier: dict[str, str], messages: Messages
) -> None:
    """Add `split` and `shelf`, the category or NO_CATEGORY."""
    import pandas as pd

    shelves = papers["category"].fillna(NO_CATEGORY)
    papers["shelf"] = pd.Categorical(shelves, shelves.unique())
    papers["split"] = split_papers(papers["paper"].tolist(), shelves.tolist(), test_size, seed, earlier)
    unnamed, gone = int((papers["doi"] == "").sum()), len(set(earlier) - set(papers["paper"]))
    if unnamed:
        messages.note(f"records that name no paper: {unnamed:,}; each is placed by its own question")
    if gone:
        messages.note(f"papers of the earlier build that are not in this file: {gone:,}")
    sizes = papers["shelf"].value_counts(sort=False)
    alone = list(sizes.index[sizes == 1])
    if alone:
        messages.warn(f"categories with one paper, which stays in train, so that test has none: {', '.join(alone)}")
    for split in SPLITS:
        if not (papers["split"] == split).any():
            messages.warn(f"{split}: no paper was placed here, so the split is empty")
    _warn_of_titles(papers, messages)


def _warn_of_titles(papers: "pd.DataFrame", messages: Messages) -> None:
    """A paper that is in the file under two DOIs, as a preprint and its article are, may be on both sides."""
    seen: dict[str, tuple[str, str]] = {}
    both = []
    for title, doi, split in zip(papers["title"], papers["doi"], papers["split"]):
        title = " ".join(title.casefold().split())
        other_doi, other = seen.setdefault(title, (doi, split)) if title else (doi, split)
        if other != split:
            both.append(f"{other_doi} ({other}) and {doi} ({split})")
    if both:
        more = f" and {len(both) - LISTED:,} more" if len(both) > LISTED else ""
        messages.warn(f"papers of one title on both sides: {'; '.join(both[:LISTED])}{more}; are they the same paper?")


def _warn_of_movers(papers: "pd.DataFrame", path: Path, messages: Messages) -> None:
    """Papers that the last build here put elsewhere: a model that was trained on them must not be tested on them."""
    if not path.exists():
        return
    try:
        before = read_earlier(path)
    except InputError as error:
        messages.note(str(error).replace(str(path), path.name))
        return
    moved = Counter(
        f"{before[paper]} to {split}"
        for paper, split in zip(papers["paper"], papers["split"])
        if before.get(paper, split) != split
    )
    if moved:
        messages.warn(
            f"papers in another split than in the last build in this folder: "
            f"{', '.join(f'{number:,} from {way}' for way, number in sorted(moved.items()))}; to keep them, give a "
            "copy of its papers.csv as earlier_papers"
        )


# Filters -------------------------------------------------------------------------------------------------------------


def _count_scored(pairs: "pd.DataFrame", results: EvaluationResults) -> int:
    """Pairs with a score of every judged dimension."""
    scores = pairs[[f"score_{name}" for name in results.dimensions]]
    return int(scores.notna().all(axis=1).sum()) if results.dimensions else 0


def _warn_of_results(
    pairs: "pd.DataFrame", results: EvaluationResults, filters: dict[str, PairFilter], messages: Messages
) -> None:
    used = {name for split_filter in filters.values() for name in split_filter.dimensions}
    for name in results.useless:
        if name in used:
            messages.warn(
                f"{name}: its judge does not tell pairs from a null baseline, so its scores should choose none"
            )
    num_checked = int(pairs["rejected_by"].notna().sum())
    for name, number, asked in (
        ("a score of each judged dimension", _count_scored(pairs, results), bool(results.dimensions)),
        ("a row of checks", num_checked, bool(results.num_checks)),
    ):
        if asked and number < len(pairs):
            messages.note(f"pairs without {name}: {len(pairs) - number:,} of {len(pairs):,}")
    if results.dimensions and not results.num_checks:
        messages.warn(
            "scores without checks beside them are matched by the number of a pair alone: if pairs were added or "
            "removed after the judging, they are those of others; give a folder that holds both"
        )
    has_score = pairs.filter(like="score_").notna().any(axis=None)
    if (results.dimensions or results.num_checks) and not (has_score or num_checked):
        raise InputError(
            "evaluation_dir: its scores and checks are of another file, none is of a pair of this one; give "
            "the folder of a 05_evaluation run of this file, or null"
        )
    if results.num_foreign:
        messages.warn(FOREIGN.format(results.num_foreign))


def _filter_pairs(
    pairs: "pd.DataFrame", papers: "pd.DataFrame", filters: dict[str, PairFilter], messages: Messages
) -> "pd.DataFrame":
    """Add `side`, the split of each pair's paper, `split`, the same but for a record that is not used, `shelf` and
    `dropped_by`; bool (pairs, PAIR_REASONS) of what applies, first or not."""
    import pandas as pd

    placed = papers.set_index("paper").loc[pairs["paper"], ["split", "shelf"]].reset_index(drop=True)
    pairs["side"], pairs["shelf"] = placed["split"], placed["shelf"]
    pairs["split"] = pairs["side"].mask(pairs["same_doi"])
    pairs["dropped_by"] = pd.Series(None, pairs.index, "str")
    found = [split_filter.find_hits(pairs[pairs["split"] == split]) for split, split_filter in filters.items()]
    hits = pd.concat(found).reindex(pairs.index, fill_value=False)
    hits["same_doi"] = pairs["same_doi"]
    for reason in PAIR_REASONS:
        _drop(pairs, hits[reason], reason, messages)
    return hits


def _drop(pairs: "pd.DataFrame", hit: "pd.Series", reason: str, messages: Messages) -> None:
    """Drop the pairs of `hit` (pairs, bool) that are still kept; where that leaves nothing, it is said at once, before
    anything is written, and in the report."""
    kept = pairs["dropped_by"].isna()
    dropped = kept & hit
    for split in SPLITS if dropped.any() else ():
        here = pairs["side"] == split
        before, gone = (pairs.loc[rows & here, "shelf"].value_counts(sort=False) for rows in (kept, dropped))
        emptied = [f"{name} ({before[name]:,})" for name in gone.index if 0 < gone[name] == before[name]]
        if emptied:
            all_gone = gone.sum() == before.sum()
            which = f"; {before.sum():,} came to it" if all_gone else f" of {', '.join(emptied)}"
            messages.warn(f'{split}: the filter "{REASONS[reason]}" leaves no pair{which}')
            log.warning(messages.warnings[-1])
    pairs.loc[dropped, "dropped_by"] = reason


# Comparison ----------------------------------------------------------------------------------------------------------


def _compare(
    pairs: "pd.DataFrame", bench: Benchmark, embedder: Embedder | None, near_duplicate: float, messages: Messages
) -> Comparison:
    """Drop what is asked twice, or in the benchmark."""
    import pandas as pd

    kept = pairs.loc[pairs["dropped_by"].isna(), ["side", "record", "doi", "pair", "question"]].reset_index(names="row")
    kept["doi"] = kept["doi"].where(kept["doi"] != "", "record " + (kept["record"] + 1).astype("str"))
    benchmark = pd.DataFrame(bench.questions, columns=["doi", "pair", "question"]).assign(side="benchmark", row=-1)
    sides = [benchmark, *(kept[kept["side"] == split] for split in ("test", "train"))]
    questions = pd.concat(sides, ignore_index=True)[["row", "side", "doi", "pair", "question"]]
    questions["digest"] = questions["question"].map(digest_question)
    comparison = Comparison(questions)
    comparison.compare_exact()
    if embedder:
        left = comparison.list_left()
        rows = {split: set(found["row"]) for split, found in questions.iloc[left].groupby("side")}
        groups = tqdm(_group_questions(pairs, rows, benchmark["question"].tolist()), unit="record", desc="embedding")
        vectors, num_bad = embed_questions(groups, len(left), embedder)
        comparison.compare_near(left, vectors, near_duplicate)
        if num_bad:
            messages.note(f"questions without a vector, the model gives nan: {num_bad:,}; not compared")
    dropped = questions["row"].iloc[list(comparison.reasons)].to_numpy()
    reasons = pd.Series(list(comparison.reasons.values()), dropped, "str").reindex(pairs.index)
    for reason in SET_REASONS:
        _drop(pairs, reasons == reason, reason, messages)
    return comparison


def _group_questions(
    pairs: "pd.DataFrame", rows: dict[str, set[int]], benchmark: list[str]
) -> Iterator[tuple[list[int], list[str]]]:
    """All questions of a record with the places of those in `rows`: the benchmark's, then test's, then train's."""
    for start in range(0, len(benchmark), 100):
        part = benchmark[start : start + 100]
        yield list(range(len(part))), part
    for split in ("test", "train"):
        wanted = rows.get(split, set())
        listed = zip(pairs["record"].tolist(), pairs.index.tolist(), pairs["question"].tolist())
        for _, group in groupby(listed, key=lambda row: row[0]):
            _, numbers, texts = zip(*group)
            places = [place for place, number in enumerate(numbers) if number in wanted]
            if places:
                yield places, list(texts)


def _warn_of_shared_papers(
    pairs: "pd.DataFrame", papers: "pd.DataFrame", comparison: Comparison, bench: Benchmark, messages: Messages
) -> None:
    """A train paper that the benchmark names, or shares a question with, may be one of the benchmark's."""
    of_benchmark = [place for place, reason in comparison.reasons.items() if reason.endswith("_benchmark")]
    shared = set(pairs["paper"].iloc[comparison.questions["row"].iloc[of_benchmark]])
    named = papers["paper"].isin(bench.keys) & (papers["doi"] != "") & (papers["split"] == "train")
    shared |= set(papers.loc[named, "paper"])
    others = int((pairs["paper"].isin(shared) & (pairs["side"] == "train") & pairs["dropped_by"].isna()).sum())
    if others:
        messages.warn(
            f"{len(shared):,} papers of train have a question of the benchmark, or are named there; {others:,} "
            "other pairs of theirs stay in train: remove these papers if the benchmark was made of them"
        )
    if comparison.num_unlisted:
        messages.note(f"matches that are counted and not listed: {comparison.num_unlisted:,}")


# Files ---------------------------------------------------------------------------------------------------------------


def _write_files(
    pairs: "pd.DataFrame", papers: "pd.DataFrame", comparison: Comparison, report: BuildReport, folder: Path
) -> None:
    (folder / REPORT).unlink(missing_ok=True)  # it comes last: where it is, the build is complete
    with write_atomic(folder / FILE, binary=True) as file:
        write_pairs(pairs, file)
    with write_table(folder, "matches", MATCH_COLUMNS) as table:
        table.add(comparison.to_frame().to_dict("records"))
    counts = pairs.assign(kept=pairs["dropped_by"].isna()).groupby("paper")["kept"].agg(pairs="size", kept="sum")
    papers = papers.join(counts, on="paper").fillna({"pairs": 0, "kept": 0}).astype({"pairs": int, "kept": int})
    with write_table(folder, "papers", PAPER_COLUMNS) as table:
        table.add(papers.to_dict("records"))
    write_report(folder / REPORT, report)
