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
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import combinations, groupby
from typing import Any

import numpy as np

from sciqag_lib.checks.grounding import find_evidence, index_paper
from sciqag_lib.engines import Engine
from sciqag_lib.inference.forecast import Plan, format_seconds
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.inference.seeds import digest_of
from sciqag_lib.inference.tally import Tally
from sciqag_lib.metrics.intervals import Estimate, estimate_mean, estimate_values
from sciqag_lib.paths import write_atomic
from sciqag_lib.racar.calls import NULLS, Item, list_texts
from sciqag_lib.racar.judging import VERSION, Judging
from sciqag_lib.records.papers import read_records
from sciqag_lib.records.qa_records import read_pair
from sciqag_lib.tables import JsonList, show_notes, write_report, write_table

REPORT = "racar.json"
COLUMNS = {
    "record": "text",
    "doi": "text",
    "pair": "whole",
    "arm": "text",
    "dimension": "text",
    "repeat": "whole",
    "scale": "text",
    "score": "whole",
    "reasons": "text",
    "missing": "text",
    "judged_on": "text",
    "attempts": "whole",
    "digest": "text",
}  # the last: of the paper's text and the pair, on own pairs
LISTED = 20
FEW_PAPERS = 10  # an interval bootstrapped over fewer says little
ARM_NAMES = {
    "own": "own pairs",
    "other_paper": "another paper's",
    "swapped": "answers swapped",
    "bound": "pointed at a figure",
}

Scores = dict[int, list[int]]  # of one arm and dimension of a paper: by pair, one for each repeat that has one


@dataclass
class NullReport:
    """One null baseline of a dimension."""

    score: Estimate  # mean of its pairs, 95% interval over papers
    difference: Estimate  # the paper's own mean less this one, paper by paper
    counts: list[int]  # of scores 1, 2, ...

    @property
    def verdict(self) -> str:
        low, high = self.difference.low, self.difference.high
        if math.isnan(low):
            return "undecided"
        if low > 0:
            return "told apart"
        return "useless: the worse ones get more" if high < 0 else "useless: not told apart"


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
    """What stands in racar.json."""

    model: str
    scale: str
    together: bool
    repeats: int
    prompt: str
    dimensions: dict[str, DimensionReport]
    papers: dict[str, int]  # considered, done, failed, unfinished, not_asked, excerpt
    scores: dict[str, int]  # asked, delivered, missing; baselines included
    tokens: dict[str, int]  # prompt, new
    seconds: float
    worst: list[dict[str, Any]]  # the pairs with the lowest mean over the dimensions, with their evidence
    notes: list[str] = field(default_factory=list)  # what was left out or is not done, and why
    stopped: str = ""
    useless: list[str] = field(default_factory=list)  # dimensions
    version: int = VERSION


class DimensionTally:
    """Takes each paper's scores on one dimension as they come; of a paper only sums are kept."""

    def __init__(self, top: int) -> None:
        self.top = top
        self.counts: dict[str, Counter[int]] = defaultdict(Counter)  # by arm
        self.sums: dict[str, list[tuple[float, int]]] = defaultdict(list)  # by arm: sum of pairs' means, and pairs
        self.differences: dict[str, list[float]] = defaultdict(list)
        self.spreads: list[tuple[float, int]] = []
        self.agreements: list[tuple[float, int]] = []
        self.missing: Counter[str] = Counter()

    def add(self, arms: dict[str, Scores]) -> None:
        means = {arm: [float(np.mean(values)) for values in scores.values()] for arm, scores in arms.items()}
        for arm, scores in arms.items():
            self.counts[arm].update(score for values in scores.values() for score in values)
            self.sums[arm].append((sum(means[arm]), len(means[arm])))
            if arm != "own" and means[arm] and means.get("own"):
                self.differences[arm].append(float(np.mean(means["own"]) - np.mean(means[arm])))
        repeated = [values for values in arms.get("own", {}).values() if len(values) > 1]
        self.spreads.append((sum(float(np.std(values, ddof=1)) for values in repeated), len(repeated)))
        same = [float(np.mean([a == b for a, b in combinations(values, 2)])) for values in repeated]
        self.agreements.append((sum(same), len(same)))

    def report(self, seed: int) -> DimensionReport:
        nulls = {
            arm: NullReport(
                _estimate(self.sums[arm], seed), estimate_values(self.differences[arm], seed), self._list_counts(arm)
            )
            for arm in NULLS
            if self.counts[arm]
        }
        agreement, counts = _estimate(self.agreements, seed), self._list_counts("own")
        chance = sum((count / sum(counts)) ** 2 for count in counts) if agreement.papers else math.nan
        return DimensionReport(
            _estimate(self.sums["own"], seed),
            counts,
            dict(self.missing),
            nulls,
            _estimate(self.spreads, seed),
            agreement,
            chance,
        )

    def _list_counts(self, arm: str) -> list[int]:
        return [self.counts[arm][score] for score in range(1, self.top + 1)]


def _estimate(sums: list[tuple[float, int]], seed: int) -> Estimate:
    return estimate_mean([total for total, _ in sums], [number for _, number in sums], seed)


class WorstPairs:
    """The pairs with the lowest mean over their dimensions; of two alike, the one that comes first in the file."""

    def __init__(self) -> None:
        self._kept: list[tuple[float, int, dict[str, Any]]] = []
        self._seen = 0

    def add(self, item: Item, scored: list[dict[str, Any]], judged_on: dict[int, str]) -> None:
        for place, entry in enumerate(scored):
            self._seen += 1
            values = [value for value in entry["scores"].values() if value is not None]
            mean = float(np.mean(values)) if values else math.inf
            full = len(self._kept) == LISTED
            if not values or full and -mean <= self._kept[0][0]:
                continue
            own, source = item.pairs[place], item.sources[place]
            spans = find_evidence(f"{own.question}\n{own.answer}", index_paper(item.txt))[0] if item.txt else []
            pair = {
                "doi": source.doi,
                "record": source.record,
                "pair": source.place,
                "mean": round(mean, 4),
                "Q": own.question,
                "A": own.answer,
                "scores": entry["scores"],
                "reasons": entry["reasons"],
                "judged_on": judged_on.get(place, ""),
                "evidence": [{"start": start, "end": end, "text": item.txt[start:end]} for start, end in spans],
            }
            (heapq.heappushpop if full else heapq.heappush)(self._kept, (-mean, -self._seen, pair))

    def list(self) -> list[dict[str, Any]]:
        return [pair for _, _, pair in sorted(self._kept, key=lambda entry: entry[:2], reverse=True)]


def write_results(job: Any, ledger: Ledger, plan: Plan, stopped: str) -> RacarReport:
    """Rebuild scores (.parquet, .csv), scored_output.json and racar.json from the ledger of a RacarJob, atomically."""
    judging, output_dir = job.judging, job.output_dir
    tallies = {name: DimensionTally(judging.top) for name in judging.dimensions}
    tally, worst, notes, num_excerpts = Tally(), WorstPairs(), list(plan.bad_records), 0
    with ExitStack() as stack:
        table = stack.enter_context(write_table(output_dir, "scores", COLUMNS))
        output = JsonList(stack.enter_context(write_atomic(output_dir / "scored_output.json")))
        records = read_records(job.file_path)
        for _, item_id, item in job.list_items():
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
            judged_on = _add_scores(tallies, line["scores"])
            num_excerpts += "excerpt" in judged_on.values()
            scored = merge_scores(line["scores"], len(item.pairs), judging.dimensions)
            worst.add(item, scored, judged_on)
            for record in _merge_records(records, item, scored, judged_on, judging.scale):
                output.add(record)
        output.end()
    report = _make_report(job.engine, judging, plan, tallies, tally, stopped)
    report.papers["excerpt"], report.worst, report.notes = num_excerpts, worst.list(), notes
    write_report(output_dir / REPORT, report)
    return report


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


def _add_scores(tallies: dict[str, DimensionTally], scores: list[dict[str, Any]]) -> dict[int, str]:
    """Count a paper's scores; what each of its own pairs was judged on."""
    found: dict[str, dict[str, Scores]] = {name: defaultdict(lambda: defaultdict(list)) for name in tallies}
    judged_on: dict[int, str] = {}
    for score in scores:
        name, arm = score["dimension"], score["arm"]
        if score["score"] is not None:
            found[name][arm][score["pair"]].append(score["score"])
        elif arm == "own":
            tallies[name].missing[score["missing"]] += 1
        if arm == "own" and judged_on.get(score["pair"], "no paper") == "no paper":
            judged_on[score["pair"]] = score["judged_on"]
    for name, arms in found.items():
        tallies[name].add(arms)
    return judged_on


def merge_scores(scores: list[dict[str, Any]], num_pairs: int, dimensions: tuple[str, ...]) -> list[dict[str, Any]]:
    """For each of a paper's own pairs {"scores": {dimension: mean of its repeats or None}, "reasons": {dimension: the
    first repeat's}}."""
    values: dict[tuple[int, str], list[int]] = defaultdict(list)
    reasons: dict[tuple[int, str], str] = {}
    asked = {score["dimension"] for score in scores if score["arm"] == "own"}
    for score in scores:
        if score["arm"] == "own" and score["score"] is not None:
            values[score["pair"], score["dimension"]].append(score["score"])
            reasons.setdefault((score["pair"], score["dimension"]), score["reasons"])

    def mean(found: list[int]) -> float | None:
        value = sum(found) / len(found) if found else None
        return int(value) if value is not None and value == int(value) else value and round(value, 4)

    names = [name for name in dimensions if name in asked]
    return [
        {
            "scores": {name: mean(values[place, name]) for name in names},
            "reasons": {name: reasons.get((place, name), "") for name in names},
        }
        for place in range(num_pairs)
    ]


def _merge_records(
    records: Iterator[tuple[str, Any]], item: Item, scored: list[dict[str, Any]], judged_on: dict[int, str], scale: str
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
            pairs.append({**entry, **before, **scored[place], "judged_on": judged_on.get(place, ""), "scale": scale})
        yield {**record, "num_Q&A": len(pairs), "Q&A": pairs} if "Q&A" in record else pairs[0]


def _make_report(
    engine: Engine, judging: Judging, plan: Plan, tallies: dict[str, DimensionTally], tally: Tally, stopped: str
) -> RacarReport:
    dimensions = {name: each.report(judging.seed) for name, each in tallies.items()}
    papers = {
        "considered": len(plan.item_ids),
        "done": tally.statuses["done"],
        "failed": tally.statuses["failed"],
        "unfinished": tally.statuses["unfinished"],
        "not_asked": len(plan.item_ids) - sum(tally.statuses.values()),
    }
    asked, delivered = tally.counts["asked"], tally.counts["delivered"]
    return RacarReport(
        f"{engine.name} {engine.model_id}",
        judging.scale,
        judging.together,
        judging.repeats,
        plan.settings["prompt"],
        dimensions,
        papers,
        {"asked": asked, "delivered": delivered, "missing": asked - delivered},
        {"prompt": tally.counts["prompt_tokens"], "new": tally.counts["new_tokens"]},
        round(tally.busy_seconds(), 1),
        [],
        stopped=stopped,
        useless=[name for name, each in dimensions.items() if each.useless],
    )


# On the page ---------------------------------------------------------------------------------------------------------


def show_racar(report: RacarReport, times: bool = False) -> None:
    """Print each dimension beside its null baselines, and what they say of the judge; `times` differ by machine."""
    papers, scores = report.papers, report.scores
    way = "all dimensions in one call" if report.together else "each dimension alone"
    print(f"judge: {report.model} | scale {report.scale}, {way}, repeats: {report.repeats} | {report.prompt}")
    print(
        f"papers: {papers['done']:,} done, {papers['failed']:,} failed, {papers['unfinished']:,} unfinished, "
        f"{papers['not_asked']:,} not asked; judged on excerpts: {papers['excerpt']:,}"
    )
    print(f"scores: {scores['asked']:,} asked = {scores['delivered']:,} delivered + {scores['missing']:,} missing")
    if times and report.seconds:
        tokens = report.tokens
        print(f"tokens: {tokens['prompt']:,} prompt + {tokens['new']:,} new in {format_seconds(report.seconds)}")
    for name, dimension in report.dimensions.items():
        _show_dimension(name, dimension)
    _show_verdict(report)
    show_notes(report.notes, LISTED, REPORT)
    if report.stopped:
        print(f"stopped: {report.stopped}. Run again with the same output_dir to go on")


def _show_dimension(name: str, dimension: DimensionReport) -> None:
    missing = "".join(f", {count:,} missing ({reason})" for reason, count in dimension.missing.items())
    print(f"\n{name}: mean {dimension.score}, {sum(dimension.counts):,} scores{missing}")
    for arm, null in dimension.nulls.items():
        print(f"    {ARM_NAMES[arm]:20} mean {null.score}; own less these {null.difference}: {null.verdict}")
    if dimension.agreement.papers:
        print(
            f"    repeats: spread {dimension.spread}; two of a pair agree {dimension.agreement}, by chance "
            f"{dimension.chance:.3f}"
        )


def _show_verdict(report: RacarReport) -> None:
    nulls = [null for dimension in report.dimensions.values() for null in dimension.nulls.values()]
    print()
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
    if max(null.difference.papers for null in nulls) < FEW_PAPERS:
        print(f"Fewer than {FEW_PAPERS} papers: these intervals say little.")


def show_worst(report: RacarReport, number: int = 5) -> None:
    """Print the pairs with the lowest scores, the judge's reasons, and the place in the paper they rest on."""
    for pair in report.worst[:number]:
        name = pair["doi"] or pair["record"]
        print(f"\n{pair['mean']:.2f}  {name}, pair {pair['pair']}, judged on: {pair['judged_on']}")
        print(f"  Q: {pair['Q']}\n  A: {pair['A']}")
        for name, score in pair["scores"].items():
            print(f"     {name}: {'missing' if score is None else f'{score:g}'}  {pair['reasons'][name]}")
        for span in pair["evidence"]:
            text = " ".join(span["text"].split())
            print(f"     evidence: characters {span['start']:,} to {span['end']:,}: “{text}”")
