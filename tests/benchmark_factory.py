"""A small benchmark for tests: questions about numbered facts, a model that knows some of them, a judge that knows all.

Q: "What is fact 3?"   A: "Fact 3 is iron 30 K."
"""

import json
import re
from pathlib import Path

from sciqag_lib.benchmark.answers import answer_file, make_answering
from sciqag_lib.benchmark.judging import judge_answers, make_car_judging
from tests.fakes import FakeEngine

FIELDS = ("Energy & Fuels", "Chemistry, Physical")


def make_records(number: int) -> list[dict]:
    return [{"Q": f"What is fact {n}?", "A": fact(n), "category": FIELDS[n % 2], "index": n} for n in range(number)]


def fact(n: int) -> str:
    return f"Fact {n} is iron {n}0 K."


def write(path: Path, records: list) -> Path:
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def asked(request) -> int:
    """The number of the question that a model is asked."""
    return int(re.findall(r"What is fact (\d+)\?", request.prompt.user)[-1])


def sent(engine) -> list:
    """An engine's requests: the first of a run only probe its speed for the forecast."""
    return [request for request in engine.requests if not request.id.startswith("speed#")]


def knows_all(request) -> str:
    return "one two" if request.prompt.text else fact(asked(request))


def judged(request) -> tuple[str, dict]:
    """Dimension, and the quoted question and answer."""
    item = re.search(r"BEGIN ITEM \w+\n(.*)\nEND ITEM", request.prompt.user)[1]
    return re.search(r"to 5 for its (\w+) alone", request.prompt.user)[1], json.loads(item)


def reply_with(score) -> str:
    return json.dumps({"scores": [{"score": score, "reasons": f"because {score}"}]})


def sees_all(request) -> str:
    """5 for the right fact, 1 for no answer or another fact; 3 for the accuracy of what says "about"."""
    if request.prompt.text:
        return "one two"
    dimension, item = judged(request)
    n = int(re.search(r"\d+", item["question"])[0])
    if fact(n) == item["answer"].replace("about ", ""):
        return reply_with(3 if "about " in item["answer"] and dimension == "accuracy" else 5)
    return reply_with(1)


def run_both(
    tmp_path: Path,
    number: int = 4,
    model=knows_all,
    judge=sees_all,
    out: str = "out",
    records=None,
    limit=None,
    judged_questions=None,
    null_questions=None,
):
    """Answers and judgements of `number` questions in tmp_path/out; the two reports."""
    path = write(tmp_path / "test.json", make_records(number) if records is None else records)
    model = model if isinstance(model, FakeEngine) else FakeEngine(model)
    judge = judge if isinstance(judge, FakeEngine) else FakeEngine(judge)
    answers = answer_file(path, tmp_path / out, model, make_answering(), limit)
    return answers, judge_answers(tmp_path / out, judge, make_car_judging(), judged_questions, null_questions)
