"""What a judge's scores say, and whether they say anything: tables, the scored output, the report.

A row of scores.parquet (also .csv), one for each pair, dimension, repeat and arm ("own", or a null baseline of
calls.py), pairs and repeats from 0:

    record,doi,pair,arm,dimension,repeat,scale,score,reasons,missing,judged_on,attempts
    record 1,10.1371/journal.pone.0000217,4,own,accuracy,0,1-3,2,The unit is wrong.,,paper,1

Of a baseline row, `record`, `doi` and `pair` are those of the paper that was judged and the place in the arm.
A judge is called useless on a dimension where the 95% interval of its own scores less those of a baseline holds 0.
"""

import heapq
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import combinations, groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from sciqag_lib.checks.grounding import find_evidence, index_paper
from sciqag_lib.inference.forecast import Plan
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.inference.tally import Tally, show_run
from sciqag_lib.metrics.controls import judge_control, show_few
from sciqag_lib.metrics.intervals import NOTHING, Estimate, bootstrap_mean
from sciqag_lib.paths import write_atomic
from sciqag_lib.racar.calls import NULLS, Item, list_texts
from sciqag_lib.racar.judging import VERSION
from sciqag_lib.records.papers import read_records
from sciqag_lib.records.qa_records import read_pair
from sciqag_lib.tables import JsonList, write_report, write_table

if TYPE_CHECKING:  # pandas takes a second to import
    from pandas import DataFrame, Series
    from pandas.core.groupby import SeriesGroupBy

REPORT = "racar.json"
WHOLE = ("pair", "repeat", "score", "attempts")
NAMES = ("record", "doi", "pair", "arm", "dimension", "repeat", "scale", "score", "reasons", "missing", "judged_on")
COLUMNS = {name: "whole" if name in WHOLE else "text" for name in (*NAMES, "attempts", "digest")}
SCORE_COLUMNS = ["item", "pair", "score", "arm", "dimension", "missing"]  # of the scores that are averaged
LISTED = 20
ARM_NAMES = {
    "own": "own pairs",
    "other_paper": "another paper's",
    "swapped": "answers swapped",
    "bound": "pointed at a figure",
}


@dataclass
class NullReport:
    """One null baseline of a dimension."""

    score: Estimate  # mean of its pairs, 95% interval over papers
    difference: Estimate  # the paper's own mean less this one, paper by paper
    counts: list[int]  # of scores 1, 2, ...

    @property
    def verdict(self) -> str:
        return judge_control(self.difference)


@dataclass
class DimensionReport:
    score: Estimate  # mean over pairs, each the mean of its repeats
    counts: list[int]  # of scores 1, 2, ..., every repeat
    missing: dict[str, int]  # own scores without a value, by reason
    nulls: dict[str, NullReport]
    spread: Estimate  # standard deviation of a pair's repeats, averaged; nan with one repeat
    agreement: Estimate  # share of two repeats of a pair that are the same; nan with one repeat
    chance: float  # the share that would be the same if each repeat drew from all scores; nan with one repeat

    @property
    def useless(self) -> bool:
        return any(null.verdict.startswith("useless") for null in self.nulls.values())


@dataclass
class RacarReport:
    """What stands in racar.json; RacarReport() where nothing was judged."""

    model: str = ""
    scale: str = ""
    together: bool = False
    repeats: int = 1
    prompt: str = ""
    dimensions: dict[str, DimensionReport] = field(default_factory=dict)
    papers: dict[str, int] = field(default_factory=dict)  # considered, done, failed, unfinished, not_asked, excerpt
    scores: dict[str, int] = field(default_factory=dict)  # asked, delivered, missing; baselines included
    tokens: dict[str, int] = field(default_factory=dict)  # prompt, new
    seconds: float = 0.0
    worst: list[dict[str, Any]] = field(default_factory=list)  # lowest mean over the dimensions, with their evidence
    notes: list[str] = field(default_factory=list)  # what was left out or is not done, and why
    stopped: str = ""
    useless: list[str] = field(default_factory=list)  # dimensions
    version: int = VERSION

    def to_frame(self) -> "DataFrame":
        """Each dimension's own pairs beside their null baselines: means and differences with 95% intervals."""
        import pandas

        arms = (_list_arms(name, dimension, self.repeats) for name, dimension in self.dimensions.items())
        return pandas.DataFrame([row for rows in arms for row in rows])

    def list_worst(self, number: int = LISTED) -> "DataFrame":
        """The pairs with the lowest scores, the judge's reasons, and where in the paper they rest."""
        import pandas

        return pandas.DataFrame([_describe_pair(pair) for pair in self.worst[:number]])


def write_results(job: Any, ledger: Ledger, plan: Plan, stopped: str) -> RacarReport:
    """Rebuild scores (.parquet, .csv), scored_output.json and racar.json from the ledger of a RacarJob, atomically."""
    judging, output_dir = job.judging, job.output_dir
    tally, notes, num_excerpts = Tally(), list(plan.bad_records), 0
    rows: list[tuple] = []  # see measure_dimensions
    worst: list[tuple[float, Item, int, dict[str, Any]]] = []  # mean, item, place of the pair, what is merged into it
    with ExitStack() as stack:
        table = stack.enter_context(write_table(output_dir, "scores", COLUMNS))
        output = JsonList(stack.enter_context(write_atomic(output_dir / "scored_output.json")))
        records = read_records(job.file_path)
        for number, item_id, item in job.list_items():
            line = ledger.read(item_id)
            if line:
                tally.add(line)
            if not line or "scores" not in line:
                reason = f" ({line['reason']}: {line['message']})" if line else ""
                yet = "" if ledger.finished(item_id) else " yet"
                notes.append(f"{item.name}: not judged{yet}{reason}")
                continue
            if line["status"] == "failed":
                notes.append(f"{item.name}: {line['message']}")
            table.add(_list_rows(item, line["scores"], judging.scale))
            rows += [_make_row(number, score) for score in line["scores"]]
            merged = merge_scores(line["scores"], len(item.pairs), judging.dimensions)
            num_excerpts += any(entry["judged_on"] == "excerpt" for entry in merged)
            worst = heapq.nsmallest(LISTED, [*worst, *_list_means(item, merged)], key=lambda entry: entry[0])
            for record in _merge_records(records, item, merged, judging.scale):
                output.add(record)
        output.end()
    dimensions = measure_dimensions(rows, judging.dimensions, judging.top, judging.seed)
    report = RacarReport(
        model=f"{job.engine.name} {job.engine.model_id}",
        scale=judging.scale,
        together=judging.together,
        repeats=judging.repeats,
        prompt=plan.settings["prompt"],
        dimensions=dimensions,
        papers={**tally.count_items(len(plan.item_ids)), "excerpt": num_excerpts},
        scores=tally.count_scores(),
        tokens=tally.count_tokens(),
        seconds=round(tally.busy_seconds(), 1),
        worst=[_describe_worst(*entry) for entry in worst],
        notes=notes,
        stopped=stopped,
        useless=[name for name, dimension in dimensions.items() if dimension.useless],
    )
    write_report(output_dir / REPORT, report)
    return report


def _make_row(number: int, score: dict[str, Any]) -> tuple:
    """See SCORE_COLUMNS. Two million rows share a few strings."""
    return number, score["pair"], score["score"], *(sys.intern(score[name]) for name in SCORE_COLUMNS[3:])


def _list_rows(item: Item, scores: list[dict[str, Any]], scale: str) -> Iterator[dict[str, Any]]:
    text = digest_of(item.txt)
    digests = [digest_of([text, *texts]) for texts in list_texts(item.pairs)]
    for score in scores:
        own = score["arm"] == "own"
        source = item.sources[score["pair"]] if own or not item.txt else item.sources[0]
        yield {
            **score,
            "record": source.record,
            "doi": source.doi,
            "scale": scale,
            "pair": source.place if own or not item.txt else score["pair"],
            "digest": digests[score["pair"]] if own else None,
        }


# A judge's scores in numbers -----------------------------------------------------------------------------------------


def measure_dimensions(
    rows: list[tuple], dimensions: tuple[str, ...], top: int, seed: int
) -> dict[str, DimensionReport]:
    """Each dimension's numbers; `rows` hold SCORE_COLUMNS, one row per score, a score of None is missing."""
    import pandas

    frame = pandas.DataFrame(rows, columns=SCORE_COLUMNS).astype({"score": float})
    return {name: _measure_dimension(frame[frame["dimension"] == name], top, seed) for name in dimensions}


def _measure_dimension(frame: "DataFrame", top: int, seed: int) -> DimensionReport:
    arms = {arm: found for arm, found in frame.dropna(subset="score").groupby("arm")}
    counts = {arm: [int((found["score"] == level).sum()) for level in range(1, top + 1)] for arm, found in arms.items()}
    means = {arm: found.groupby(["item", "pair"], sort=False)["score"].mean() for arm, found in arms.items()}
    papers = {arm: _apply(found.groupby("item"), np.mean) for arm, found in means.items()}
    own = counts.get("own", [0] * top)
    spread, agreement = _measure_repeats(arms["own"], seed) if "own" in arms else (NOTHING, NOTHING)
    return DimensionReport(
        score=_estimate(means["own"], seed) if "own" in arms else NOTHING,
        counts=own,
        missing=dict(Counter(frame["missing"][(frame["arm"] == "own") & frame["score"].isna()])),
        nulls={
            arm: NullReport(
                _estimate(means[arm], seed), _estimate(papers.get("own", math.nan) - papers[arm], seed), counts[arm]
            )
            for arm in NULLS
            if arm in arms
        },
        spread=spread,
        agreement=agreement,
        chance=sum((count / sum(own)) ** 2 for count in own) if agreement.papers else math.nan,
    )


def _measure_repeats(own: "DataFrame", seed: int) -> tuple[Estimate, Estimate]:
    """Spread and agreement of the pairs with two repeats or more."""
    repeated = own[own.duplicated(["item", "pair"], keep=False)]
    if repeated.empty:
        return NOTHING, NOTHING
    pairs = repeated.groupby(["item", "pair"], sort=False)["score"]
    return (
        _estimate(_apply(pairs, lambda values: np.std(values, ddof=1)), seed),
        _estimate(_apply(pairs, lambda values: np.mean([a == b for a, b in combinations(values, 2)])), seed),
    )


def _apply(groups: "SeriesGroupBy", measure: Callable[[np.ndarray], float]) -> "Series":
    """numpy's own functions: those of pandas differ in the last digit."""
    return groups.agg(lambda values: float(measure(values.to_numpy())))


def _estimate(values: "Series", seed: int) -> Estimate:
    """The mean over pairs, or papers, with its interval over papers."""
    return bootstrap_mean(values.to_numpy(), values.index.get_level_values("item"), seed)


# The file's records with their scores --------------------------------------------------------------------------------


def merge_scores(scores: list[dict[str, Any]], num_pairs: int, dimensions: tuple[str, ...]) -> list[dict[str, Any]]:
    """For each of a paper's own pairs {"scores": {dimension: mean of its repeats or None}, "reasons": {dimension: the
    first repeat's}, "judged_on"}."""
    own = [score for score in scores if score["arm"] == "own"]
    asked = {score["dimension"] for score in own}
    names = [name for name in dimensions if name in asked]
    merged = [
        {"scores": dict.fromkeys(names), "reasons": dict.fromkeys(names, ""), "judged_on": ""} for _ in range(num_pairs)
    ]
    found: dict[tuple[int, str], list[int]] = defaultdict(list)
    for score in own:
        pair, name = merged[score["pair"]], score["dimension"]
        if pair["judged_on"] in ("", "no paper"):
            pair["judged_on"] = score["judged_on"]
        if score["score"] is not None:
            if not found[score["pair"], name]:
                pair["reasons"][name] = score["reasons"]
            found[score["pair"], name].append(score["score"])
    for (place, name), values in found.items():
        mean = sum(values) / len(values)
        merged[place]["scores"][name] = int(mean) if mean == int(mean) else round(mean, 4)
    return merged


def _merge_records(
    records: Iterator[tuple[str, Any]], item: Item, merged: list[dict[str, Any]], scale: str
) -> Iterator[dict[str, Any]]:
    """The file's own records of an item with the scores put to their pairs; everything else as it stands there, but
    that scores which a pair had before are its `scores_before`."""
    places = range(len(item.pairs))
    for where, group in groupby(places, key=lambda place: item.sources[place].record):
        record = next(record for name, record in records if name == where)
        entries = iter(record["Q&A"] if "Q&A" in record else [record])  # the bad ones of them are left out
        pairs = []
        for place in group:
            entry = next(entry for entry in entries if read_pair(entry) == item.pairs[place])
            before = {"scores_before": entry["scores"]} if "scores" in entry else {}
            pairs.append({**entry, **before, **merged[place], "scale": scale})
        yield {**record, "num_Q&A": len(pairs), "Q&A": pairs} if "Q&A" in record else pairs[0]


def _list_means(item: Item, merged: list[dict[str, Any]]) -> Iterator[tuple[float, Item, int, dict[str, Any]]]:
    for place, entry in enumerate(merged):
        values = [value for value in entry["scores"].values() if value is not None]
        if values:
            yield float(np.mean(values)), item, place, entry


def _describe_worst(mean: float, item: Item, place: int, entry: dict[str, Any]) -> dict[str, Any]:
    pair, source = item.pairs[place], item.sources[place]
    spans = find_evidence(f"{pair.question}\n{pair.answer}", index_paper(item.txt))[0] if item.txt else []
    return {
        "doi": source.doi,
        "record": source.record,
        "pair": source.place,
        "mean": round(mean, 4),
        "Q": pair.question,
        "A": pair.answer,
        **entry,
        "evidence": [{"start": start, "end": end, "text": item.txt[start:end]} for start, end in spans],
    }


# On the page ---------------------------------------------------------------------------------------------------------


def _list_arms(name: str, dimension: DimensionReport, repeats: int) -> Iterator[dict[str, Any]]:
    missing = ", ".join(f"{count:,} {reason}" for reason, count in dimension.missing.items())
    own = {"dimension": name, "pairs": ARM_NAMES["own"], "scores": sum(dimension.counts), "missing": missing}
    own |= {"mean": str(dimension.score), "own less these": "", "verdict": ""}
    if repeats > 1:
        own |= {"spread of repeats": str(dimension.spread), "repeats that agree": str(dimension.agreement)}
        own["by chance"] = round(dimension.chance, 3)
    yield own
    for arm, null in dimension.nulls.items():
        yield {
            **dict.fromkeys(own, ""),
            "dimension": name,
            "pairs": ARM_NAMES[arm],
            "scores": sum(null.counts),
            "mean": str(null.score),
            "own less these": str(null.difference),
            "verdict": null.verdict,
        }


def _describe_pair(pair: dict[str, Any]) -> dict[str, Any]:
    return {
        "mean": pair["mean"],
        "paper": pair["doi"] or pair["record"],
        "pair": pair["pair"],
        "judged on": pair["judged_on"],
        "question": pair["Q"],
        "answer": pair["A"],
        "scores and reasons": "; ".join(
            f"{name}: {'missing' if score is None else f'{score:g}'} {pair['reasons'][name]}".rstrip()
            for name, score in pair["scores"].items()
        ),
        "evidence": " ".join(f"[{span['start']:,} to {span['end']:,}] {span['text']}" for span in pair["evidence"]),
    }


def show_racar(report: RacarReport) -> None:
    """Print what was judged and by whom, and what the null baselines say of the judge."""
    if not report.model:
        print("nothing was judged")
        return
    way = "all dimensions in one call" if report.together else "each dimension alone"
    print(f"judge: {report.model} | scale {report.scale}, {way}, repeats: {report.repeats} | {report.prompt}")
    _show_verdict(report)
    show_run({"papers": report.papers, "scores": report.scores}, report.notes, REPORT, report.stopped)


def _show_verdict(report: RacarReport) -> None:
    nulls = [null for dimension in report.dimensions.values() for null in dimension.nulls.values()]
    if all(null.verdict == "undecided" for null in nulls):
        print(
            "No null baseline with an interval, which takes two papers: nothing here says whether these scores mean "
            "anything."
        )
        return
    for name in report.useless:
        print(
            f"USELESS on {name}: this judge does not tell the paper's pairs from a null baseline; "
            "do not select or report by its scores."
        )
    if not report.useless:
        print(
            "This judge tells every baseline apart that has an interval. That is the least a judge must do, and no\n"
            "proof that it agrees with people."
        )
    show_few(max(null.difference.papers for null in nulls), "papers")
