"""What a benchmark run says: scores with intervals, overall and by category, beside null baselines and published rows.

A row of scores.parquet (also .csv), one for each question, arm and dimension, where a score was asked for:

    id,question,doi,category,arm,dimension,scale,score,reasons,missing,attempts
    0f3c...,How does ...?,,"Chemistry, Analytical",own,accuracy,1-5,4,One unit is missing.,,1

The judge's dimensions have the arms "own", "reference", "other" and "empty", the measures of text_overlap.py "own",
"other" and "question". benchmark.json holds the same report that write_benchmark returns.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciqag_lib.benchmark import answers as benchmark_answers
from sciqag_lib.benchmark import judging as benchmark_judging
from sciqag_lib.benchmark.judging import ARMS, DIMENSIONS, TOP, Item, Partners
from sciqag_lib.benchmark.tally import DimensionResult, measure_dimension, pick_samples
from sciqag_lib.engines.embeddings import Embedder
from sciqag_lib.errors import InputError
from sciqag_lib.inference.ledger import Ledger, name_full_disk, read_settings
from sciqag_lib.inference.tally import SHOWN
from sciqag_lib.metrics import text_overlap
from sciqag_lib.metrics.controls import show_few
from sciqag_lib.metrics.text_overlap import MEASURES, score_references
from sciqag_lib.paths import REPO_ROOT
from sciqag_lib.tables import read_published, show_notes, write_report, write_table
from sciqag_lib.tasks.questions import Question

if TYPE_CHECKING:  # pandas takes a second to import
    from pandas import DataFrame

VERSION = 1  # of what moves a number here
REPORT = "benchmark.json"
PUBLISHED = REPO_ROOT / "data" / "sciqag_24d_published.csv"
PUBLISHED_COLUMNS = {"model": str, "setting": str, **dict.fromkeys(DIMENSIONS, float), "judge": str}
PUBLISHED_COLUMNS |= {"questions": int, "date": str, "source": str}
TEXTS = ("id", "question", "doi", "category", "arm", "dimension", "scale")
COLUMNS = dict.fromkeys(TEXTS, "text") | {"score": "real", "reasons": "text", "missing": "text", "attempts": "whole"}
ARM_NAMES = {
    "own": "this run",
    "reference": "the reference answers",
    "other": "another question's answer",
    "empty": "no answer",
    "question": "the question as its answer",
}


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

    def to_frame(self) -> "DataFrame":
        """The answers beside the reference answers and the null baselines, on each dimension and measure."""
        rows = []
        for arm, title in ARM_NAMES.items():
            numbers = sorted({each.questions[arm] for each in self.dimensions.values() if arm in each.questions})
            found = {_title(name): str(each.list_arms().get(arm, "-")) for name, each in self.dimensions.items()}
            if numbers:
                questions = " to ".join(f"{number:,}" for number in numbers[:: len(numbers) - 1 or 1])
                rows.append({"answers": title, **found, "questions": questions})
        return _make_frame(rows)

    def list_nulls(self) -> "DataFrame":
        """What the answers' scores have more than those of each null baseline, and what that says."""
        return _make_frame(
            {"score": _title(name), "less that of": ARM_NAMES[arm]}
            | {"difference": str(null.difference), "verdict": null.verdict}
            for name, each in self.dimensions.items()
            for arm, null in each.nulls.items()
        )

    def list_published(self) -> "DataFrame":
        """The published rows, with another judge: for context only, not comparable."""
        return _make_frame(self.published)[["model", *DIMENSIONS, "questions", "setting", "judge", "date"]]

    def list_categories(self) -> "DataFrame":
        """The answers' scores by category: the judge's, or the measures where nothing was judged."""
        names = [name for name in DIMENSIONS if name in self.dimensions] or list(self.dimensions)
        return _make_frame(
            {"category": category or "(none)", "questions": number}
            | {_title(name): str(self.dimensions[name].categories.get(category, "-")) for name in names}
            for category, number in self.categories.items()
        )

    def list_samples(self, number: int = 3) -> "DataFrame":
        """The best and the worst answers beside the reference, with the judge's reasons."""
        return _make_frame(
            {f"by {self.sorted_by}": kind, **_describe_sample(sample)}
            for kind, samples in self.samples.items()
            for sample in samples[:number]
        )


def _make_frame(rows: Iterable[Any]) -> "DataFrame":
    import pandas

    return pandas.DataFrame(list(rows))


def _title(name: str) -> str:
    return MEASURES.get(name, name)


def _describe_sample(sample: dict[str, Any]) -> dict[str, str]:
    shown = {name: "missing" if math.isnan(score) else f"{score:.3g}" for name, score in sample["scores"].items()}
    scores = [f"{_title(name)}: {score} {sample['reasons'].get(name, '')}".rstrip() for name, score in shown.items()]
    return {
        "question": sample["Q"],
        "reference": sample["A"] or "(none)",
        "answer": sample["answer"] or "(empty)",
        "scores and reasons": "; ".join(scores),
    }


# From the files of a run to its report -------------------------------------------------------------------------------


def write_benchmark(output_dir: str | Path, embedder: Embedder | None = None, seed: int = 0) -> BenchmarkReport:
    """Rebuild scores (.parquet, .csv) and benchmark.json from the answers and judgements in `output_dir`; each
    atomically. Without an embedder there is no embedding similarity, and without judgements there are the measures
    alone. InputError: there are no answers."""
    output_dir = Path(output_dir)
    rows: list[dict[str, Any]] = []  # one per question; see measure_dimension
    samples: list[dict[str, Any]] = []
    missing: dict[str, Counter[str]] = defaultdict(Counter)  # by dimension: own scores without a value, by reason
    notes: list[str] = []
    with name_full_disk(output_dir):
        with ExitStack() as stack:
            stack.enter_context(benchmark_answers.open_answers(output_dir))  # they must not change meanwhile
            questions = benchmark_judging.read_answers(output_dir)
            partners = benchmark_judging.find_partners(questions, seed)
            path = output_dir / benchmark_judging.LEDGER
            settings = read_settings(path) if path.exists() else {}
            judging = stack.enter_context(Ledger(path, settings)) if settings else None
            table = stack.enter_context(write_table(output_dir, "scores", COLUMNS))
            entries = ((question, question.reference, _list_texts(question, partners)) for question in questions)
            for question, measured in score_references(entries, embedder):
                judged = _read_judged(judging, question, notes) if judging else {}
                scores = list(_list_scores(question, measured, judged))
                table.add(scores)
                values = {f"{score['arm']}.{score['dimension']}": score["score"] for score in scores}
                rows.append({"group": question.group, "category": question.category, **values})
                own = {score["dimension"]: score for score in scores if score["arm"] == "own"}
                samples.append(_make_sample(question, own))
                for name, score in own.items():
                    missing[name].update([score["missing"]] if score["missing"] else [])
        frame = _make_frame(rows)
        names = [name for name in (*DIMENSIONS, *MEASURES) if f"own.{name}" in frame]
        dimensions = {name: measure_dimension(frame, name, dict(missing[name]), seed) for name in names}
        report = _make_report(output_dir, dimensions, settings)
        report.categories = dict(sorted(Counter(frame["category"]).items()))
        report.encoder = embedder.model_id if embedder else ""
        by_judge = frame.filter([f"own.{name}" for name in DIMENSIONS]).astype(float).mean(axis=1)
        trusted = bool(judging) and not report.useless and not report.unproven and by_judge.notna().any()
        by_words = frame.get("own.token_f1", by_judge * math.nan)
        report.samples = pick_samples(by_judge if trusted else by_words, samples)
        report.sorted_by = "the judge's mean score" if trusted else "token F1"
        report.notes += notes[:SHOWN]
        write_report(output_dir / REPORT, report)
        return report


def _list_texts(question: Question, partners: Partners) -> dict[str, str]:
    other = partners.find(question.question_id)
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


def _list_scores(
    question: Question, measured: dict[str, dict[str, float]], judged: dict[str, dict[str, dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """The rows of scores.parquet about one question."""
    names = {"id": question.question_id, "question": question.question}
    names |= {"doi": question.doi, "category": question.category}
    for arm, found in judged.items():
        for score in found.values():
            yield {**names, "arm": arm, "scale": f"1-{TOP}", **score}
    for arm, values in measured.items():
        for dimension, value in values.items():
            score = {"score": value, "reasons": "", "missing": "", "attempts": 0}
            yield {**names, "arm": arm, "dimension": dimension, "scale": "0-1", **score}


def _make_sample(question: Question, own: dict[str, dict[str, Any]]) -> dict[str, Any]:
    values = {name: own[name]["score"] for name in (*MEASURES, *DIMENSIONS) if name in own}
    return {
        "Q": question.question,
        "A": question.reference,
        "answer": question.answer,
        "category": question.category,
        "scores": {name: math.nan if value is None else round(float(value), 4) for name, value in values.items()},
        "reasons": {name: own[name]["reasons"] for name in DIMENSIONS if name in own},
    }


def _make_report(output_dir: Path, dimensions: dict[str, DimensionResult], settings: dict[str, Any]) -> BenchmarkReport:
    """The report without what comes of the answers' rows; `settings` are the judge's, {} where nothing was judged."""
    answered = read_json(output_dir / benchmark_answers.REPORT)
    judged = {"model": f"{settings['engine']} {settings['model']}", "settings": settings} if settings else {}
    if (output_dir / benchmark_judging.REPORT).exists():  # not there where the judging was killed
        judged = read_json(output_dir / benchmark_judging.REPORT)
    verdicts = {name: [null.verdict for null in each.nulls.values()] for name, each in dimensions.items()}
    return BenchmarkReport(
        **{name: answered[name] for name in ("model", "way", "test_file", "questions")},
        answered=answered["date"],
        answer_settings=answered["settings"],
        judge=judged.get("model", ""),
        judged=judged.get("date", ""),
        judge_settings=judged.get("settings", {}),
        encoder="",
        dimensions=dimensions,
        categories={},
        useless=[name for name, each in verdicts.items() if any(text.startswith("useless") for text in each)],
        unproven=[name for name in DIMENSIONS if set(verdicts.get(name, ["none"])) <= {"undecided"}],
        published=read_published(PUBLISHED, PUBLISHED_COLUMNS),
        samples={},
        sorted_by="",
        notes=answered["notes"] + judged.get("notes", []),
        versions={"report": str(VERSION), "measures": f"{text_overlap.VERSION}, rouge-score {version('rouge-score')}"},
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
    """Print who answered and who judged, and what the null baselines say of the judge."""
    done, considered = report.questions["done"], report.questions["considered"]
    print(f"answers by {report.model}, {report.way}, {report.answered}: {done:,} of {considered:,} questions answered")
    if report.judge:
        print(f"judged by {report.judge}, {report.judged}; 1-{TOP}")
    if report.encoder:
        print(f"embeddings by {report.encoder}")
    for name, dimension in report.dimensions.items():
        missing = ", ".join(f"{count:,} {reason}" for reason, count in dimension.missing.items())
        if missing:
            print(f"{name}: scores that could not be read: {missing}")
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
    show_few(groups, "questions, or papers of them")
    show_notes(report.notes, SHOWN, REPORT)
