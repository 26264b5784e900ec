"""Passkey retrieval: where the number stands, how long the prompt is, what counts as right; the engine is scripted."""

import json
import math
import re
from pathlib import Path
from random import Random
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from fakes import FakeEngine

from sciqag_lib.engines import Completion, EngineError, Request
from sciqag_lib.errors import InputError
from sciqag_lib.inference.prompts import load_prompt
from sciqag_lib.long_context.figures import draw_passkey_curve, draw_passkey_map
from sciqag_lib.long_context.passkey import (
    CHANCE,
    REPLY_TOKENS,
    PromptMaker,
    count_digits,
    estimate_share,
    list_trials,
    place_key,
    read_filler,
    read_number,
    run_passkey,
)

STATEMENT = re.compile(r"The locker number is (\d{5})\. Make a note of \1, the locker number\. ?")
PROMPT = load_prompt("passkey")
FILLER = PROMPT.texts["filler"]


def find_number(request: Request) -> str:
    """What a perfect reader says."""
    found = STATEMENT.search(request.prompt.user or request.prompt.text)
    return f"The locker number is {found[1]}." if found else "There is no locker number."


def read_end(request: Request) -> str:
    """A reader with a short memory: it sees the last 60 words alone."""
    words = request.prompt.user.split()[-60:]
    found = STATEMENT.search(" ".join(words))
    return found[1] if found else "12345"


def split_text(text: str) -> tuple[str, str]:
    """What stands before and after the number's sentences in a prompt."""
    found = STATEMENT.search(text)
    assert found
    return text[: found.start()], text[found.end() :]


# Where the number stands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "text", "place"),
    [
        (0.0, "KEY aaaa. bb. cccccc.", 0),
        (0.3, "aaaa. KEY bb. cccccc.", 6),  # 18 characters, spaces included: boundaries at 0, 6, 10 and 18
        (0.5, "aaaa. bb. KEY cccccc.", 10),
        (0.75, "aaaa. bb. KEY cccccc.", 10),  # 13.5 is nearer to 10 than to 18
        (0.8, "aaaa. bb. cccccc. KEY", 18),
        (1.0, "aaaa. bb. cccccc. KEY", 18),
    ],
)
def test_the_number_stands_at_the_nearest_boundary(depth: float, text: str, place: int) -> None:
    assert place_key(["aaaa.", "bb.", "cccccc."], depth, "KEY") == (text, place)


def test_without_a_number_only_the_filler_is_left() -> None:
    assert place_key(["a.", "b."], 0.5, "") == ("a. b.", -1)
    assert place_key([], 0.5, "KEY") == ("KEY", 0)


def test_every_depth_of_a_long_prompt_is_met_within_a_sentence(tmp_path: Path) -> None:
    engine = FakeEngine(find_number)
    run_passkey(tmp_path, engine, [2000], [0.0, 0.25, 0.5, 0.9, 1.0], trials=1)
    longest = max(map(len, FILLER)) + 1
    *hidden, control = engine.requests
    filler = len(re.search(r"(?s)after the text\.\n(.*)\nWhat is", control.prompt.user)[1])
    for request, depth in zip(hidden, [0.0, 0.25, 0.5, 0.9, 1.0]):
        before, _ = split_text(request.prompt.user)
        assert abs(len(before.partition("after the text.\n")[2]) - depth * filler) <= longest / 2 + 1


# How long a prompt is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [120, 333, 1000])
def test_prompt_and_reply_fill_the_length_and_never_pass_it(tmp_path: Path, length: int) -> None:
    engine = FakeEngine(find_number)
    run_passkey(tmp_path, engine, [length], [0.0, 1.0], trials=2)
    table = pd.read_parquet(tmp_path / "passkey.parquet")
    hidden = table[table.kind == "hidden"]
    longest = max(len(sentence.split()) for sentence in FILLER)
    assert (hidden.prompt_tokens + REPLY_TOKENS <= length).all()
    assert (hidden.prompt_tokens + REPLY_TOKENS > length - longest).all()
    assert {request.sampling.max_new_tokens for request in engine.requests} == {REPLY_TOKENS}
    assert {request.sampling.temperature for request in engine.requests} == {0.0}


def test_a_number_with_more_tokens_than_the_first_still_fits() -> None:
    class Engine(FakeEngine):
        def count_tokens(self, texts: list[str]) -> list[int]:
            return [len(text.split()) + 9 * text.count("99999") for text in texts]

    engine = Engine(find_number)
    maker = PromptMaker(engine, PROMPT, "chat", None)
    sentences = maker.fit(maker.list_sentences(300, Random(0)), [0.0, 1.0], ["11111", "99999"], 300)
    assert maker.count_tokens(sentences, 1.0, "99999") <= 300 < maker.count_tokens(sentences + FILLER, 1.0, "99999")


def test_the_control_is_the_same_prompt_without_the_number(tmp_path: Path) -> None:
    engine = FakeEngine(find_number)
    run_passkey(tmp_path, engine, [200], [0.0, 0.5, 1.0], trials=1)
    *hidden, control = engine.requests
    assert not re.search(r"\d{5}", control.prompt.user)
    for request in hidden:
        without = STATEMENT.sub("", request.prompt.user)
        assert without.replace(" \n", "\n") == control.prompt.user
    assert len({split_text(request.prompt.user)[0] for request in hidden}) == 3


def test_a_prompt_of_complete_text_ends_where_the_reply_begins(tmp_path: Path) -> None:
    engine = FakeEngine(find_number)
    report = run_passkey(tmp_path, engine, [200], [0.5], trials=1, prompt_form="plain")
    for request in engine.requests:
        assert request.prompt.text.endswith("Reply with the number alone. The locker number is")
        assert not request.prompt.user
    assert report.cells[0].share.right == 1 and report.prompt_form == "plain"


def test_numbers_follow_from_the_seed() -> None:
    maker = PromptMaker(FakeEngine(find_number), PROMPT, "chat", None)
    first, again, other = ([trial.key for trial in list_trials(maker, [200, 300], [0.0, 1.0], 2, seed)]
                           for seed in (0, 0, 1))  # fmt: skip
    assert first == again and set(first) & set(other) <= {""}
    assert len(set(first)) == 9 and first.count("") == 4
    assert all(10_000 <= int(key) <= 99_999 for key in first if key)
    assert CHANCE == pytest.approx(1 / 90_000)


# Filler from papers --------------------------------------------------------------------------------------------------


def write_papers(path: Path) -> Path:
    texts = ["The melt was cooled to 20 K. Sample 48213 was lost. Its mass was 12,345 g. The rest was kept.",
             "No more."]  # fmt: skip
    papers = [{"doi": f"10.1/{number}", "txt": text} for number, text in enumerate(texts)]
    path.write_text(json.dumps([{"doi": "10.1/bad"}, *papers, {"doi": "10.1/empty", "txt": "Lot 12345."}]))
    return path


def test_filler_of_papers_holds_no_number_that_could_be_taken_for_the_hidden_one(tmp_path: Path) -> None:
    notes: list[str] = []
    papers = read_filler(write_papers(tmp_path / "papers.json"), None, notes)
    assert papers == [["The melt was cooled to 20 K.", "The rest was kept."], ["No more."]]
    assert len(notes) == 1 and "field 'txt'" in notes[0]
    assert read_filler(tmp_path / "papers.json", 1, []) == papers[:1]
    (tmp_path / "none.json").write_text('[{"doi": "a", "txt": "Lot 12345."}]')
    with pytest.raises(InputError, match="no paper with a sentence"):
        read_filler(tmp_path / "none.json", None, [])


def test_sentences_of_papers_go_on_from_a_random_one_and_round(tmp_path: Path) -> None:
    maker = PromptMaker(FakeEngine(find_number), PROMPT, "chat", [["a", "b"], ["c"]])
    found = {tuple(maker.list_sentences(5, Random(seed))) for seed in range(20)}
    assert found == {tuple("abcab"), tuple("bcabc"), tuple("cabca")}
    engine = FakeEngine(find_number)
    report = run_passkey(tmp_path, engine, [200], [0.5], 2, "paper", write_papers(tmp_path / "papers.json"))
    assert report.filler == "paper" and "The melt was cooled" in engine.requests[0].prompt.user
    assert report.cells[0].share.right == 2 and len(report.notes) == 1
    papers = write_papers(tmp_path / "papers.json")
    unnamed = [run_passkey(tmp_path, engine, [200], [0.5], 1, file_path=path).filler for path in (papers, None)]
    assert unnamed == ["paper", "repeated"]


# What counts as right ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "number", "digits"),
    [
        ("48213", "48213", 5),
        ("The 5-digit number is 48213.", "48213", 0),
        ("48,213", "48213", 5),
        ("48213 or 55555", "48213", 5),
        ("55555, not 48213", "55555", 0),
        ("482", "", 3),
        ("48219", "48219", 4),
        ("482130", "", 5),
        ("It is 48213.5 metres", "", 0),
        ("", "", 0),
        ("None.", "", 0),
    ],
)
def test_the_number_of_a_reply(reply: str, number: str, digits: int) -> None:
    assert read_number(reply, 5) == number
    assert count_digits("48213", reply) == digits


def test_a_perfect_reader_is_right_everywhere_and_the_control_never(tmp_path: Path) -> None:
    engine = FakeEngine(find_number, concurrency=3)
    report = run_passkey(tmp_path, engine, [300, 150], [1.0, 0.0], trials=4)
    assert [(cell.length, cell.depth, cell.share.right, cell.share.asked) for cell in report.cells] == [
        (150, 0.0, 4, 4), (150, 1.0, 4, 4), (300, 0.0, 4, 4), (300, 1.0, 4, 4)]  # fmt: skip
    counts = [(result.hidden.right, result.control.right, result.control.asked) for result in report.lengths]
    assert counts == [(8, 0, 4)] * 2
    assert len(engine.requests) == 2 * 4 * 3
    stored = json.loads((tmp_path / "passkey.json").read_text())
    assert stored["cells"][0]["share"] == {"right": 4, "asked": 4, "share": 1.0, "low": pytest.approx(0.5101, abs=1e-4),
                                           "high": 1.0}  # fmt: skip
    assert stored["prompt"] == f"passkey v1 {PROMPT.digest}" and stored["version"] == 1


def test_a_reader_with_a_short_memory_finds_the_end_alone(tmp_path: Path) -> None:
    report = run_passkey(tmp_path, FakeEngine(read_end), [400], [0.0, 0.5, 1.0], trials=3)
    assert [cell.share.right for cell in report.cells] == [0, 0, 3]
    assert report.lengths[0].hidden == estimate_share(3, 9)
    assert report.to_frame().loc[400].tolist() == ["3 of 9: 0.333 (0.121 to 0.646)", str(report.lengths[0].control)]


def test_a_control_that_says_a_hidden_number_is_counted(tmp_path: Path) -> None:
    """As it would where one prompt leaks into the next: this one repeats the last number it saw."""
    seen: list[str] = []

    def leak(request: Request) -> str:
        seen.extend(STATEMENT.findall(request.prompt.user))
        return seen[-1]

    report = run_passkey(tmp_path, FakeEngine(leak), [150], [0.0, 1.0], trials=2)
    assert (report.lengths[0].control.right, report.lengths[0].control.asked) == (2, 2)


def test_wilson_intervals() -> None:
    share = estimate_share(8, 10)  # (0.4902, 0.9433), Wilson 1927 without correction
    assert (share.low, share.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert str(estimate_share(0, 0)) == "no reply" and math.isnan(estimate_share(0, 0).share)


# What goes wrong -----------------------------------------------------------------------------------------------------


def test_a_prompt_that_is_not_answered_is_in_no_share(tmp_path: Path) -> None:
    def fail_once(request: Request) -> str:
        if len(engine.requests) == 1:
            raise RuntimeError("no room")
        return find_number(request)

    engine = FakeEngine(fail_once)
    report = run_passkey(tmp_path, engine, [150], [0.0, 1.0], trials=1)
    assert report.num_failed == 1 and report.notes == ["150 tokens, depth 0, trial 0: RuntimeError: no room"]
    assert [(cell.share.right, cell.share.asked) for cell in report.cells] == [(0, 0), (1, 1)]
    table = pd.read_parquet(tmp_path / "passkey.parquet")
    assert table.right.tolist() == [None, True, False] and table.error.tolist() == ["RuntimeError: no room", "", ""]
    figure = draw_passkey_map(report)
    assert [text.get_text() for text in figure.axes[0].texts] == ["-", "1/1"]
    plt.close(figure)


def test_an_engine_that_fails_for_good_ends_the_run_and_keeps_its_replies(tmp_path: Path) -> None:
    def fail_second(request: Request) -> Any:
        gone = Completion(request.id, "", "error", error="wrong key", fatal=True)
        return gone if len(engine.requests) == 2 else find_number(request)

    engine = FakeEngine(fail_second)
    with pytest.raises(EngineError, match="wrong key; 1 replies are kept"):
        run_passkey(tmp_path, engine, [150], [0.0, 0.5, 1.0], trials=1)
    assert len(engine.requests) == 2
    assert pd.read_parquet(tmp_path / "passkey.parquet").right.tolist() == [True, None]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": [60]}, r"expected at least 90 tokens, prompt and reply with one sentence of filler, found 60"),
        ({"lengths": [500, 900]}, "at most 800 tokens, the context of fake-model, found 900"),
        ({"lengths": []}, "at least one length"),
        ({"depths": [1.5]}, "depths from 0 to 1"),
        ({"trials": 0}, "at least one trial"),
        ({"filler": "poem"}, "expected repeated, or paper with a file_path, found 'poem'"),
        ({"filler": "paper"}, "paper with a file_path"),
    ],
)
def test_parameters_that_are_off(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    given = {"lengths": [200], "depths": [0.5], "trials": 1, **changes}
    with pytest.raises(InputError, match=message):
        run_passkey(tmp_path, FakeEngine(find_number, context_size=800), **given)


# Figures -------------------------------------------------------------------------------------------------------------


def test_the_figures_show_each_cell_and_length(tmp_path: Path) -> None:
    report = run_passkey(tmp_path, FakeEngine(read_end), [200, 400], [0.0, 0.5, 1.0], trials=2)
    figure = draw_passkey_map(report)
    axes, _ = figure.axes
    assert axes.images[0].get_array().tolist() == [[0, 0], [0, 0], [1, 1]]
    assert [text.get_text() for text in axes.texts] == ["0/2", "0/2", "2/2", "0/2", "0/2", "2/2"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0%", "50%", "100%"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["200", "400"]
    curve = draw_passkey_curve(report)
    hidden, control = (container.lines[0].get_ydata().tolist() for container in curve.axes[0].containers)
    assert hidden == pytest.approx([1 / 3, 1 / 3]) and control == [0, 0]
    plt.close("all")
