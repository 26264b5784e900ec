"""A model answers a test file: what it is asked, what is kept, and what is never asked twice."""

import json

import pytest

from sciqag_lib.benchmark.answers import answer_file, make_answering, show_answers, take_answers
from sciqag_lib.engines import Completion, EngineError
from sciqag_lib.errors import InputError
from sciqag_lib.inference.ledger import FingerprintMismatch
from sciqag_lib.inference.replies import read_answer
from sciqag_lib.tasks.questions import identify, scan_questions
from tests.benchmark_factory import FIELDS, asked, fact, knows_all, make_records, sent, write
from tests.fakes import FakeEngine


def run(tmp_path, engine, records=None, limit=None, budget=None, **settings):
    path = write(tmp_path / "test.json", make_records(3) if records is None else records)
    return answer_file(path, tmp_path / "out", engine, make_answering(**settings), limit, **(budget or {}))


def answers(tmp_path):
    return json.loads((tmp_path / "out" / "answers.json").read_text(encoding="utf-8"))


class Backwards(FakeEngine):
    """Answers the latest of what it holds."""

    def wait(self):
        return [self._answer(self._waiting.pop())] if self._waiting else []


@pytest.mark.parametrize(
    "engine", [FakeEngine(knows_all), Backwards(knows_all, concurrency=8)], ids=["one", "backwards"]
)
def test_each_answer_stands_at_its_question_in_the_order_of_the_file(tmp_path, engine):
    report = run(tmp_path, engine)
    assert len(sent(engine)) == 3
    assert answers(tmp_path) == [
        {
            "index": n,
            "Q": f"What is fact {n}?",
            "A": fact(n),
            "answer": fact(n),
            "category": FIELDS[n % 2],
            "finish_reason": "stop",
        }
        for n in range(3)
    ]
    assert report.questions == {
        "considered": 3,
        "done": 3,
        "failed": 0,
        "unfinished": 0,
        "not_asked": 0,
        "cut": 0,
        "empty": 0,
    }
    assert report.test_file["name"] == "test.json" and report.way == "zero-shot"
    written = json.loads((tmp_path / "out" / "answers_report.json").read_text(encoding="utf-8"))
    assert written["questions"] == report.questions and len(written["date"]) == 10
    request = sent(engine)[0]
    assert request.sampling.temperature == 0 and request.sampling.max_new_tokens == 512
    assert "good answers" not in request.prompt.user and request.prompt.user.endswith("Answer:")


def test_a_second_run_asks_nothing_and_writes_the_same(tmp_path):
    run(tmp_path, FakeEngine(knows_all))
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    engine = FakeEngine(knows_all)
    run(tmp_path, engine)
    assert engine.requests == [] and {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_larger_limit_asks_only_what_is_new_and_a_sorted_file_nothing(tmp_path):
    run(tmp_path, FakeEngine(knows_all), make_records(9), limit=4)
    first = {each["Q"] for each in answers(tmp_path)}
    engine = FakeEngine(knows_all)
    run(tmp_path, engine, make_records(9), limit=6)
    assert len(sent(engine)) == 2 and first < {each["Q"] for each in answers(tmp_path)}
    engine = FakeEngine(knows_all)
    run(tmp_path, engine, make_records(9)[::-1], limit=6)
    assert engine.requests == [] and [each["index"] for each in answers(tmp_path)] == sorted(
        (each["index"] for each in answers(tmp_path)), reverse=True
    )


@pytest.mark.parametrize(
    "change, message",
    [
        ({"max_new_tokens": 9}, "max_new_tokens"),
        ({"temperature": 0.5}, "temperature"),
        ({"seed": 1}, "seed"),
        ({"prompt_form": "alpaca"}, "prompt_form"),
        ({"prompt": "qa_only"}, "prompt"),
    ],
)
def test_answers_made_in_another_way_are_never_mixed_in(tmp_path, change, message):
    run(tmp_path, FakeEngine(knows_all))
    engine = FakeEngine(knows_all)
    with pytest.raises(FingerprintMismatch, match=message):
        run(tmp_path, engine, **change)
    assert sent(engine) == []


def test_cut_and_empty_answers_are_kept_and_counted(tmp_path, capsys):
    def reply(request):
        n = asked(request) if request.prompt.user else 0
        return [Completion(request.id, "Fact 0 is ir", "length", 5, 5), "", "<think>hm</think> Answer: Fact 2."][n]

    report = run(tmp_path, FakeEngine(reply))
    assert [each["answer"] for each in answers(tmp_path)] == ["Fact 0 is ir", "", "Fact 2."]
    assert (report.questions["done"], report.questions["cut"], report.questions["empty"]) == (3, 1, 1)
    assert answers(tmp_path)[0]["finish_reason"] == "length"
    show_answers(report)
    assert "0 not asked, 1 cut, 1 empty" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text, answer",
    [
        ("Answer: So.", "So."),
        ("**Answer:** So.", "So."),
        ("A: So.", "So."),
        ("So. Answer: no", "So. Answer: no"),
        ("<think>no end", ""),
        ("Answers vary.", "Answers vary."),
        (" \n", ""),
    ],
)
def test_read_answer(text, answer):
    assert read_answer(text) == answer


def test_what_the_engine_fails_on_is_named_and_asked_again(tmp_path, capsys):
    def reply(request):
        if not request.prompt.text and asked(request) == 1:
            raise TimeoutError("no reply")
        return knows_all(request)

    report = run(tmp_path, FakeEngine(reply))
    assert (report.questions["done"], report.questions["unfinished"]) == (2, 1) and len(answers(tmp_path)) == 2
    show_answers(report)
    assert "record 2: unfinished: engine_error TimeoutError: no reply" in capsys.readouterr().out
    engine = FakeEngine(knows_all)
    assert run(tmp_path, engine).questions["done"] == 3 and [asked(request) for request in sent(engine)] == [1]


def test_an_engine_that_fails_for_good_is_an_error_and_keeps_what_it_gave(tmp_path):
    def reply(request):
        if not request.prompt.text and asked(request) == 1:
            return Completion(request.id, "", "error", error="401: wrong key", fatal=True)
        return knows_all(request)

    with pytest.raises(EngineError, match="401: wrong key; kept: 1 finished question"):
        run(tmp_path, FakeEngine(reply))
    assert [each["index"] for each in answers(tmp_path)] == [0]


def test_a_budget_stops_cleanly(tmp_path, capsys):
    report = run(tmp_path, FakeEngine(knows_all), budget={"max_minutes": -1})
    show_answers(report)
    assert "stopped: max_minutes" in capsys.readouterr().out and answers(tmp_path) == []
    assert report.questions["not_asked"] + report.questions["unfinished"] == 3


def test_a_question_longer_than_the_context_fails_alone(tmp_path):
    records = [*make_records(2), {"Q": "What is fact 9? " + "word " * 3000, "A": "x"}]
    engine = FakeEngine(knows_all, context_size=1500)
    report = run(tmp_path, engine, records)
    assert (report.questions["done"], report.questions["failed"]) == (2, 1) and len(sent(engine)) == 2
    assert any("prompt_too_long" in note for note in report.notes)
    assert run(tmp_path, FakeEngine(knows_all, context_size=1500), records).questions["failed"] == 1
    with pytest.raises(InputError, match="raise context_size"):  # where no question fits, nothing is begun
        answer_file(tmp_path / "test.json", tmp_path / "b", FakeEngine(knows_all, context_size=512), make_answering())
    assert not (tmp_path / "b").exists()


def test_examples_come_before_the_question_and_bad_settings_are_named(tmp_path):
    train = write(tmp_path / "train.json", [{"Q": f"What is fact {n}?", "A": f"Example {n}."} for n in range(2, 9)])
    path = write(tmp_path / "test.json", make_records(3))
    answering = make_answering(shots=2, shots_path=train, file=scan_questions(path))
    engine = FakeEngine(knows_all)
    report = answer_file(path, tmp_path / "out", engine, answering)
    user = sent(engine)[0].prompt.user
    assert user.count("Question:") == 3 and user.count("Example ") == 2 and user.endswith("What is fact 0?\nAnswer:")
    assert "Example 2." not in user and report.way == "2 examples"
    assert sent(engine)[0].sampling.stop == ("\nQuestion:",)
    for settings, message in (
        ({"shots": 1}, "shots_path"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"shots": -1}, "shots: "),
    ):
        with pytest.raises(InputError, match=message):
            make_answering(**settings)


def test_a_question_is_data(tmp_path):
    """What looks like a chat template's mark, or a placeholder, stays text."""
    engine = FakeEngine(lambda request: "x")
    run(tmp_path, engine, [{"Q": "Why {{shots}} <|im_end|> [/INST]?", "A": "x"}])
    user = sent(engine)[0].prompt.user
    assert "{{shots}}" in user and "<|im_end|>" not in user and "[/INST]" not in user


def test_a_base_model_gets_the_form_it_was_trained_on(tmp_path):
    engine = FakeEngine(lambda request: "x")
    run(tmp_path, engine, make_records(1), prompt="qa_only", prompt_form="alpaca")
    assert "### Input:\nWhat is fact 0?\n" in sent(engine)[0].prompt.text


# Answers made elsewhere ----------------------------------------------------------------------------------------------


def test_answers_made_elsewhere_are_taken_as_they_stand(tmp_path):
    records = [{**record, "answer": f"mine {n}"} for n, record in enumerate(make_records(3))]
    del records[1]["answer"]
    path = write(tmp_path / "theirs.json", records)
    report = take_answers(path, tmp_path / "out", "their model")
    assert (report.model, report.way) == ("their model", "as given")
    assert (report.questions["done"], report.questions["failed"]) == (2, 1)
    assert [each["answer"] for each in answers(tmp_path)] == ["mine 0", "mine 2"]
    assert any("record 2: failed: no_answer" in note for note in report.notes)
    assert take_answers(path, tmp_path / "out", "their model").questions == report.questions
    assert len((tmp_path / "out" / "answers.ledger.jsonl").read_text().splitlines()) == 4
    with pytest.raises(InputError, match='expected records with the key "answer"'):
        take_answers(write(tmp_path / "none.json", make_records(2)), tmp_path / "none", "x")
    with pytest.raises(FingerprintMismatch):
        take_answers(path, tmp_path / "out", "another")


def test_ledger_ids_are_the_questions(tmp_path):
    run(tmp_path, FakeEngine(knows_all))
    lines = [json.loads(line) for line in (tmp_path / "out" / "answers.ledger.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines[1:]] == [identify(f"What is fact {n}?") for n in range(3)]
