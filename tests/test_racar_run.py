"""Whole runs of a scripted judge: where scores land, what is asked again, what is kept, and what the report says."""

import json
import math
import re
from pathlib import Path

import pyarrow.parquet
import pytest

from sciqag_lib.engines import Completion, EngineError
from sciqag_lib.errors import InputError
from sciqag_lib.inference.ledger import FingerprintMismatch
from sciqag_lib.metrics.intervals import Estimate
from sciqag_lib.racar.judging import DIMENSIONS, make_judging
from sciqag_lib.racar.report import SCORE_COLUMNS, NullReport, RacarReport, measure_dimensions, show_racar
from sciqag_lib.racar.run import score_file
from tests.fakes import FakeEngine

QAS = Path(__file__).parents[1] / "data" / "qas.json"
LETTERS = "abc"


def paper(letter, num_pairs=2, **more):
    """Paper a says "Fact a0 holds at 10 K. Fact a1 holds at 11 K."; its pairs are "Is a0 so?", "Fact a0 holds." """
    facts = " ".join(f"Fact {letter}{n} holds at 1{n} K." for n in range(num_pairs))
    return {
        "source": f"{letter}.xml",
        "doi": f"10.1/{letter}",
        "keywords": ["k"],
        "txt": f"Paper {letter}. {facts}",
        "title": letter,
        "num_Q&A": num_pairs,
        "Q&A": [{"Q": f"Is {letter}{n} so?", "A": f"Fact {letter}{n} holds."} for n in range(num_pairs)],
        **more,
    }


def sent(engine):
    """The judge's requests: the first of a run only probe its speed for the forecast."""
    return [request for request in engine.requests if not request.id.startswith("speed#")]


def asked(request):
    """Dimension, the letter of the paper shown ("" for none), and the items of a request."""
    user = request.prompt.user
    shown = re.search(r"^Paper (\w)\.", user, re.MULTILINE)
    items = [
        json.loads(line.partition(". ")[2])
        for line in re.search(r"BEGIN ITEMS \w+\n(.*)\nEND ITEMS", user, re.DOTALL)[1].split("\n")
    ]
    return re.search(r"one thing only, (\w+)", user)[1], shown[1] if shown else "", items


def value(dimension, letter, item):
    """A judge that sees everything: 3 for what is right, 1 for what is not, and 2 for the accuracy of a1."""
    question, answer = (re.search(r"\w\d", item.get(key, "")) for key in ("question", "answer"))
    if dimension == "agnosticism":
        return 1 if "Figure" in item["question"] else 3
    if dimension == "relevance":
        return 3 if question[0][0] == letter else 1
    if dimension == "reasonableness":
        return 3 if answer[0][0] == letter else 1
    if answer[0][0] != letter or question[0] != answer[0]:
        return 1
    return 2 if dimension == "accuracy" and question[0] == "a1" else 3


def reply_with(values):
    return json.dumps({"scores": [{"score": score, "reasons": f"because {score}"} for score in values]})


def sees_all(request):
    if request.prompt.text:
        return "one two"
    dimension, letter, items = asked(request)
    return reply_with(value(dimension, letter, item) for item in items)


def run(tmp_path, engine, papers=None, limit=None, budget=None, **settings):
    path = tmp_path / "qas.json"
    path.write_text(json.dumps([paper(letter) for letter in LETTERS] if papers is None else papers), encoding="utf-8")
    return score_file(path, tmp_path / "out", engine, make_judging(**settings), limit, **(budget or {}))


def table(tmp_path):
    return pyarrow.parquet.read_table(tmp_path / "out" / "scores.parquet").to_pylist()


def own(tmp_path, dimension="accuracy"):
    return [
        (row["doi"], row["pair"], row["repeat"], row["score"])
        for row in table(tmp_path)
        if row["arm"] == "own" and row["dimension"] == dimension
    ]


class Backwards(FakeEngine):
    """Answers the latest of what it holds."""

    def wait(self):
        return [self._answer(self._waiting.pop())] if self._waiting else []


ACCURACY = [
    ("10.1/a", 0, 0, 3),
    ("10.1/a", 1, 0, 2),
    ("10.1/b", 0, 0, 3),
    ("10.1/b", 1, 0, 3),
    ("10.1/c", 0, 0, 3),
    ("10.1/c", 1, 0, 3),
]


@pytest.mark.parametrize(
    "engine",
    [FakeEngine(sees_all), FakeEngine(sees_all, concurrency=3), Backwards(sees_all, concurrency=7)],
    ids=["one", "three", "backwards"],
)
def test_each_score_lands_at_its_pair_beside_its_baselines(tmp_path, engine):
    """Own accuracy (3 + 2 + 3 + 3 + 3 + 3) / 6 = 17 / 6; every baseline pair has 1. Differences of the paper's means:
    against swapped 1.5, 2, 2 = 11 / 6; against another paper's, which paper a has not, 2, 2."""
    report = run(tmp_path, engine)
    assert own(tmp_path) == ACCURACY and len(sent(engine)) == 5 * 3 + 3 * 3 + 2 * 4
    accuracy = report.dimensions["accuracy"]
    assert accuracy.score.mean == pytest.approx(17 / 6) and accuracy.counts == [0, 1, 5] and accuracy.missing == {}
    swapped, other = accuracy.nulls["swapped"], accuracy.nulls["other_paper"]
    assert swapped.counts == [6, 0, 0] and swapped.score.mean == 1
    assert swapped.difference.mean == pytest.approx(11 / 6) and swapped.verdict == "told apart"
    assert (other.difference.mean, other.difference.papers, other.counts) == (2.0, 2, [4, 0, 0])
    assert list(report.dimensions["agnosticism"].nulls) == ["bound"] and report.useless == []
    assert list(report.dimensions["reasonableness"].nulls) == ["other_paper"]
    assert report.scores == {"asked": 30 + 18 + 16, "delivered": 64, "missing": 0}
    assert report.papers == {"considered": 3, "done": 3, "failed": 0, "unfinished": 0, "not_asked": 0, "excerpt": 0}
    rows = table(tmp_path)
    assert len(rows) == 64 and {row["scale"] for row in rows} == {"1-3"}
    assert rows[1] == {
        "record": "record 1",
        "doi": "10.1/a",
        "pair": 1,
        "arm": "own",
        "dimension": "relevance",
        "repeat": 0,
        "scale": "1-3",
        "score": 3,
        "reasons": "because 3",
        "missing": "",
        "judged_on": "paper",
        "attempts": 1,
        "digest": rows[1]["digest"],
    }
    digests = {(row["doi"], row["pair"]): row["digest"] for row in rows if row["arm"] == "own"}
    assert len(set(digests.values())) == 6  # one a pair, the same for each of its dimensions
    assert all(row["digest"] == (digests[row["doi"], row["pair"]] if row["arm"] == "own" else None) for row in rows)
    assert {row["judged_on"] for row in rows if row["dimension"] == "agnosticism"} == {"no paper"}
    written = json.loads((tmp_path / "out" / "racar.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert written["scale"] == "1-3" and written["dimensions"]["accuracy"]["counts"] == [0, 1, 5]


def test_records_of_one_pair_with_their_papers_text_are_judged_each_for_itself(tmp_path):
    """Without a doi, or with the same one again and again; the text is no other paper's."""
    a, b = paper("a"), paper("b")
    flat = [{"doi": doi, "txt": a["txt"], **pair} for doi in ("", "10.1/a") for pair in a["Q&A"]]
    report = run(tmp_path, FakeEngine(sees_all), [*flat, b], dimensions=["accuracy"])
    assert [(row["record"], row["score"]) for row in table(tmp_path) if row["arm"] == "own"] == [
        ("record 1", 3),
        ("record 2", 2),
        ("record 3", 3),
        ("record 4", 2),
        ("record 5", 3),
        ("record 5", 3),
    ]
    assert [row["record"] for row in table(tmp_path) if row["arm"] == "other_paper"] == ["record 5"]
    again = run(tmp_path, FakeEngine(sees_all), [*flat, b], dimensions=["accuracy"])
    assert again.scores == report.scores and report.papers["considered"] == 5


def test_a_paper_that_stands_there_twice_is_no_null_baseline_of_itself(tmp_path):
    papers = [paper("a"), {**paper("a"), "doi": "10.1/copy"}, paper("b"), {**paper("b"), "doi": "10.1/copy2"}]
    report = run(tmp_path, FakeEngine(sees_all), papers)
    assert report.useless == []
    assert [
        row["doi"] for row in table(tmp_path) if row["arm"] == "other_paper" and row["dimension"] == "accuracy"
    ] == ["10.1/b"] * 2 + ["10.1/copy2"] * 2


def test_a_judge_that_thinks_needs_room_and_is_told_so(tmp_path):
    def think(request):
        return Completion(request.id, "", "length", 10, request.sampling.max_new_tokens)

    engine = FakeEngine(think)
    report = run(tmp_path, engine, dimensions=["accuracy"], null_papers=0)
    assert report.dimensions["accuracy"].missing == {"cut_off": 6}
    assert all("thinking_tokens" in note for note in report.notes) and len(report.notes) == 3
    short = {request.sampling.max_new_tokens for request in sent(engine)}
    roomy = FakeEngine(think)
    (tmp_path / "roomy").mkdir()
    run(tmp_path / "roomy", roomy, dimensions=["accuracy"], null_papers=0, thinking_tokens=500)
    assert {request.sampling.max_new_tokens for request in sent(roomy)} == {tokens + 500 for tokens in short}


def test_what_else_a_pair_holds_stays_in_the_scored_output(tmp_path):
    record = paper("a")
    record["Q&A"] = [{**record["Q&A"][0], "index": 7, "scores": "old"}, {"Q": ""}, record["Q&A"][1]]
    run(tmp_path, FakeEngine(sees_all), [record], dimensions=["accuracy"])
    [written] = json.loads((tmp_path / "out" / "scored_output.json").read_text(encoding="utf-8"))
    first, second = written["Q&A"]
    assert (first["index"], first["scores_before"], first["scores"]) == (7, "old", {"accuracy": 3.0})
    assert second["scores"] == {"accuracy": 2.0} and "index" not in second and "scores_before" not in second


def test_the_scored_output_is_the_published_record_with_scores(tmp_path):
    run(tmp_path, FakeEngine(sees_all))
    records = json.loads((tmp_path / "out" / "scored_output.json").read_text(encoding="utf-8"))
    first, expected = records[0], paper("a")
    assert {**first, "Q&A": 0} == {**expected, "Q&A": 0} and [record["doi"] for record in records] == [
        "10.1/a",
        "10.1/b",
        "10.1/c",
    ]
    assert first["Q&A"][1] == {
        **expected["Q&A"][1],
        "scores": {name: 2 if name == "accuracy" else 3 for name in DIMENSIONS},
        "reasons": {name: f"because {2 if name == 'accuracy' else 3}" for name in DIMENSIONS},
        "judged_on": "paper",
        "scale": "1-3",
    }


def test_a_judge_that_tells_nothing_apart_is_called_useless_and_one_that_does_is_not(tmp_path, capsys):
    report = run(tmp_path, FakeEngine(lambda request: reply_with([3] * len(asked(request)[2]))))
    assert report.useless == list(DIMENSIONS)
    assert report.dimensions["accuracy"].nulls["swapped"].verdict == "useless: not told apart"
    show_racar(report)
    shown = capsys.readouterr().out
    assert all(f"USELESS on {name}: " in shown for name in DIMENSIONS) and "Fewer than 10 papers" in shown
    capsys.readouterr()
    (tmp_path / "good").mkdir()
    show_racar(run(tmp_path / "good", FakeEngine(sees_all)))
    shown = capsys.readouterr().out
    assert "USELESS" not in shown and "tells every baseline apart" in shown


def test_the_table_has_a_row_for_each_arm_and_nothing_where_nothing_was_judged(tmp_path, capsys):
    frame = run(tmp_path, FakeEngine(sees_all), dimensions=["accuracy"]).to_frame()
    assert frame["pairs"].tolist() == ["own pairs", "another paper's", "answers swapped"]
    assert frame["scores"].tolist() == [6, 4, 6] and frame["mean"][0] == "2.833 (2.500 to 3.000)"
    assert frame["own less these"].tolist() == ["", "2.000 (2.000 to 2.000)", "1.833 (1.500 to 2.000)"]
    assert frame["verdict"].tolist() == ["", "told apart", "told apart"] and "by chance" not in frame
    (tmp_path / "b").mkdir()
    repeated = run(tmp_path / "b", FakeEngine(sees_all), dimensions=["accuracy"], repeats=2).to_frame()
    assert repeated["repeats that agree"].tolist() == ["1.000 (1.000 to 1.000)", "", ""]
    assert repeated["by chance"][0] == round((2 / 12) ** 2 + (10 / 12) ** 2, 3)
    show_racar(RacarReport())
    assert capsys.readouterr().out.endswith("nothing was judged\n")
    assert RacarReport().to_frame().empty and RacarReport().list_worst().empty


@pytest.mark.parametrize(
    "low, high, verdict",
    [
        (0.1, 0.9, "told apart"),
        (0.0, 0.9, "useless: not told apart"),
        (-0.1, 0.2, "useless: not told apart"),
        (-0.5, -0.1, "useless: the worse ones get more"),
        (math.nan, math.nan, "undecided"),
    ],
)
def test_the_verdict_is_the_intervals(low, high, verdict):
    mean = Estimate(1.0, 1.0, 1.0, 3)
    assert NullReport(mean, Estimate((low + high) / 2, low, high, 3), [1]).verdict == verdict


def test_one_paper_decides_nothing_and_no_baseline_less(tmp_path, capsys):
    report = run(tmp_path, FakeEngine(sees_all), limit=1)
    assert report.useless == [] and report.dimensions["accuracy"].nulls["swapped"].verdict == "undecided"
    show_racar(report)
    assert "nothing here says whether these scores mean anything" in capsys.readouterr().out
    (tmp_path / "b").mkdir()
    engine = FakeEngine(sees_all)
    report = run(tmp_path / "b", engine, null_papers=0)
    assert len(sent(engine)) == 15 and report.dimensions["accuracy"].nulls == {}
    show_racar(report)
    assert "nothing here says" in capsys.readouterr().out
    (tmp_path / "c").mkdir()
    engine = FakeEngine(sees_all)
    run(tmp_path / "c", engine, null_papers=2)
    assert len(sent(engine)) == 15 + 2 * 3 + 4


def test_repeats_give_a_mean_a_spread_and_an_agreement(tmp_path):
    """Accuracy of a0 3, 1; of a1 2, 2: means 2, 2. Standard deviations sqrt(2) and 0; agreements 0 and 1; of the
    scores 3, 1, 2, 2 two drawn are alike with (1 + 4 + 1) / 16."""
    turns = iter([[3, 2], [1, 2]])

    def reply(request):
        return "" if request.prompt.text else reply_with(next(turns))

    report = run(tmp_path, FakeEngine(reply), [paper("a")], dimensions=["accuracy"], repeats=2, null_papers=0)
    accuracy = report.dimensions["accuracy"]
    assert own(tmp_path) == [("10.1/a", 0, 0, 3), ("10.1/a", 1, 0, 2), ("10.1/a", 0, 1, 1), ("10.1/a", 1, 1, 2)]
    assert accuracy.score.mean == 2.0 and accuracy.spread.mean == pytest.approx(math.sqrt(2) / 2)
    assert accuracy.agreement.mean == 0.5 and accuracy.chance == pytest.approx(6 / 16)
    [record] = json.loads((tmp_path / "out" / "scored_output.json").read_text(encoding="utf-8"))
    assert record["Q&A"][0]["scores"] == {"accuracy": 2} and record["Q&A"][0]["reasons"] == {"accuracy": "because 3"}


def test_repeats_have_seeds_of_their_own_and_one_repeat_has_no_spread(tmp_path):
    engine = FakeEngine(sees_all)
    run(tmp_path, engine, [paper("a")], repeats=3, null_papers=0)
    assert len({request.sampling.seed for request in sent(engine)}) == len(sent(engine)) == 15
    assert {request.sampling.temperature for request in sent(engine)} == {0.6}
    (tmp_path / "b").mkdir()
    dimension = run(tmp_path / "b", FakeEngine(sees_all)).dimensions["accuracy"]
    assert math.isnan(dimension.spread.mean) and math.isnan(dimension.agreement.mean) and math.isnan(dimension.chance)


def test_means_are_of_pairs_not_of_replies():
    """A pair with repeats 1, 3, 3 and one with a single 1: (7/3 + 1) / 2."""
    found = {"item": 0, "arm": "own", "dimension": "accuracy", "missing": ""}
    scores = [{**found, "pair": pair, "score": score} for pair, score in ((0, 1), (1, 1), (0, 3), (0, 3))]
    rows = [tuple(score[name] for name in SCORE_COLUMNS) for score in scores]
    report = measure_dimensions(rows, ("accuracy",), 3, 0)["accuracy"]
    assert report.score.mean == pytest.approx(5 / 3) and report.agreement.mean == pytest.approx(1 / 3)
    assert report.counts == [2, 0, 2]


# Scores that cannot be read ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unreadable, calls, score", [(1, 2, 2), (2, 3, 2), (3, 3, None), (99, 3, None)])
def test_an_unreadable_score_is_asked_again_alone_twice_at_most_and_then_missing(tmp_path, unreadable, calls, score):
    seen = []

    def reply(request):
        dimension, letter, items = asked(request)
        if letter != "a" or dimension != "accuracy" or "a1" not in items[-1]["answer"]:
            return sees_all(request)
        seen.append(request)
        values = [value(dimension, letter, item) for item in items]
        return reply_with(values[:-1] + [7] if len(seen) <= unreadable else values)

    engine = FakeEngine(reply)
    report = run(tmp_path, engine, dimensions=["accuracy"], null_papers=0)
    assert len(seen) == calls and len(sent(engine)) == 2 + calls
    assert [len(asked(request)[2]) for request in seen] == [2, 1, 1][:calls]  # only what is missing
    assert seen[1].prompt.json_schema["properties"]["scores"]["maxItems"] == 1
    assert "no usable score" in seen[1].prompt.user and "no usable score" not in seen[0].prompt.user
    assert seen[1].sampling.temperature > 0 == seen[0].sampling.temperature
    [row] = [row for row in table(tmp_path) if (row["doi"], row["pair"]) == ("10.1/a", 1)]
    assert (row["score"], row["missing"], row["attempts"]) == (score, "" if score else "out_of_scale", min(calls, 3))
    accuracy = report.dimensions["accuracy"]
    assert accuracy.missing == ({} if score else {"out_of_scale": 1})
    assert accuracy.score.mean == pytest.approx(17 / 6 if score else 3.0)
    record = json.loads((tmp_path / "out" / "scored_output.json").read_text(encoding="utf-8"))[0]
    assert record["Q&A"][1]["scores"] == {"accuracy": score}
    resumed = FakeEngine(sees_all)
    assert run(tmp_path, resumed, dimensions=["accuracy"], null_papers=0).scores == report.scores
    assert sent(resumed) == []


def test_a_reply_without_any_score_fails_the_paper_for_good_and_the_rest_goes_on(tmp_path):
    engine = FakeEngine(lambda request: "all good" if asked(request)[1] == "a" else sees_all(request))
    report = run(tmp_path, engine, dimensions=["accuracy"])
    assert (report.papers["failed"], report.papers["done"]) == (1, 2)
    assert report.dimensions["accuracy"].missing == {"unreadable": 2} and report.dimensions["accuracy"].score.mean == 3
    resumed = FakeEngine(sees_all)
    run(tmp_path, resumed, dimensions=["accuracy"])
    assert sent(resumed) == [] and own(tmp_path)[0] == ("10.1/a", 0, 0, None)


def test_all_at_once_keeps_what_was_read_and_asks_again_for_the_rest(tmp_path):
    replies = iter([{"relevance": 3, "accuracy": 9}, {"relevance": 1, "accuracy": 2}])
    engine = FakeEngine(lambda request: request.prompt.text or json.dumps({"scores": [next(replies)]}))
    run(tmp_path, engine, [paper("a", 1)], dimensions=["relevance", "accuracy"], together=True, null_papers=0)
    assert len(sent(engine)) == 2
    assert own(tmp_path, "relevance") == [("10.1/a", 0, 0, 3)] and own(tmp_path) == [("10.1/a", 0, 0, 2)]


# Without papers, and long ones ---------------------------------------------------------------------------------------


def test_a_file_without_papers_is_judged_on_what_needs_none(tmp_path):
    pairs = [{"Q": f"Is a{n} so?", "A": "Yes.", "journal": f"J{n}"} for n in range(12)]
    engine = FakeEngine(sees_all)
    report = run(tmp_path, engine, pairs)
    assert [len(asked(request)[2]) for request in sent(engine)] == [10, 10, 2, 2]  # own and bound, ten at a time
    assert {asked(request)[0] for request in sent(engine)} == {"agnosticism"}
    assert report.dimensions["agnosticism"].counts == [0, 0, 12] and sum(report.dimensions["accuracy"].counts) == 0
    assert report.dimensions["agnosticism"].nulls["bound"].counts == [12, 0, 0]
    assert [row["record"] for row in table(tmp_path) if row["arm"] == "own"] == [f"record {n}" for n in range(1, 13)]
    records = json.loads((tmp_path / "out" / "scored_output.json").read_text(encoding="utf-8"))
    assert records[11] == {
        **pairs[11],
        "scores": {"agnosticism": 3},
        "reasons": {"agnosticism": "because 3"},
        "judged_on": "no paper",
        "scale": "1-3",
    }
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="no text of a paper; only agnosticism"):
        run(tmp_path / "b", FakeEngine(sees_all), pairs, dimensions=["accuracy"])


def test_papers_with_and_without_text_stand_in_one_file(tmp_path):
    papers = [paper("a"), {**paper("b"), "txt": " "}, {"Q": "Is c0 so?", "A": "Yes."}, paper("c")]
    report = run(tmp_path, FakeEngine(sees_all), papers)
    assert report.papers["done"] == 4 and len(own(tmp_path)) == 4
    assert [row[0] for row in own(tmp_path, "agnosticism")] == ["10.1/a"] * 2 + ["10.1/b"] * 2 + [""] + ["10.1/c"] * 2
    records = json.loads((tmp_path / "out" / "scored_output.json").read_text(encoding="utf-8"))
    assert [record.get("doi") for record in records] == ["10.1/a", "10.1/b", None, "10.1/c"]


def test_a_paper_longer_than_the_context_is_marked(tmp_path):
    long = paper(
        "a",
        txt="Paper a. "
        + " ".join(f"Filler {n} means nothing here at all." for n in range(300))
        + " Fact a0 holds at 10 K. Fact a1 holds at 11 K.",
    )
    engine = FakeEngine(sees_all, context_size=1200)
    engine.reply = lambda request: reply_with([2] * len(asked(request)[2]))
    report = run(tmp_path, engine, [long, paper("b")])
    marks = {(row["doi"], row["dimension"]): row["judged_on"] for row in table(tmp_path) if row["arm"] == "own"}
    assert marks["10.1/a", "accuracy"] == "excerpt" and marks["10.1/b", "accuracy"] == "paper"
    assert marks["10.1/a", "agnosticism"] == "no paper" and report.papers["excerpt"] == 1
    assert report.papers["done"] == 2 and report.scores["missing"] == 0
    first = json.loads((tmp_path / "out" / "scored_output.json").read_text(encoding="utf-8"))[0]
    assert [pair["judged_on"] for pair in first["Q&A"]] == ["excerpt", "excerpt"]
    plan = (tmp_path / "out" / "plan.csv").read_text(encoding="utf-8").splitlines()
    assert int(plan[1].split(",")[-2]) > 1000 and plan[2].split(",")[-2:] == ["0", "to ask"]


def test_a_pair_longer_than_the_context_is_missing_with_its_reason(tmp_path):
    papers = [paper("a", 1), paper("b", **{"Q&A": [{"Q": "Is b0 so?", "A": "b0 " * 2000}, paper("b")["Q&A"][1]]})]
    report = run(tmp_path, FakeEngine(sees_all, context_size=1500), papers, dimensions=["accuracy"], null_papers=0)
    assert report.dimensions["accuracy"].missing == {"pair_too_long": 1}
    assert own(tmp_path) == [("10.1/a", 0, 0, 3), ("10.1/b", 0, 0, None), ("10.1/b", 1, 0, 3)]


# Going on ------------------------------------------------------------------------------------------------------------


def files(tmp_path):
    return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.name != "plan.csv"}


def test_a_second_run_asks_nothing_and_writes_the_same(tmp_path):
    run(tmp_path, FakeEngine(sees_all))
    before, engine = files(tmp_path), FakeEngine(sees_all)
    run(tmp_path, engine)
    assert sent(engine) == [] and files(tmp_path) == before


def test_more_papers_of_the_same_file_are_added(tmp_path):
    run(tmp_path, FakeEngine(sees_all), limit=1)
    engine = FakeEngine(sees_all)
    assert run(tmp_path, engine).papers["done"] == 3 and len(sent(engine)) == 10 + 6 + 8
    assert own(tmp_path) == ACCURACY


@pytest.mark.parametrize(
    "change, message",
    [
        ({"scale": "1-5"}, "scale"),
        ({"dimensions": ["accuracy"]}, "dimensions"),
        ({"repeats": 2}, "repeats"),
        ({"seed": 1}, "seed"),
        ({"together": True}, "together"),
        ({"null_papers": 0}, "null_papers"),
    ],
)
def test_scores_made_in_another_way_are_never_mixed_in(tmp_path, change, message):
    run(tmp_path, FakeEngine(sees_all))
    before, engine = files(tmp_path), FakeEngine(sees_all)
    with pytest.raises(FingerprintMismatch, match=message):
        run(tmp_path, engine, **change)
    assert sent(engine) == [] and files(tmp_path) == before


def test_changed_texts_are_refused(tmp_path):
    run(tmp_path, FakeEngine(sees_all))
    for papers in ([paper("a", txt="Other."), paper("b")], [paper("a"), paper("b", 1)], [paper("c"), paper("b")]):
        engine = FakeEngine(sees_all)
        with pytest.raises(FingerprintMismatch, match="its text or pairs, or those of the paper before it"):
            run(tmp_path, engine, papers)
        assert sent(engine) == []


def test_a_failed_call_leaves_its_paper_unfinished_and_is_all_that_is_asked_again(tmp_path):
    def reply(request):
        if asked(request)[:2] == ("accuracy", "b"):
            raise TimeoutError("no answer")
        return sees_all(request)

    report = run(tmp_path, FakeEngine(reply))
    assert (report.papers["done"], report.papers["unfinished"]) == (2, 1)
    assert "10.1/b: not judged yet (engine_error: TimeoutError: no answer)" in report.notes[0]
    engine = FakeEngine(sees_all)
    report = run(tmp_path, engine)
    assert own(tmp_path) == ACCURACY and report.notes == []
    answered = {asked(request)[0] for request in sent(engine)}
    assert "completeness" not in [asked(request)[0] for request in sent(engine)[:1]] and "accuracy" in answered


def test_an_engine_that_fails_for_good_is_an_error_and_keeps_what_was_judged(tmp_path):
    def reply(request):
        if asked(request)[1] == "b":
            return Completion(request.id, "", "error", error="401: wrong key", fatal=True)
        return sees_all(request)

    with pytest.raises(EngineError, match="401: wrong key; kept: 1 finished paper"):
        run(tmp_path, FakeEngine(reply))
    assert own(tmp_path) == ACCURACY[:2]
    run(tmp_path, FakeEngine(sees_all))
    assert own(tmp_path) == ACCURACY


def test_a_budget_stops_cleanly_and_the_next_run_goes_on(tmp_path, capsys):
    engine = FakeEngine(sees_all)
    report = run(tmp_path, engine, budget={"max_minutes": -1})
    assert sent(engine) == [] and report.papers["not_asked"] + report.papers["unfinished"] == 3
    show_racar(report)
    assert "stopped: max_minutes" in capsys.readouterr().out
    report = run(tmp_path, FakeEngine(sees_all), budget={"max_total_tokens": 6000})
    assert 0 < report.papers["done"] < 3 and "max_total_tokens" in report.stopped
    assert report.tokens["prompt"] + report.tokens["new"] <= 6000
    run(tmp_path, FakeEngine(sees_all))
    assert own(tmp_path) == ACCURACY


# Order and forecast --------------------------------------------------------------------------------------------------


class Watched(FakeEngine):
    """Notes how many requests were under way whenever it was waited for."""

    def wait(self):
        self.under_way = [*getattr(self, "under_way", []), len(self._waiting)]
        return super().wait()


def test_a_server_reads_the_paper_once_before_the_rest_is_sent(tmp_path):
    server, local = Watched(sees_all, concurrency=8), Watched(sees_all, concurrency=8)
    local.reuses_prefix = True
    run(tmp_path, server, [paper("a")], null_papers=0)
    (tmp_path / "b").mkdir()
    run(tmp_path / "b", local, [paper("a")], null_papers=0)
    assert server.under_way[-5:] == [1, 4, 3, 2, 1] and local.under_way[-5:] == [5, 4, 3, 2, 1]


def test_one_slot_is_given_one_paper_after_the_other(tmp_path):
    engine = FakeEngine(sees_all)
    engine.reuses_prefix = True
    run(tmp_path, engine)
    letters = [asked(request)[1] for request in sent(engine)]
    assert "".join(letters).rstrip() == "a" * 6 + "b" * 10 + "c" * 10 and len(letters) == 32
    assert [request.id.split("#")[0][-1] for request in sent(engine)] == ["a"] * 8 + ["b"] * 12 + ["c"] * 12


def test_the_forecast_counts_every_prompt_and_a_shared_paper_once(tmp_path, capsys, monkeypatch):
    plans = []
    monkeypatch.setattr("sciqag_lib.inference.forecast.show_forecast", lambda *numbers: plans.append(numbers[1:3]))
    for name, reuses in (("a", False), ("b", True)):
        (tmp_path / name).mkdir()
        engine = FakeEngine(sees_all)
        engine.reuses_prefix = reuses
        run(tmp_path / name, engine, [paper("a", txt="Paper a. " + "long " * 3000)], null_papers=0)
        spent = sum(engine.count_tokens([engine.format(request.prompt) for request in sent(engine)]))
        assert plans[-1][0] == spent  # the second is what a prefix cache does not spare
    assert plans[0][1] == plans[0][0] > 12000
    assert 3000 < plans[1][1] < 4500
    assert "papers: 1, finished before: 0, to ask: 1" in capsys.readouterr().out


# The worst pairs, and bad input --------------------------------------------------------------------------------------


def test_the_worst_pairs_are_shown_with_their_evidence(tmp_path):
    report = run(tmp_path, FakeEngine(sees_all))
    worst = report.worst[0]
    assert (worst["doi"], worst["pair"], worst["mean"]) == ("10.1/a", 1, 2.8) and len(report.worst) == 6
    assert [pair["doi"] for pair in report.worst[1:]] == ["10.1/a", "10.1/b", "10.1/b", "10.1/c", "10.1/c"]
    assert worst["evidence"][0]["text"] == "Fact a1 holds at 11 K."
    txt = paper("a")["txt"]
    assert txt[worst["evidence"][0]["start"] : worst["evidence"][0]["end"]] == "Fact a1 holds at 11 K."
    [shown] = report.list_worst(1).to_dict("records")
    assert (shown["paper"], shown["question"], shown["mean"]) == ("10.1/a", "Is a1 so?", 2.8)
    assert "accuracy: 2 because 2" in shown["scores and reasons"]
    assert shown["evidence"] == f"[{txt.index('Fact a1')} to {len(txt)}] Fact a1 holds at 11 K."


def test_only_the_worst_twenty_are_kept(tmp_path):
    papers = [paper(letter, 9) for letter in LETTERS]
    report = run(tmp_path, FakeEngine(sees_all), papers, null_papers=0)
    assert len(report.worst) == 20 and [pair["mean"] for pair in report.worst] == [2.8] + [3.0] * 19
    assert [pair["doi"][-1] for pair in report.worst[1:]] == ["a"] * 8 + ["b"] * 9 + ["c"] * 2


def test_what_cannot_be_used_is_named_and_the_rest_is_judged(tmp_path):
    half = {**paper("b"), "Q&A": [{"Q": "", "A": "x"}] + paper("b")["Q&A"]}
    papers = [paper("a"), {"doi": "10.1/x", "txt": "T."}, 7, half, {**paper("x"), "Q&A": []}, paper("a"), paper("c")]
    report = run(tmp_path, FakeEngine(sees_all), papers)
    assert own(tmp_path) == ACCURACY and report.papers["done"] == 3
    notes = "\n".join(report.notes)
    for expected in (
        "record 2, field 'Q&A'",
        "record 3",
        "Q&A[0]",
        "10.1/x: no question-answer pair",
        "same doi as record 1",
    ):
        assert expected in notes
    records = json.loads((tmp_path / "out" / "scored_output.json").read_text(encoding="utf-8"))
    assert [record["num_Q&A"] for record in records] == [2, 2, 2]


def test_nothing_to_judge_is_an_input_error(tmp_path):
    for papers in ([], [{**paper("a"), "Q&A": []}]):
        with pytest.raises(InputError, match="no question-answer pair that can be judged"):
            run(tmp_path, FakeEngine(sees_all), papers)
    with pytest.raises(InputError, match="cannot be read"):
        score_file(tmp_path / "none.json", tmp_path / "new", FakeEngine(sees_all), make_judging())
    assert not (tmp_path / "new").exists()


def test_the_scale_of_five_is_used_and_recorded(tmp_path):
    engine = FakeEngine(lambda request: reply_with([5] * len(asked(request)[2])))
    report = run(tmp_path, engine, scale="1-5")
    assert report.dimensions["accuracy"].counts == [0, 0, 0, 0, 6] and report.scale == "1-5"
    assert {row["scale"] for row in table(tmp_path)} == {"1-5"}


# A real model --------------------------------------------------------------------------------------------------------


def test_the_packaged_model_judges_a_pair(tmp_path, llama_engine):
    """That it runs and its replies can be read. What so small a model says is worth nothing."""
    record = json.loads(QAS.read_text(encoding="utf-8"))[0]
    record |= {"txt": record["txt"][:1500], "Q&A": record["Q&A"][:1]}
    report = run(tmp_path, llama_engine, [record], dimensions=["agnosticism", "accuracy"], null_papers=0)
    assert report.scores == {"asked": 2, "delivered": 2, "missing": 0}
    assert all(row["score"] in (1, 2, 3) for row in table(tmp_path))
