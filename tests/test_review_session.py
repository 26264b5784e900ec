"""What each key of a review does, what is seen by then, and the widget between page and session."""

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest

from sciqag_lib.review.pairs import DIMENSIONS, open_review
from sciqag_lib.review.scores import ReviewError, export_scores
from sciqag_lib.review.session import ReviewSession
from tests.review_pairs import score_pairs, session, source, steps  # noqa: F401 (fixtures)

ROOT = Path(__file__).resolve().parents[1]


def test_what_is_seen_grows_with_what_is_scored(session: ReviewSession) -> None:
    def shown() -> list[bool]:
        view = session.view([(0, 8)])
        return [view[key] is not None for key in ("question", "paper", "answer", "spans")]

    assert shown() == [True, False, False, False]
    assert "Title" not in json.dumps(session.view([(0, 8)])) and "melts at" not in json.dumps(session.view())
    session.score(3)
    assert shown() == [True, True, False, False]
    session.score(2)
    assert shown() == [True, True, True, True]


def test_scores_move_on_and_are_on_disk_at_once(session: ReviewSession, tmp_path: Path) -> None:
    for number, (name, value) in enumerate(zip(DIMENSIONS, (3, 2, 1, 3, 2)), start=1):
        assert (session.place, session.dimension) == (0, name)
        session.score(value)
        assert len(steps(tmp_path)) == number
    assert (session.place, session.dimension) == (1, "agnosticism")
    assert [(step["dimension"], step["score"], step["scale"]) for step in steps(tmp_path)] == [
        ("agnosticism", 3, "1-3"),
        ("relevance", 2, "1-3"),
        ("completeness", 1, "1-3"),
        ("accuracy", 3, "1-3"),
        ("reasonableness", 2, "1-3"),
    ]
    assert {(step["rater"], step["paper"], step["pair"]) for step in steps(tmp_path)} == {
        ("anna", session.review.pairs[0].doi, session.review.pairs[0].number)
    }
    assert session.view()["scored"] == 1


def test_back_goes_from_step_to_step_and_a_new_score_replaces_the_old(session: ReviewSession, tmp_path: Path) -> None:
    score_pairs(session, 3, 3, 3, 3, 3, 1)
    places = []
    for _ in range(3):
        session.go_back()
        places.append((session.place, session.dimension))
    assert places == [(1, "agnosticism"), (0, "reasonableness"), (0, "accuracy")]
    session.score(1)
    assert session.marks.pairs[session.review.pairs[0].key].scores["accuracy"] == 1
    assert (session.place, session.dimension) == (1, "relevance"), "the pair was complete: on with the open one"
    assert len(steps(tmp_path)) == 7, "nothing is taken out of the file"
    for _ in range(4):
        session.go_back()
    assert (session.place, session.dimension) == (0, "agnosticism")
    with pytest.raises(ReviewError, match="where the review began"):
        session.go_back()


def test_skip_takes_scores_back_and_is_taken_back_by_a_score(session: ReviewSession, tmp_path: Path) -> None:
    score_pairs(session, 3, 3)
    session.skip()
    assert session.place == 1 and session.view()["skipped"] == 1
    assert export_scores(session.review, tmp_path).path is None
    session.go_back()
    assert (session.place, session.dimension) == (0, "agnosticism")
    assert session.view()["paper"] is None, "scored anew from the question alone"
    session.score(2)
    assert session.view()["skipped"] == 0 and session.mark.scores == {"agnosticism": 2}


def test_back_does_not_lead_to_scores_that_were_taken_back(
    session: ReviewSession, source: Path, tmp_path: Path
) -> None:
    session.move_pair(1)
    session.score(3)
    session.move_pair(-1)
    score_pairs(session, 3, 3)
    session.skip()
    for opened in (session, ReviewSession(open_review(source), "anna", tmp_path)):
        opened.go_back()
        assert (opened.place, opened.dimension) == (0, "agnosticism")
        opened.go_back()
        assert (opened.place, opened.dimension) == (1, "agnosticism"), "not to the relevance of a skipped pair"


def test_what_is_not_shown_yet_cannot_be_scored(session: ReviewSession) -> None:
    with pytest.raises(ReviewError, match="score agnosticism first"):
        session.move_dimension(1)
    session.score(3)
    session.move_dimension(-1)
    assert session.dimension == "agnosticism"
    session.move_dimension(1)
    with pytest.raises(ReviewError, match="score relevance first"):
        session.move_dimension(1)
    session.score(3)
    session.move_dimension(2)
    assert session.dimension == "reasonableness"
    session.move_dimension(1)
    assert session.dimension == "reasonableness"
    session.score(1)
    assert session.dimension == "completeness", "on with what is missing"


def test_moving_between_pairs_scores_nothing(session: ReviewSession, tmp_path: Path) -> None:
    session.move_pair(1)
    session.score(3)
    session.move_pair(-1)
    assert (session.place, session.dimension) == (0, "agnosticism")
    with pytest.raises(ReviewError, match="first pair"):
        session.move_pair(-1)
    session.move_pair(1)
    assert session.dimension == "relevance"
    assert len(steps(tmp_path)) == 1


def test_the_end_is_told_and_skipped_pairs_are_found_again(session: ReviewSession, tmp_path: Path) -> None:
    session.skip()
    for _ in range(3):
        assert not session.finished
        score_pairs(session, 1, 2, 3, 1, 2)
    view = session.view()
    assert (view["finished"], view["scored"], view["skipped"]) == (True, 3, 1)
    with pytest.raises(ReviewError, match="every pair is scored or skipped"):
        session.score(3)
    session.go_back()
    assert (session.place, session.dimension, session.finished) == (3, "reasonableness", False)
    session.move_to_unscored()
    assert session.place == 0
    score_pairs(session, 3, 3, 3, 3, 3)
    assert session.finished
    with pytest.raises(ReviewError, match="every pair is scored"):
        session.move_to_unscored()


@pytest.mark.parametrize("value", [0, 4, -1, 2.0, "2", None, True])
def test_only_scores_of_the_scale_are_taken(session: ReviewSession, tmp_path: Path, value: Any) -> None:
    with pytest.raises(ReviewError, match="the scale is 1 to 3"):
        session.score(value)
    assert steps(tmp_path) == []


def test_five_is_a_score_on_the_wider_scale(source: Path, tmp_path: Path) -> None:
    ReviewSession(open_review(source, scale="1-5"), "anna", tmp_path).score(5)
    assert (steps(tmp_path)[0]["score"], steps(tmp_path)[0]["scale"]) == (5, "1-5")


def test_comments_are_kept_replaced_and_taken_back(session: ReviewSession, tmp_path: Path) -> None:
    session.comment("  the unit is odd\n, look ")
    session.comment("the unit is odd\n, look")
    assert [step["comment"] for step in steps(tmp_path)] == ["the unit is odd\n, look"]
    assert session.view()["comment"] == "the unit is odd\n, look"
    assert export_scores(session.review, tmp_path).raters["anna"].pairs[session.pair.key].comment
    rows = list(csv.reader((tmp_path / "comments.csv").open(newline="")))
    assert rows == [
        ["paper", "pair", "rater", "comment"],
        [session.pair.doi, str(session.pair.number), "anna", "the unit is odd\n, look"],
    ]
    session.comment("")
    assert session.mark.comment == ""
    export_scores(session.review, tmp_path)
    assert (tmp_path / "comments.csv").read_text() == "paper,pair,rater,comment\n"


# The widget ----------------------------------------------------------------------------------------------------------


class Sent(list):
    """What a widget would send to its page."""

    def __call__(self, message: dict[str, Any], buffers: Any = None) -> None:
        json.dumps(message)
        self.append(message)


def make_widget(session: ReviewSession, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Sent]:
    from sciqag_lib.review.widget import ReviewWidget

    widget, sent = ReviewWidget(session), Sent()
    monkeypatch.setattr(widget, "send", sent)
    return widget, sent


def strike(widget: Any, action: str, value: Any = None, seen: Any = None) -> None:
    place = widget.session.place if seen is None else seen
    widget._answer(widget, {"action": action, "value": value, "seen": place, "number": 7}, [])


def test_the_widget_sends_what_may_be_seen(session: ReviewSession, monkeypatch: pytest.MonkeyPatch) -> None:
    widget, sent = make_widget(session, monkeypatch)
    strike(widget, "ready")
    assert [message["kind"] for message in sent] == ["scale", "view"]
    assert [one["name"] for one in sent[0]["dimensions"]] == list(DIMENSIONS) and sent[0]["top"] == 3
    assert sent[1]["view"]["answer"] is None and sent[1]["number"] == 7
    strike(widget, "score", 3)
    assert [message["kind"] for message in sent[2:]] == ["paper", "view"]
    strike(widget, "score", 3)
    assert [message["kind"] for message in sent[4:]] == ["view"], "the paper is sent once"
    session.review.begin_evidence(0).result()
    strike(widget, "look")
    assert sent[-1]["view"]["spans"] == session.review.find_evidence(0)
    assert session.dimension == "completeness", "looking scores nothing"


def test_the_widget_stores_no_text_in_the_notebook(session: ReviewSession, monkeypatch: pytest.MonkeyPatch) -> None:
    widget, _ = make_widget(session, monkeypatch)
    strike(widget, "ready")
    score_pairs(session, 3, 2)
    stored = json.dumps({key: str(value) for key, value in widget.get_state().items()
                         if key not in ("_esm", "_css")})  # fmt: skip
    assert "melt" not in stored and "anna" not in stored and "10.1/" not in stored


def test_a_key_meant_for_the_pair_before_is_not_counted(
    session: ReviewSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    widget, sent = make_widget(session, monkeypatch)
    for value in (3, 3, 3, 3, 3, 3):
        strike(widget, "score", value, seen=0)
    assert len(steps(tmp_path)) == 5 and session.place == 1
    assert sent[-1]["notice"].startswith("not counted")


@pytest.mark.parametrize("message", [{}, {"action": "no such"}, {"action": "score", "value": "3"},
                                     {"action": "score", "value": 9}, {"action": "pair", "value": -1}])  # fmt: skip
def test_odd_messages_do_no_harm(
    session: ReviewSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, message: dict[str, Any]
) -> None:
    widget, sent = make_widget(session, monkeypatch)
    widget._answer(widget, {"seen": 0, "number": 1} | message, [])
    assert steps(tmp_path) == [] and sent[-1]["kind"] == "view"


def test_keys_do_not_wait_for_the_evidence(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_slowly(answer: str, index: Any) -> tuple[list, list]:
        time.sleep(0.4)
        return [(0, 5)], [1.0]

    monkeypatch.setattr("sciqag_lib.review.pairs.find_evidence", find_slowly)
    session = ReviewSession(open_review(source), "anna", tmp_path)
    widget, sent = make_widget(session, monkeypatch)
    start = time.monotonic()
    strike(widget, "ready")
    strike(widget, "score", 3)
    strike(widget, "score", 3)
    assert time.monotonic() - start < 0.3
    assert sent[-1]["view"]["answer"] and sent[-1]["view"]["spans"] is None
    session.review.begin_evidence(0).result()
    strike(widget, "look")
    assert sent[-1]["view"]["spans"] == [(0, 5)]


def test_the_page_makes_elements_of_no_text() -> None:
    script = (ROOT / "sciqag_lib" / "review" / "widget.js").read_text(encoding="utf-8")
    words = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(")
    assert not any(word in script for word in words)


def test_the_page_is_part_of_the_package() -> None:
    assert '"review/*.js", "review/*.css"' in (ROOT / "pyproject.toml").read_text()
