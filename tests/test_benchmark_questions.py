"""Test files in their forms, what of them cannot be used, and what is drawn from them."""

import json

import pytest

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.tasks.questions import MAX_SHOT_CHARACTERS, draw_shots, identify, read_questions, scan_questions


def write(path, records):
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def questions(path):
    return [entry for entry in read_questions(path) if not isinstance(entry, BadRecord)]


def faults(path):
    found = (entry for entry in read_questions(path) if isinstance(entry, BadRecord))
    return [(entry.record, entry.field, entry.message) for entry in found]


@pytest.mark.parametrize(
    "records, expected",
    [
        ([{"Q": " Why? ", "A": "So."}], [("Why?", "So.", "", "")]),
        (
            [{"Q": "Why?", "A": "So.", "category": "Energy & Fuels", "journal": "J. Fuel"}],
            [("Why?", "So.", "Energy & Fuels", "")],
        ),
        ([{"Q": "Why?", "A": "So.", "journal": "Chemistry,  Physical"}], [("Why?", "So.", "Chemistry, Physical", "")]),
        (
            [{"Q": "Why?"}, {"Q": "How?", "A": ""}, {"Q": "Who?", "A": None}],
            [("Why?", "", "", ""), ("How?", "", "", ""), ("Who?", "", "", "")],
        ),
        (
            [{"doi": "10.1016-j.x.json", "Q&A": [{"Q": "Why?", "A": "So."}, {"Q": "How?", "A": "By."}]}],
            [("Why?", "So.", "", "10.1016/j.x"), ("How?", "By.", "", "10.1016/j.x")],
        ),
        ([{"instruction": "Answer.", "input": "Why?", "output": "So."}], [("Why?", "So.", "", "")]),
        (
            [{"question": "Why?", "answer": "So.", "doi": "10.1/x", "category": "Energy & Fuels"}],
            [("Why?", "So.", "Energy & Fuels", "10.1/x")],
        ),
    ],
)
def test_the_published_forms_are_read(tmp_path, records, expected):
    found = questions(write(tmp_path / "t.json", records))
    assert [(each.question, each.reference, each.category, each.doi) for each in found] == expected


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(tmp_path):
    path = write(
        tmp_path / "t.json",
        [
            {"prompt": "Why?", "reply": "So."},
            {"Q": "  ", "A": "So."},
            {"Q": 7, "A": "So."},
            "text",
            {"Q": None, "A": "x"},
            {"Q&A": "none"},
            {"Q&A": [3, {"Q": "How?", "A": "By."}]},
            {"Q": "Who?", "A": ["me"]},
        ],
    )
    assert [each.question for each in questions(path)] == ["How?", "Who?"]
    assert questions(path)[1].reference == ""
    found = faults(path)
    assert [name for name, _, _ in found] == [
        "record 1",
        "record 2",
        "record 3",
        "record 4",
        "record 5",
        "record 6",
        "record 7, Q&A[0]",
        "record 8",
    ]
    assert "found the keys 'prompt', 'reply'" in found[0][2] and '{"Q", "A"}' in found[0][2]
    assert "non-empty text, found '  '" in found[1][2] and "found 7" in found[2][2]
    assert "found nothing" in found[4][2] and "used without it" in found[7][2] and found[7][1] == "A"


def test_half_a_character_is_named(tmp_path):
    path = tmp_path / "t.jsonl"
    path.write_text('{"Q": "Half \\ud800?", "A": "x"}\n{"Q": "Why?", "A": "\\ud800", "category": "\\ud800"}\n')
    assert [(each.question, each.reference, each.category) for each in questions(path)] == [("Why?", "", "")]
    assert ["surrogate" in message for _, _, message in faults(path)] == [True, True]


def test_duplicates_are_asked_once_and_named(tmp_path):
    path = write(
        tmp_path / "t.json", [{"Q": "Why so?", "A": "a"}, {"Q": "why  SO?", "A": "b"}, {"Q": "How?", "A": "c"}]
    )
    file = scan_questions(path)
    assert (file.counts["questions"], file.counts["duplicates"], len(file.ids)) == (2, 1, 2)
    assert "record 2: the question of record 1 again" in file.notes[0]
    assert [(place, each.reference) for place, _, each in file.read()] == [(0, "a"), (2, "c")]


def test_an_unknown_category_is_kept_under_its_name_and_reported_with_the_nearest(tmp_path):
    path = write(
        tmp_path / "t.json",
        [
            {"Q": "a?", "A": "x", "category": "Chemistry, Analitical"},
            {"Q": "b?", "A": "x", "category": "chemistry, analytical"},
            {"Q": "c?", "A": "x"},
        ],
    )
    file = scan_questions(path)
    assert [file.category_of(each) for _, _, each in file.read()] == [
        "Chemistry, Analitical",
        "Chemistry, Analytical",
        "",
    ]
    [note] = file.notes
    assert "'Chemistry, Analitical' (did you mean 'Chemistry, Analytical'?)" in note and "1 question," in note


@pytest.mark.parametrize("records", [[], [{"a": 1}], [{"Q": ""}]])
def test_a_file_without_a_question_is_refused(tmp_path, records):
    with pytest.raises(InputError, match="holds no question"):
        scan_questions(write(tmp_path / "t.json", records))


def test_the_digest_is_of_questions_and_references_in_any_order(tmp_path):
    records = [{"Q": f"q{n}?", "A": f"a{n}"} for n in range(5)]

    def digest(name, found, limit=None):
        return scan_questions(write(tmp_path / name, found), limit=limit).counts["digest"]

    first = digest("a.json", records)
    assert digest("b.json", records[::-1], limit=2) == first
    assert digest("c.json", [*records[:4], {"Q": "q4?", "A": "other"}]) != first


def test_a_limit_draws_over_the_whole_file_and_a_larger_one_only_adds(tmp_path):
    path = write(tmp_path / "t.json", [{"Q": f"q{n}?", "A": "x"} for n in range(1000)])
    small, large = (scan_questions(path, 1, limit) for limit in (100, 200))
    assert len(small.ids) == 100 and set(small.ids) < set(large.ids)
    places = [place for place, _, _ in small.read()]
    assert places == sorted(places) and 30 < sum(place < 500 for place in places) < 70  # about half of each half
    assert set(scan_questions(path, 2, 100).ids) != set(small.ids)
    assert len(small.every) == small.counts["questions"] == 1000
    with pytest.raises(InputError, match="limit"):
        scan_questions(path, 1, 0)


# Examples ------------------------------------------------------------------------------------------------------------


def test_examples_are_drawn_by_seed_and_never_from_the_test_file(tmp_path):
    test = scan_questions(write(tmp_path / "t.json", [{"Q": f"q{n}?", "A": "x"} for n in range(50)]), limit=5)
    train = write(tmp_path / "train.json", [{"Q": f"Q{n}?", "A": f"a{n}"} for n in range(60)])
    shots = draw_shots(train, 10, 0, test)
    assert sorted(shots) == [(f"Q{n}?", f"a{n}") for n in range(50, 60)]  # those asked and those not asked are excluded
    assert draw_shots(train, 3, 0, test) == shots[:3] and draw_shots(train, 3, 1, test) != shots[:3]
    with pytest.raises(InputError, match="at least 11 pairs .* found 10; passed over: 50 in the test file"):
        draw_shots(train, 11, 0, test)


def test_examples_of_a_paper_of_the_test_file_are_passed_over(tmp_path):
    test = scan_questions(write(tmp_path / "t.json", [{"doi": "10.1/a", "Q&A": [{"Q": "q?", "A": "x"}]}]))
    train = write(
        tmp_path / "train.json",
        [
            {"doi": "https://doi.org/10.1/A", "Q&A": [{"Q": "other?", "A": "x"}]},
            {"doi": "10.1/b", "Q&A": [{"Q": "b?", "A": "y"}]},
            {"Q": "long?", "A": "x" * MAX_SHOT_CHARACTERS},
            {"Q": "none?"},
            {"bad": 1},
        ],
    )
    assert draw_shots(train, 1, 0, test) == [("b?", "y")]
    with pytest.raises(InputError) as caught:
        draw_shots(train, 2, 0, test)
    for reason in ("1 of a paper of the test file", "1 too long", "1 without an answer", "1 not usable"):
        assert reason in str(caught.value)


def test_few_of_many_examples_are_the_same_as_all_at_once(tmp_path):
    """draw_shots forgets what can no longer be drawn: with 3,000 pairs it does so twice."""
    test = scan_questions(write(tmp_path / "t.json", [{"Q": "q?", "A": "x"}]))
    records = [{"Q": f"s{n}?", "A": f"a{n}"} for n in range(3000)]
    train, turned = write(tmp_path / "a.json", records), write(tmp_path / "b.json", records[::-1])
    assert draw_shots(train, 4, 0, test) == draw_shots(turned, 4, 0, test)


def test_an_id_is_the_questions_text():
    assert identify("Why  so?") == identify("why so? ".strip()) != identify("Why not?")
    assert len(identify("x")) == 16
