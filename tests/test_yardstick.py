"""data/yardstick: 100 pairs scored by hand, their papers, and the table of which check finds which fault."""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import yardstick

from sciqag_lib.engines import Request
from sciqag_lib.racar.judging import DIMENSIONS
from tests.fakes import FakeEngine

PAIRS = yardstick.read_lines("pairs.jsonl")


def test_ten_papers_of_ten_pairs_half_of_them_bad_in_five_known_ways() -> None:
    assert Counter(pair["doi"] for pair in PAIRS) == dict.fromkeys({pair["doi"] for pair in PAIRS}, 10)
    assert Counter(pair["fault"] for pair in PAIRS) == {None: 50, **dict.fromkeys(yardstick.FAULTS, 10)}
    assert all(bool(pair["fault"]) == bool(pair["change"]) for pair in PAIRS)
    assert len({(pair["doi"], pair["pair"]) for pair in PAIRS}) == len({pair["question"] for pair in PAIRS}) == 100


def test_every_pair_has_five_scores_with_a_reason_of_its_own() -> None:
    for pair in PAIRS:
        assert pair["scores"].keys() == pair["reasons"].keys() == set(DIMENSIONS)
        assert all(score in (1, 2, 3) for score in pair["scores"].values())
    reasons = [reason for pair in PAIRS for reason in pair["reasons"].values()]
    assert len(set(reasons)) == 500 and all(len(reason.split()) > 3 for reason in reasons)


def test_the_second_reader_scored_the_same_pairs() -> None:
    second = yardstick.read_lines("second_reader.jsonl")
    assert {(line["doi"], line["pair"]) for line in second} == {(pair["doi"], pair["pair"]) for pair in PAIRS}
    for line in second:
        assert line["scores"].keys() == set(DIMENSIONS) and set(line["scores"].values()) <= {1, 2, 3}
        assert line["reasons"].keys() == {name for name, score in line["scores"].items() if score < 3}


def test_evidence_is_in_the_papers_and_every_paper_is_named_in_notice() -> None:
    texts = {paper.doi: paper.txt for paper in yardstick.read_yardstick_papers(PAIRS)}
    for pair in PAIRS:
        assert pair["evidence"] and all(texts[pair["doi"]].count(text) == 1 for text in pair["evidence"])
    notice = (Path(__file__).resolve().parents[1] / "NOTICE").read_text(encoding="utf-8")
    assert [doi for doi in texts if f"{doi} |" not in notice] == []


@pytest.fixture(scope="module")
def finds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    folder = tmp_path_factory.mktemp("yardstick")
    yardstick.write_processed(folder / "pairs.json", PAIRS)
    return yardstick.count_finds(PAIRS, yardstick.check_pairs(folder / "pairs.json", folder / "checks"))


@pytest.mark.parametrize(
    "check, fault, least",
    [  # as benchmarks/RESULTS.md reports
        ("context_bound_strict", "context_bound", 3),
        ("not_self_contained", "context_bound", 8),
        ("numbers not in the paper", "changed_number", 5),
        ("wrong_number", "changed_number", 4),
    ],
)
def test_checks_find_no_fewer_faults_than_reported(
    finds: dict[str, dict[str, int]], check: str, fault: str, least: int
) -> None:
    assert finds[check][fault] >= least


def test_checks_reject_no_more_sound_pairs_than_reported(finds: dict[str, dict[str, int]]) -> None:
    assert finds["any of rejected_by"]["none"] <= 3
    assert finds["context_bound_strict"]["none"] == finds["not_a_question"]["none"] == 0
    assert all(finds["context_bound_strict"][kind] <= finds["context_bound_loose"][kind] for kind in yardstick.FAULTS)


def test_lowered_scores_are_counted_by_fault() -> None:
    pairs = [{"doi": "a", "pair": 0, "fault": None}, {"doi": "a", "pair": 1, "fault": "incomplete"}]
    scores = {("a", 0): dict.fromkeys(DIMENSIONS, 3), ("a", 1): {**dict.fromkeys(DIMENSIONS, 3), "completeness": 1}}
    counts = yardstick.count_lowered(pairs, scores)
    assert counts["completeness"]["incomplete"] == counts["any dimension"]["incomplete"] == 1
    assert sum(sum(row.values()) for row in counts.values()) == 2


def test_a_judge_is_set_beside_the_readers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two papers, a judge that gives 1, 2, 3, 1, ... by a pair's place: it is set beside both readers."""

    def reply(request: Request) -> str:
        count = request.prompt.json_schema["properties"]["scores"]["minItems"] if request.prompt.json_schema else 0
        return json.dumps({"scores": [{"score": 1 + place % 3, "reasons": "so"} for place in range(count)]})

    few = {pair["doi"] for pair in PAIRS[:20]}
    read_lines = yardstick.read_lines
    monkeypatch.setattr(yardstick, "read_lines", lambda name: [row for row in read_lines(name) if row["doi"] in few])
    monkeypatch.setattr(yardstick, "open_engine", lambda *args, **more: FakeEngine(reply, context_size=60_000))
    yardstick.main(["--judge", "llama_cpp", "--output_dir", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "scores: 200 asked, 200 delivered" in shown and "agreement on 20 pairs of 2 papers" in shown
    assert re.search("^experts +relevance", shown, re.M) and re.search("^llama_cpp +relevance", shown, re.M)
