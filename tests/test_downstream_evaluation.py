"""One model on the tasks: likelihoods, the harness's choices and replies of a tiny random Llama, kept on disk."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llama import write_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from sciqag_lib.downstream import evaluation as downstream_evaluation
from sciqag_lib.downstream.evaluation import MEASURES, Model, Settings, evaluate_model
from sciqag_lib.engines import EngineError, Request
from sciqag_lib.engines.transformers import TransformersEngine
from sciqag_lib.errors import InputError
from sciqag_lib.inference.prompts import load_form, load_prompt
from sciqag_lib.tasks.evaluation import draw_shots, write_prompt
from sciqag_lib.tasks.likelihoods import CHOICE, QUESTIONS, read_harness_task
from sciqag_lib.tasks.short_answers import CLASSIFICATION
from sciqag_lib.tasks.task import Row, Task

SETTINGS = Settings(max_length=1024, context_size=1024, shots=2, answers=2, max_new_tokens=4, dtype="float32")
HELD_OUT = Task("held out", QUESTIONS, [
    Row("record 1", "why the soil", "water flows through", group="a"),
    Row("record 2", "how the rate", "high decay", group="b"),
    Row("record 3", "what was measured", "every sample", group="c")])  # fmt: skip
SUPPORTS = {"soil": "the paper shows decay", "water": "", "sample": "water"}
SCIQ = Task("SciQ / form", CHOICE, [
    Row(f"record {word}", f"the rate of {word}?", "decay", choices=("soil", "paper", "water", "decay"), support=support,
        group=word) for word, support in SUPPORTS.items()])  # fmt: skip
SHOTS = [Row(f"record {n}", word, "no", "is it?", group=str(n), shown=f"No, {word}.")
         for n, word in enumerate(("water", "rate", "decay"))]  # fmt: skip
TABLE = Task("metal", CLASSIFICATION, 
             [Row("record 9", "soil", "yes", "is it?", group="9", shown="Yes.")], SHOTS)  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024, initializer_range=0.3)


def measure_nll(source: Path, prompt: str, answer: str) -> tuple[int, float]:
    """-ln p of an answer and the end of sequence behind a prompt, by a plain loop."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(source).eval(), AutoTokenizer.from_pretrained(source)
    first = tokenizer(prompt)["input_ids"]
    last = tokenizer(answer, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
    with torch.no_grad():
        logs = model(torch.tensor([first + last])).logits[0].double().log_softmax(-1)
    return len(last), -sum(float(logs[len(first) + place - 1, token]) for place, token in enumerate(last))


def list_files(folder: Path) -> list[str]:
    return sorted(path.name.partition(".")[0] + "." + ".".join(path.name.split(".")[1:3])
                  for path in (folder / "evaluations").glob("*.jsonl"))  # fmt: skip


def test_likelihoods_are_those_of_the_training_form(source: Path, tmp_path: Path) -> None:
    found = evaluate_model(source, "before", [HELD_OUT], SETTINGS, tmp_path)["held out"]
    instruction = load_prompt("qa_only").texts["instruction"]
    prompts = [write_prompt("alpaca", instruction, row.question) for row in HELD_OUT.test]
    assert prompts[0].startswith(load_form("alpaca")[:40])
    assert instruction in prompts[0] and "why the soil" in prompts[0]
    for place, row in enumerate(HELD_OUT.test):
        for key, prompt in (("nll", prompts[place]), ("nll_other", prompts[(place + 1) % 3])):
            tokens, nll = measure_nll(source, prompt, row.answer)
            assert found[row.row_id]["tokens"] == tokens and found[row.row_id][key] == pytest.approx(nll, abs=1e-3)
    assert sum("answer" in line for line in found.values()) == 2  # of the three, as many as asked for
    assert list_files(tmp_path) == ["before.held_out.answers", "before.held_out.likelihood"]


def test_one_question_has_no_other_one(source: Path, tmp_path: Path) -> None:
    task = Task("q", QUESTIONS, HELD_OUT.test[:1])
    settings = Settings(max_length=1024, context_size=1024, answers=0)
    found = evaluate_model(source, "before", [task], settings, tmp_path)["q"]
    assert "nll" in found["record 1"] and "nll_other" not in found["record 1"] and "answer" not in found["record 1"]


def test_a_row_that_is_too_long_says_so(source: Path, tmp_path: Path) -> None:
    rows = [*HELD_OUT.test, Row("record 4", "why", "water " * 2000, group="d")]
    found = evaluate_model(source, "before", [Task("q", QUESTIONS, rows)], SETTINGS, tmp_path)["q"]
    assert found["record 4"]["reason"] == "it is longer than max_length even without its paper"
    assert "nll" not in found["record 4"] and "nll" in found["record 1"]


def test_choices_are_those_of_the_harness(source: Path, tmp_path: Path) -> None:
    found = evaluate_model(source, "after", [SCIQ], SETTINGS, tmp_path)["SciQ / form"]
    # score_choice writes the same:
    assert read_harness_task()["doc_to_text"] == "{{support.lstrip()}}\nQuestion: {{question}}\nAnswer:"
    for row in SCIQ.test:
        likeliest = min(row.choices, key=lambda choice: score_choice(source, row, choice))
        assert found[row.row_id]["correct"] == float(likeliest == row.answer)
    assert list_files(tmp_path) == ["after.SciQ_form.choice"]


def score_choice(source: Path, row: Row, choice: str) -> float:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(source).eval(), AutoTokenizer.from_pretrained(source)
    prompt = tokenizer(f"{row.support}\nQuestion: {row.question}\nAnswer:")["input_ids"]
    whole = tokenizer(f"{row.support}\nQuestion: {row.question}\nAnswer: {choice}")["input_ids"]
    with torch.no_grad():
        logs = model(torch.tensor([whole])).logits[0].double().log_softmax(-1)
    return -sum(float(logs[place - 1, whole[place]]) for place in range(len(prompt), len(whole)))


def test_what_is_on_disk_is_not_measured_again(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [HELD_OUT, SCIQ, TABLE]
    first = evaluate_model(source, "before", tasks, SETTINGS, tmp_path)
    monkeypatch.setattr(Model, "weights", property(lambda self: pytest.fail("loaded")))
    monkeypatch.setattr(Model, "engine", property(lambda self: pytest.fail("opened")))
    assert evaluate_model(source, "before", tasks, SETTINGS, tmp_path) == first
    assert set(first["metal"]) == {"record 9"} and "reply" in first["metal"]["record 9"]
    with pytest.raises(pytest.fail.Exception):
        evaluate_model(source, "after", tasks, SETTINGS, tmp_path)  # another side is another model


def test_an_interrupted_run_goes_on_where_it_was(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = evaluate_model(source, "before", [HELD_OUT], SETTINGS, tmp_path / "whole")
    evaluate_model(source, "before", [HELD_OUT], SETTINGS, tmp_path)
    path = next((tmp_path / "evaluations").glob("*likelihood*.jsonl"))
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:2]), encoding="utf-8")
    asked: list[str] = []

    def watch(rows: Any, task: Task, model: Model) -> Any:
        asked.extend(row.row_id for row in rows)
        return original(rows, task, model)

    original = MEASURES["likelihood"]
    monkeypatch.setattr(downstream_evaluation, "MEASURES", {"likelihood": watch})
    evaluate_model(source, "before", [HELD_OUT], SETTINGS, tmp_path)
    assert asked == ["record 2", "record 3"]
    monkeypatch.undo()
    assert evaluate_model(source, "before", [HELD_OUT], SETTINGS, tmp_path) == whole


def test_other_settings_or_rows_are_measured_anew(source: Path, tmp_path: Path) -> None:
    evaluate_model(source, "before", [TABLE], SETTINGS, tmp_path)
    evaluate_model(source, "before", [TABLE], Settings(context_size=1024, shots=1, dtype="float32"), tmp_path)
    changed = Task(TABLE.name, TABLE.kind, TABLE.test, TABLE.train[:2])
    evaluate_model(source, "before", [changed], SETTINGS, tmp_path)
    assert len(list((tmp_path / "evaluations").glob("*.jsonl"))) == 3
    # What does not concern a kind changes nothing of it.
    assert SETTINGS.fingerprint(SCIQ) == Settings(dtype="float32", shots=7, seed=5).fingerprint(SCIQ)
    assert SETTINGS.fingerprint(TABLE) != Settings(dtype="float32", shots=7).fingerprint(TABLE)


def test_shots_stand_before_the_row_and_are_drawn_by_seed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts: list[str] = []
    original = TransformersEngine.submit

    def submit(engine: TransformersEngine, request: Request) -> None:
        prompts.append(request.prompt.text)
        original(engine, request)

    monkeypatch.setattr(TransformersEngine, "submit", submit)
    evaluate_model(source, "before", [TABLE], SETTINGS, tmp_path)
    shots = draw_shots(TABLE, 2, SETTINGS.seed)
    expected = "\n\n".join([*(write_prompt("alpaca", "is it?", row.question) + row.shown for row in shots),
                            write_prompt("alpaca", "is it?", "soil")])  # fmt: skip
    assert prompts == [expected] and len(shots) == 2
    drawn = {tuple(row.row_id for row in draw_shots(TABLE, 2, seed)) for seed in range(8)}
    assert len(drawn) > 1
    with pytest.raises(InputError, match="metal: shots: expected at most 3, its train rows, found 4"):
        draw_shots(TABLE, 4, 0)


def test_a_reply_that_fails_is_asked_again_by_the_next_run(source: Path, tmp_path: Path) -> None:
    rows = [*TABLE.test, Row("record 10", "soil " * 3000, "yes", "?", group="x")]
    long = Task("metal", CLASSIFICATION, rows, TABLE.train)
    found = evaluate_model(source, "before", [long], SETTINGS, tmp_path)["metal"]
    assert "too many; shorten the prompt" in found["record 10"]["reason"] and "reply" in found["record 9"]
    lines = next((tmp_path / "evaluations").glob("*.jsonl")).read_text(encoding="utf-8").splitlines()
    assert {json.loads(line).get("id"): json.loads(line).get("status") for line in lines[1:]} \
        == {"record 9": "done", "record 10": "unfinished"}  # fmt: skip


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="could not be loaded"):
        evaluate_model(tmp_path / "gone", "before", [SCIQ], SETTINGS, tmp_path)


def test_settings_that_cannot_be(source: Path) -> None:
    with pytest.raises(InputError, match="shots: expected at least 0, found -1"):
        Settings(shots=-1)
    with pytest.raises(InputError, match="prompt_form: expected alpaca"):
        write_prompt("chat", "a", "b")
    assert "< /s>" not in write_prompt("alpaca", "a", "b") and "</s>" not in write_prompt("alpaca", "a", "b </s>")
