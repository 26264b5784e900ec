"""What a rater's file keeps and refuses, and what the analysis of agreement gets of all raters' files."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sciqag_lib.agreement.analysis import analyse_agreement
from sciqag_lib.agreement.figures import draw_agreement, draw_comparison
from sciqag_lib.errors import InputError
from sciqag_lib.review.analysis import analyse_review, compare_with_set, find_sample_scores, name_judges
from sciqag_lib.review.pairs import DIMENSIONS, open_review
from sciqag_lib.review.scores import ReviewError, clean_rater, export_scores, rater_path
from sciqag_lib.review.session import ReviewSession
from tests.review_pairs import paper, score_pairs, session, source, steps, write_papers  # noqa: F401 (fixtures)

ROOT = Path(__file__).resolve().parents[1]


def test_a_reopened_review_goes_on_where_it_stopped(session: ReviewSession, source: Path, tmp_path: Path) -> None:
    score_pairs(session, 3, 2, 1, 3, 2)
    session.skip()
    score_pairs(session, 1, 2)
    session.comment("odd")
    again = ReviewSession(open_review(source), "anna", tmp_path)
    assert again.view() == session.view()
    assert (again.place, again.dimension) == (2, "completeness")
    again.go_back()
    assert again.dimension == "relevance"


def test_raters_see_nothing_of_each_other(session: ReviewSession, source: Path, tmp_path: Path) -> None:
    score_pairs(session, 3, 3, 3, 3, 3)
    session.comment("a comment by anna")
    other = ReviewSession(open_review(source), "Anne Müller", tmp_path)
    assert [pair.key for pair in other.review.pairs] == [pair.key for pair in session.review.pairs]
    assert (other.place, other.view()["scored"], other.view()["comment"], other.view()["scores"]) == (0, 0, "", {})
    other.score(1)
    assert len(steps(tmp_path)) == 6 and len(steps(tmp_path, "Anne Müller")) == 1


def test_a_killed_process_loses_nothing_that_was_shown(source: Path, tmp_path: Path) -> None:
    code = (
        "import sys, time; from sciqag_lib.review.pairs import open_review; "
        "from sciqag_lib.review.session import ReviewSession; "
        "session = ReviewSession(open_review(sys.argv[1]), 'anna', sys.argv[2])\n"
        "for value in (3, 2, 1): session.score(value)\n"
        "print('scored', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(source), str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None and child.stdout.readline() == b"scored\n"
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    child.stdout.close()
    again = ReviewSession(open_review(source), "anna", tmp_path)
    assert again.dimension == "accuracy"
    assert again.mark.scores == {"agnosticism": 3, "relevance": 2, "completeness": 1}


def test_a_step_waits_until_it_is_on_the_disk(
    session: ReviewSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    synced = []
    monkeypatch.setattr("sciqag_lib.review.scores.os.fsync", lambda _: synced.append(len(steps(tmp_path))))
    session.score(3)
    session.skip()
    assert synced == [1, 2], "each line was written when it was synced"


def test_a_full_disk_is_told_and_the_score_is_not_shown(
    session: ReviewSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sciqag_lib.review.scores.os.fsync", fail)
    with pytest.raises(ReviewError, match="not saved: anna.jsonl cannot be written .No space left on device"):
        session.score(3)
    assert (session.dimension, session.mark.scores) == ("agnosticism", {})


def test_a_half_written_line_does_not_count_and_spoils_nothing(
    session: ReviewSession, source: Path, tmp_path: Path
) -> None:
    score_pairs(session, 3, 2)
    path = rater_path(tmp_path, "anna")
    path.write_bytes(path.read_bytes()[:-20])
    again = ReviewSession(open_review(source), "anna", tmp_path)
    assert (again.mark.scores, again.dimension) == ({"agnosticism": 3}, "relevance")
    again.score(1)
    third = ReviewSession(open_review(source), "anna", tmp_path)
    assert third.mark.scores == {"agnosticism": 3, "relevance": 1}
    [problem] = map(str, third.marks.bad)
    assert "line 2" in problem and "broken JSON" in problem


def test_a_file_torn_in_its_first_line_is_gone_on_with(session: ReviewSession, source: Path, tmp_path: Path) -> None:
    rater_path(tmp_path, "anna").write_bytes(b'{"rater": "an')
    again = ReviewSession(open_review(source), "anna", tmp_path)
    again.score(2)
    assert ReviewSession(open_review(source), "anna", tmp_path).mark.scores == {"agnosticism": 2}


def test_two_windows_of_one_rater_do_not_work_past_each_other(
    session: ReviewSession, source: Path, tmp_path: Path
) -> None:
    second = ReviewSession(open_review(source), "anna", tmp_path)
    second.score(2)
    with pytest.raises(ReviewError, match="'anna' is reviewing in another window"):
        session.score(3)
    second.score(2)
    assert [step["score"] for step in steps(tmp_path)] == [2, 2]


BAD_LINES = [
    ({"score": 4}, "field 'score': expected one of 1, 2, 3, found 4"),
    ({"score": 0}, "field 'score'"),
    ({"score": "3"}, "field 'score'"),
    ({"score": True}, "field 'score'"),
    ({"score": 2.5}, "field 'score'"),
    ({"score": None}, "field 'score'"),
    ({"dimension": "beauty"}, "field 'dimension': expected one of agnosticism"),
    ({"dimension": ["accuracy"]}, "field 'dimension'"),
    ({"pair": "0"}, "field 'pair': expected int, found '0'"),
    ({"paper": None}, "field 'paper'"),
    ({"rater": 7}, "field 'rater'"),
    ({"scale": "1-4"}, "field 'scale': expected one of 1-3, 1-5"),
    ({"digest": None}, "field 'digest'"),
    ({"comment": 3}, "field 'comment': expected str, found 3"),
    ({"skipped": "yes"}, "field 'skipped': expected bool"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_LINES)
def test_a_bad_line_is_named_and_the_rest_counts(
    session: ReviewSession, source: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    score_pairs(session, 3, 2)
    path = rater_path(tmp_path, "anna")
    lines = path.read_text().splitlines()
    lines.insert(1, json.dumps(json.loads(lines[0]) | changes))
    path.write_text("\n".join(lines) + "\n")
    again = ReviewSession(open_review(source), "anna", tmp_path)
    assert again.mark.scores == {"agnosticism": 3, "relevance": 2}
    [problem] = again.marks.bad
    assert "anna.jsonl, line 2" in str(problem) and message in str(problem)
    assert str(problem) in export_scores(session.review, tmp_path).notes


def test_scores_of_a_changed_text_or_of_other_pairs_are_named_and_not_used(
    session: ReviewSession, tmp_path: Path
) -> None:
    score_pairs(session, *[3] * 20)
    changed = paper("a")
    changed["Q&A"][0]["A"] = "Another answer."
    review = open_review(write_papers(tmp_path, [changed]))
    again = ReviewSession(review, "anna", tmp_path)
    assert again.view()["scored"] == 1 and again.pair.number == 0 and again.mark.scores == {}
    export = export_scores(review, tmp_path)
    [note] = export.notes
    assert note.startswith("anna: 15 steps are not used, of 3 pairs")
    assert "10.1/a pair 0: its text has changed since" in note and "10.1/b pair 1: it is not under review" in note
    assert len(list(csv.reader((tmp_path / "scores.csv").open()))) == 1 + 5
    assert len(steps(tmp_path)) == 20, "nothing is lost: with the old file they count again"


def test_a_file_of_another_rater_or_scale_is_refused(session: ReviewSession, source: Path, tmp_path: Path) -> None:
    session.score(3)
    with pytest.raises(InputError, match="'anna' began on the scale 1-3; continue with that"):
        ReviewSession(open_review(source, scale="1-5"), "anna", tmp_path)
    rater_path(tmp_path, "bob").write_bytes(rater_path(tmp_path, "anna").read_bytes())
    with pytest.raises(InputError, match="expected the file of 'bob', found lines of 'anna'"):
        ReviewSession(open_review(source), "bob", tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "..",
        ".",
        "a/b\\c",
        "~root",
        "a b",
        "名" * 26,
        "𝛼" * 20,
        "x" * 60,
        "%2e%2e",
        "C:",
        "<b>",
        "a\u0301",
    ],
)
def test_no_name_leads_out_of_the_folder(name: str, source: Path, tmp_path: Path) -> None:
    path = rater_path(tmp_path / "out", name)
    assert path.parent == tmp_path / "out" / "raters" and len(path.name.encode()) < 255
    assert not set(path.stem) & set('/\\:.<>"|?* ~') - {"~"}
    session = ReviewSession(open_review(source), name, tmp_path / "out")
    session.score(2)
    assert [file.name for file in (tmp_path / "out").rglob("*") if file.is_file()] == [path.name]
    assert export_scores(session.review, tmp_path / "out").raters.keys() == {clean_rater(name)}


def test_long_names_that_begin_alike_have_files_of_their_own(tmp_path: Path) -> None:
    names = ["名" * 25 + last for last in "名字"]
    assert rater_path(tmp_path, names[0]) != rater_path(tmp_path, names[1])
    assert rater_path(tmp_path, "é") == rater_path(tmp_path, "e\u0301"), "one name, written in two ways"


@pytest.mark.parametrize("name", ["", " \n", "x" * 81, "名" * 30, "a\x00b", "experts"])
def test_names_that_cannot_be_one_are_refused(name: str, source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="rater: expected a short name of printable characters .* found "):
        ReviewSession(open_review(source), name, tmp_path)


# The export and what is made of it -----------------------------------------------------------------------------------


def test_the_export_is_what_the_analysis_reads(session: ReviewSession, source: Path, tmp_path: Path) -> None:
    session.comment("odd")
    score_pairs(session, 3, 2, 1, 3, 2, 1)
    other = ReviewSession(open_review(source), "bob", tmp_path)
    other.skip()
    score_pairs(other, 3, 3, 3, 3, 3)
    export = export_scores(session.review, tmp_path)
    first, second = session.review.pairs[:2]
    rows = list(csv.reader((tmp_path / "scores.csv").open(newline="")))
    assert rows[0] == ["paper", "pair", "dimension", "rater", "kind", "score", "answer_words"]
    given = [row for row in rows if row[:2] == [first.doi, str(first.number)]]
    assert given == [
        [first.doi, str(first.number), name, "anna", "expert", str(value), "6"]
        for name, value in zip(DIMENSIONS, (3, 2, 1, 3, 2))
    ]
    assert len(rows) == 1 + 5 + 1 + 5
    assert export.notes == [
        "anna: pairs that lack a dimension: relevance 1, completeness 1, accuracy 1, reasonableness 1"
    ]
    shown = export.to_frame()
    assert shown.loc["anna"].tolist() == [1, 0, f"{first.doi} pair {first.number}: odd"]
    assert shown.loc["bob"].tolist() == [1, 1, ""]
    report = analyse_agreement(tmp_path / "scores.csv", tmp_path / "agreement")
    assert report.experts == ["anna", "bob"] and report.num_pairs == 2
    reasons = {(row["rater"], row["pair"], row["dimension"]): row["reason"] for row in report.left_out}
    assert reasons["anna", str(first.number), "accuracy"] == "no other expert scored it"
    assert reasons["bob", str(second.number), "relevance"] == "no other expert scored it"
    assert ("anna", str(second.number), "agnosticism") not in reasons, "both scored it"


def test_the_last_score_of_several_counts(session: ReviewSession, tmp_path: Path) -> None:
    session.score(3)
    session.go_back()
    session.score(1)
    assert export_scores(session.review, tmp_path).path == tmp_path / "scores.csv"
    assert [row[5] for row in csv.reader((tmp_path / "scores.csv").open())] == ["score", "1"]


def test_one_bad_file_does_not_stop_the_others(session: ReviewSession, tmp_path: Path) -> None:
    session.score(3)
    (tmp_path / "raters" / "bob.jsonl").write_text("no JSON at all\n")
    (tmp_path / "raters" / "eve.jsonl").write_text(json.dumps(steps(tmp_path)[0] | {"rater": "eve", "scale": "1-5"}))
    (tmp_path / "raters" / "fay.jsonl").write_text(json.dumps(steps(tmp_path)[0]))  # a copy of anna's
    (tmp_path / "raters" / "gil.jsonl").write_text("")
    export = export_scores(session.review, tmp_path)
    assert list(export.raters) == ["anna"]
    assert [
        "lack a dimension" in export.notes[0],
        "bob.jsonl: expected a JSON" in export.notes[1],
        "'eve' began on the scale 1-5" in export.notes[2],
        "'anna' is the rater of another" in export.notes[3],
        "gil.jsonl: holds no step" in export.notes[4],
    ] == [True] * 5


def test_agreement_takes_raters_tables_and_judges(session: ReviewSession, source: Path, tmp_path: Path) -> None:
    empty = export_scores(session.review, tmp_path)
    sample = ROOT / "data" / "expert_scores.csv"
    report = analyse_review(empty, session.review, tmp_path, judged=[tmp_path / "no such"], sample=sample)
    assert report.experts == ["expert 1", "expert 2"]
    assert report.notes[0] == "nobody has scored a pair yet; expert_scores.csv is an invented sample, and no result"
    nothing = analyse_review(empty, session.review, tmp_path)
    assert nothing.notes == ["nobody has scored a pair yet"] and nothing.to_frame().empty
    assert draw_agreement(nothing) is draw_comparison(nothing) is None
    hidden = analyse_review(None, session.review, tmp_path, sample=sample)
    assert hidden.rows == [] and "a review is open" in hidden.notes[0]
    score_pairs(session, *[3, 2, 1, 3, 2] * 4)
    alone = export_scores(session.review, tmp_path)
    report = analyse_review(alone, session.review, tmp_path, sample=sample)
    assert report.notes == ["only anna has scored: agreement needs a second person, or a judge"] and not report.rows
    folders = [tmp_path / name / "05_evaluation" for name in ("a", "b")]
    for folder in folders:
        write_judged(folder, session.review)
    report = analyse_review(alone, session.review, tmp_path, judged=folders, sample=sample)
    assert (report.experts, report.judges) == (["anna"], ["a/05_evaluation", "b/05_evaluation"])
    assert (tmp_path / "agreement" / "agreement.csv").exists()


def test_the_invented_scores_belong_to_the_sample_alone(source: Path, tmp_path: Path) -> None:
    sample = ROOT / "data" / "qas.json"
    assert find_sample_scores(sample) == ROOT / "data" / "expert_scores.csv"
    copy = tmp_path / "qas.json"
    copy.write_bytes(sample.read_bytes())
    assert find_sample_scores(copy) is find_sample_scores(source) is None
    assert find_sample_scores(ROOT / "data" / "mine.json") is None


def write_judged(folder: Path, review: Any) -> None:
    from sciqag_lib.racar.report import COLUMNS
    from sciqag_lib.tables import write_table

    blank = {name: "" if kind == "text" else 0 for name, kind in COLUMNS.items()}
    with write_table(folder, "scores", COLUMNS) as table:
        table.add(
            blank
            | {
                "doi": pair.doi,
                "pair": pair.number,
                "arm": "own",
                "dimension": "accuracy",
                "scale": "1-3",
                "score": 1 + number % 3,
                "digest": pair.digest,
            }
            for number, pair in enumerate(review.pairs)
        )


def test_a_judge_of_other_words_is_refused(session: ReviewSession, source: Path, tmp_path: Path) -> None:
    """The pairs were rewritten under the same numbers after the judge had scored them."""
    write_judged(tmp_path / "05_evaluation", session.review)
    records = json.loads(source.read_text(encoding="utf-8"))
    records[0]["Q&A"][0]["A"] = "Another answer."
    source.write_text(json.dumps(records), encoding="utf-8")
    review = open_review(source)
    changed = ReviewSession(review, "anna", tmp_path / "new")
    score_pairs(changed, *[3] * 20)
    with pytest.raises(InputError, match="05_evaluation scored other words.* of 1 of the"):
        analyse_review(export_scores(review, tmp_path / "new"), review, tmp_path, judged=[tmp_path / "05_evaluation"])


def test_judges_are_called_by_their_folders(tmp_path: Path) -> None:
    assert list(name_judges([tmp_path / "a", tmp_path / "b"])) == ["a", "b"]
    with pytest.raises(InputError, match="two folders are called"):
        name_judges([tmp_path / "x" / "a", tmp_path / "x" / "a"])


def test_two_sets_of_pairs_are_compared(session: ReviewSession, source: Path, tmp_path: Path) -> None:
    score_pairs(session, *[3] * 20)
    other = ReviewSession(open_review(source), "anna", tmp_path / "prompt_b")
    score_pairs(other, *[1] * 20)
    export_scores(other.review, tmp_path / "prompt_b").path.rename(tmp_path / "prompt b.csv")
    export = export_scores(session.review, tmp_path)
    results = compare_with_set(export, session.review, None, tmp_path / "prompt b.csv")
    assert [(one.dimension, one.difference) for one in results if one.dimension == "accuracy"] == [("accuracy", 2.0)]
    assert compare_with_set(export, session.review, None, None) == []
    assert compare_with_set(None, session.review, None, tmp_path / "prompt b.csv") == []
    export.path = None
    with pytest.raises(InputError, match="other_scores: expected scores"):
        compare_with_set(export, session.review, None, tmp_path / "prompt b.csv")
