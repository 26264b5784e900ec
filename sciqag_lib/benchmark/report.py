"""What a benchmark run says: scores with intervals, overall and by category, beside null baselines and published rows.

A row of scores.parquet (also .csv), one for each question, arm and dimension, where a score was asked for:

    id,question,doi,category,arm,dimension,scale,score,reasons,missing,attempts
    0f3c...,How does ...?,,"Chemistry, Analytical",own,accuracy,1-5,4,One unit is missing.,,1

The judge's dimensions have the arms "own", "reference", "other" and "empty", the measures of text_overlap.py "own",
"other" and "question". benchmark.json holds the same report that write_benchmark returns.
"""

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sciqag_lib.benchmark import answers as benchmark_answers
from sciqag_lib.benchmark import judging as benchmark_judging
from sciqag_lib.benchmark.judging import ARMS, DIMENSIONS, TOP, Item, Partners
from sciqag_lib.benchmark.tally import BenchmarkTally, DimensionResult, Samples, Scores
from sciqag_lib.engines.embeddings import Embedder
from sciqag_lib.errors import InputError
from sciqag_lib.inference.ledger import Ledger, name_full_disk
from sciqag_lib.metrics import text_overlap
from sciqag_lib.metrics.intervals import Estimate
from sciqag_lib.metrics.text_overlap import MEASURES, score_references
from sciqag_lib.paths import REPO_ROOT
from sciqag_lib.tables import write_report, write_table
from sciqag_lib.tasks.questions import Question

VERSION = 1  # of what moves a number here
REPORT = "benchmark.json"
PUBLISHED = REPO_ROOT / "data" / "sciqag_24d_published.csv"
COLUMNS = {
    "id": "text",
    "question": "text",
    "doi": "text",
    "category": "text",
    "arm": "text",
    "dimension": "text",
    "scale": "text",
    "score": "real",
    "reasons": "text",
    "missing": "text",
    "attempts": "whole",
}
ARM_NAMES = {
    "own": "this run",
    "reference": "the reference answers",
    "other": "another question's answer",
    "empty": "no answer",
    "question": "the question as its answer",
}
FEW_QUESTIONS = 10  # an interval bootstrapped over fewer says little


@dataclass
class BenchmarkReport:
    """What stands in benchmark.json."""

    model: str
    way: str  # "zero-shot", "5 examples", "as given"
    test_file: dict[str, Any]
    questions: dict[str, int]  # considered, done, failed, unfinished, not_asked, cut, empty
    answered: str  # date, UTC
    answer_settings: dict[str, Any]
    judge: str  # "" where nothing was judged
    judged: str  # date, UTC
    judge_settings: dict[str, Any]
    encoder: str  # "" where nothing was embedded
    dimensions: dict[str, DimensionResult]
    categories: dict[str, int]  # answered questions; "" is without a category
    useless: list[str]  # dimensions on which the judge does not tell null baselines apart
    unproven: list[str]  # dimensions on which no null baseline decides what the judge is worth
    published: list[dict[str, Any]]  # with another judge
    samples: dict[str, list[dict[str, Any]]]  # "best" and "worst"
    sorted_by: str  # what the samples are sorted by
    notes: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)  # of this report's numbers and of the measures


def read_published(path: str | Path = PUBLISHED) -> list[dict[str, Any]]:
    """The published rows; lines that begin with "#" are comments. InputError: a column or a number is missing."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    try:
        return [
            {**row, **{name: float(row[name]) for name in DIMENSIONS}, "questions": int(row["questions"])}
            for row in rows
        ]
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: expected the columns model, setting, {', '.join(DIMENSIONS)}, judge, questions, "
            f"date, source with numbers in their place: {error}"
        ) from error


# From the files of a run to its report -------------------------------------------------------------------------------


def write_benchmark(output_dir: str | Path, embedder: Embedder | None = None, seed: int = 0) -> BenchmarkReport:
    """Rebuild scores (.parquet, .csv) and benchmark.json from the answers and judgements in `output_dir`; each whole or
    not at all. Without an embedder there is no embedding similarity, and without judgements there are the measures
    alone. In flat memory: of a question only numbers are kept. InputError: there are no answers."""
    with name_full_disk(Path(output_dir)):
        return _write_benchmark(Path(output_dir), embedder, seed)


def _write_benchmark(output_dir: Path, embedder: Embedder | None, seed: int) -> BenchmarkReport:
    tally, by_judge, by_words, notes = BenchmarkTally(), Samples(), Samples(), []
    with ExitStack() as stack:
        answers = stack.enter_context(benchmark_answers.open_answers(output_dir))
        partners = benchmark_judging.open_partners(output_dir, answers, seed)
        judging = _open_judging(output_dir, stack)
        table = stack.enter_context(write_table(output_dir, "scores", COLUMNS))
        entries = (
            (question, question.reference, _list_texts(question, partners))
            for question in benchmark_judging.read_answers(output_dir)
        )
        for question, measured in score_references(entries, embedder):
            judged = _read_judged(judging, question, notes) if judging else {}
            scores = _join_scores(measured, judged)
            tally.count_missing(judged.get("own", {}))
            tally.add(question, question.category, scores)
            table.add(_list_rows(question, measured, judged))
            sample = _make_sample(question, scores.get("own", {}), judged.get("own", {}))
            by_judge.add(_mean([scores.get("own", {}).get(name, math.nan) for name in DIMENSIONS]), sample)
            by_words.add(scores.get("own", {}).get("token_f1", math.nan), sample)
    report = _make_report(output_dir, tally, embedder, seed)
    trusted = bool(judging) and not report.useless and not report.unproven and bool(by_judge.list()["best"])
    report.samples = (by_judge if trusted else by_words).list()
    report.sorted_by = "the judge's mean score" if trusted else "token F1"
    report.notes += notes[: benchmark_answers.LISTED]
    write_report(output_dir / REPORT, report)
    return report


def _open_judging(output_dir: Path, stack: ExitStack) -> Ledger | None:
    path = output_dir / benchmark_judging.LEDGER
    return stack.enter_context(Ledger(path, benchmark_answers.read_settings(path))) if path.exists() else None


def _list_texts(question: Question, partners: Partners) -> dict[str, str]:
    other = partners.find(question.question_id, question.answer or "")
    return {"own": question.answer or "", **({"other": other[1]} if other else {}), "question": question.question}


def _read_judged(ledger: Ledger, question: Question, notes: list[str]) -> dict[str, dict[str, dict[str, Any]]]:
    """The judge's scores by arm and dimension."""
    found = {}
    for arm in ARMS:
        item = Item(question, arm, question.answer or "")
        line = ledger.read(item.item_id)
        if line and arm == "own" and line["digest"] != item.digest:
            notes.append(f"{question.where}: another answer than this one was judged; its scores are not used")
            return {}
        if line and "scores" in line:
            found[arm] = {score["dimension"]: score for score in line["scores"]}
    return found


def _join_scores(measured: Scores, judged: dict[str, dict[str, dict[str, Any]]]) -> Scores:
    scores = {arm: dict(found) for arm, found in measured.items()}
    for arm, found in judged.items():
        scores.setdefault(arm, {}).update(
            {name: math.nan if score["score"] is None else float(score["score"]) for name, score in found.items()}
        )
    return scores


def _list_rows(
    question: Question, measured: Scores, judged: dict[str, dict[str, dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    same = {
        "id": question.question_id,
        "question": question.question,
        "doi": question.doi,
        "category": question.category,
    }
    for arm, found in judged.items():
        for score in found.values():
            yield {**same, "arm": arm, "scale": f"1-{TOP}", **score}
    for arm, values in measured.items():
        for dimension, value in values.items():
            yield {
                **same,
                "arm": arm,
                "dimension": dimension,
                "scale": "0-1",
                "score": value,
                "reasons": "",
                "missing": "",
                "attempts": 0,
            }


def _make_sample(question: Question, scores: dict[str, float], judged: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "Q": question.question,
        "A": question.reference,
        "answer": question.answer,
        "category": question.category,
        "scores": {name: round(value, 4) for name, value in scores.items()},
        "reasons": {name: score["reasons"] for name, score in judged.items()},
    }


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _make_report(output_dir: Path, tally: BenchmarkTally, embedder: Embedder | None, seed: int) -> BenchmarkReport:
    answered, judged = read_json(output_dir / benchmark_answers.REPORT), {}
    if (output_dir / benchmark_judging.LEDGER).exists():
        settings = benchmark_answers.read_settings(output_dir / benchmark_judging.LEDGER)
        judged = {"model": f"{settings['engine']} {settings['model']}", "settings": settings}
    if (output_dir / benchmark_judging.REPORT).exists():  # not there where the judging was killed
        judged = read_json(output_dir / benchmark_judging.REPORT)
    dimensions = {name: tally.result(name, seed) for name in (*DIMENSIONS, *MEASURES) if (name, "own") in tally.values}
    categories = Counter(tally.category_numbers)
    return BenchmarkReport(
        answered["model"],
        answered["way"],
        answered["test_file"],
        answered["questions"],
        answered["date"],
        answered["settings"],
        judged.get("model", ""),
        judged.get("date", ""),
        judged.get("settings", {}),
        embedder.model_id if embedder else "",
        dimensions,
        {name: categories[number] for name, number in sorted(tally.categories.items())},
        [
            name
            for name, each in dimensions.items()
            if any(null.verdict.startswith("useless") for null in each.nulls.values())
        ],
        [
            name
            for name in DIMENSIONS
            if name in dimensions and all(null.verdict == "undecided" for null in dimensions[name].nulls.values())
        ],
        read_published(),
        {},
        "",
        answered["notes"] + judged.get("notes", []),
        {"report": str(VERSION), "measures": f"{text_overlap.VERSION}, rouge-score {version('rouge-score')}"},
    )


def read_json(path: Path) -> dict[str, Any]:
    """A report of a run. InputError: it is not there, or no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: expected the report of a benchmark run, found none that can be read ({error}); run "
            "07_benchmark with this output_dir first"
        ) from error


# On the page ---------------------------------------------------------------------------------------------------------


def show_benchmark(report: BenchmarkReport) -> None:
    """Print the scores beside null baselines and, told apart from them, the published rows."""
    judged = [name for name in DIMENSIONS if name in report.dimensions]
    if judged:
        _show_judged(report, judged)
    measured = [name for name in MEASURES if name in report.dimensions]
    if measured:
        encoder = f"; embeddings by {report.encoder}" if report.encoder else ""
        print(f"\nagainst the reference answers, 0-1{encoder}")
        _show_rows(report, measured, text_overlap.NULLS)
    for name in report.useless:
        print(
            f"USELESS on {name}: this judge does not tell answers from a null baseline; report nothing by its scores."
        )
    for name in report.unproven:
        print(
            f"UNPROVEN on {name}: no null baseline decides what this judge is worth; have it judge more of them "
            "(null_questions)."
        )
    groups = max((each.score.papers for each in report.dimensions.values()), default=0)
    if groups < FEW_QUESTIONS:
        print(f"Fewer than {FEW_QUESTIONS} questions, or papers of them: these intervals say little.")
    for note in report.notes[: benchmark_answers.LISTED]:
        print(f"note: {note}")


def _show_judged(report: BenchmarkReport, names: list[str]) -> None:
    done, considered = report.questions["done"], report.questions["considered"]
    print(
        f"answers by {report.model}, {report.way}, {report.answered}: {done:,} of {considered:,} questions answered\n"
        f"judged by {report.judge}, {report.judged}; 1-{TOP}, mean and 95% interval"
    )
    _show_rows(report, names, ("reference", *benchmark_judging.NULLS))
    for name in names:
        missing = ", ".join(f"{count:,} {reason}" for reason, count in report.dimensions[name].missing.items())
        if missing:
            print(f"    {name}: scores that could not be read: {missing}")
    print("\npublished, with another judge: a frame, not a comparison")
    for row in report.published:
        cells = "".join(f"{row[name]:<22.2f}" for name in names)
        print(f"    {row['model']:34} {cells}{row['questions']}, {row['setting']}, {row['date']}")


def _show_rows(report: BenchmarkReport, names: list[str], arms: tuple[str, ...]) -> None:
    print(f"    {'':34} " + "".join(f"{MEASURES.get(name, name):22}" for name in names) + "questions")
    for arm in ("own", *arms):
        found = [_score_of(report.dimensions[name], arm) for name in names]
        if any(score.papers for score in found):
            numbers = sorted({report.dimensions[name].questions.get(arm, 0) for name in names})
            cells = "".join(f"{format_estimate(score):22}" for score in found)
            print(
                f"    {ARM_NAMES[arm]:34} {cells}"
                + " to ".join(f"{number:,}" for number in numbers[:: len(numbers) - 1 or 1])
            )
    for arm in arms:
        for name in names:
            null = report.dimensions[name].nulls.get(arm)
            if null:
                print(
                    f"    {MEASURES.get(name, name)} less that of {ARM_NAMES[arm]}: "
                    f"{format_estimate(null.difference)}: {null.verdict}"
                )


def _score_of(dimension: DimensionResult, arm: str) -> Estimate:
    if arm in ("own", "reference"):
        return dimension.score if arm == "own" else dimension.reference
    return dimension.nulls[arm].score if arm in dimension.nulls else Estimate(math.nan, math.nan, math.nan, 0)


def format_estimate(estimate: Estimate) -> str:
    if math.isnan(estimate.mean):
        return "-"
    interval = "" if math.isnan(estimate.low) else f" ({estimate.low:.2f} to {estimate.high:.2f})"
    return f"{estimate.mean:.2f}{interval}"


def show_categories(report: BenchmarkReport) -> None:
    """Print the answers' scores by category: the judge's, or the measures where nothing was judged."""
    names = [name for name in DIMENSIONS if name in report.dimensions] or list(report.dimensions)
    known = [name for name in report.categories if name]
    if not known:
        print("No question of this file has a category.")
        return
    titles = "".join(f"{MEASURES.get(name, name):22}" for name in names)
    print(f"{'':42} {'n':>5}  {titles}".rstrip())
    for category in known:
        cells = "".join(
            f"{format_estimate(report.dimensions[name].categories[category]):22}"
            if category in report.dimensions[name].categories
            else f"{'-':22}"
            for name in names
        )
        print(f"{category[:42]:42} {report.categories[category]:>5,}  {cells}".rstrip())
    if report.categories.get(""):
        print(f"{'without a category':42} {report.categories['']:>5,}")


def show_samples(report: BenchmarkReport, number: int = 3) -> None:
    """Print the best and the worst answers beside the reference, with the judge's reasons."""
    for kind, samples in report.samples.items():
        print(f"\nthe {kind} by {report.sorted_by}")
        for sample in samples[:number]:
            print(f"\n  Q: {sample['Q']}\n  reference: {sample['A'] or '(none)'}")
            print(f"  answer:    {sample['answer'] or '(empty)'}")
            for name, score in sample["scores"].items():
                reason = sample["reasons"].get(name, "")
                shown = "missing" if math.isnan(score) else f"{score:.3g}"
                print(f"     {MEASURES.get(name, name)}: {shown}" + (f"  {reason}" if reason else ""))
