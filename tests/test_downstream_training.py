"""train.py launched from a notebook: its command, its log, its failures; and, slowly, the real one."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import write_examples, write_model
from transformers import AutoModelForCausalLM

from sciqag_lib.downstream import training as downstream_training
from sciqag_lib.downstream.evaluation import Settings, evaluate_model
from sciqag_lib.downstream.run import compare_models
from sciqag_lib.downstream.training import find_model, prepare_base, train_model, train_on_tasks, write_arguments
from sciqag_lib.errors import InputError
from sciqag_lib.tasks.likelihoods import QUESTIONS
from sciqag_lib.tasks.short_answers import CLASSIFICATION, REGRESSION
from sciqag_lib.tasks.task import Row, Task
from sciqag_lib.training.arguments import parse_arguments

TRAINER = """
import json, os, sys
from pathlib import Path
flags = dict(zip(sys.argv[2::2], sys.argv[3::2]))
folder = Path(flags["--output_dir"])
folder.mkdir(parents=True, exist_ok=True)
print("[WARNING] [real_accelerator.py:1] hello", file=sys.stderr)
for number in range(1, 5):
    print(f"step {number}/4, loss 2.0", sys.argv[1])
if flags.get("--fail"):
    raise SystemExit("train.py: data_path: there is none")
(folder / "seen.json").write_text(json.dumps([flags, os.getcwd()]))
if not flags.get("--forget"):
    (folder / "finished.json").write_text("{}")
"""


@pytest.fixture()
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "train.py").write_text(TRAINER)
    monkeypatch.setattr(downstream_training, "REPO_ROOT", tmp_path)
    return tmp_path


def test_the_same_interpreter_runs_it_and_the_end_of_its_log_is_shown(root: Path, capfd: pytest.CaptureFixture) -> None:
    asked = {"output_dir": root / "out", "learning_rate": 0.0005, "lora_targets": ["q", "v"]}
    folder = train_model("params/a.yaml", asked)
    flags, cwd = json.loads((folder / "seen.json").read_text())
    assert folder == root / "out" and Path(cwd) == root
    assert flags == {"--output_dir": str(root / "out"), "--learning_rate": "0.0005", "--lora_targets": "q,v"}
    assert capfd.readouterr().out.splitlines() == [  # paths as a params file writes them
        "$ python train.py params/a.yaml --output_dir out --learning_rate 0.0005 --lora_targets q,v >> out.log",
        *(f"step {number}/4, loss 2.0 params/a.yaml" for number in (2, 3, 4))]  # fmt: skip
    log = (root / "out.log").read_text().splitlines()
    assert len(log) == 5 and "hello" in "".join(log) and "step 1/4, loss 2.0 params/a.yaml" in log
    train_model("params/a.yaml", asked)
    assert len((root / "out.log").read_text().splitlines()) == 10  # of a run that is resumed, all is kept


def test_several_processes_are_launched_by_torchrun(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], folder: Path) -> list[str]:
        commands.append(command)
        (root / "out").mkdir()
        (root / "out" / "finished.json").write_text("{}")
        return []

    monkeypatch.setattr(downstream_training, "_run", run)
    train_model("a.yaml", {"output_dir": root / "out"}, processes=4)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=4"]
    assert commands[0][:6] == [*launcher, "train.py", "a.yaml"]


def test_a_failure_says_what_train_py_said(root: Path) -> None:
    with pytest.raises(InputError, match="exit status 1(.|\n)*loss 2.0(.|\n)*data_path: there is none"):
        train_model("a.yaml", {"output_dir": root / "out", "fail": 1})
    with pytest.raises(InputError, match="expected a finished run"):
        train_model("a.yaml", {"output_dir": root / "out", "forget": 1})
    with pytest.raises(InputError, match="processes: expected at least 1, found 0"):
        train_model("a.yaml", {"output_dir": root / "out"}, processes=0)


def test_arguments_are_what_train_py_reads() -> None:
    flags: dict[str, Any] = {"bf16": False, "deepspeed": None, "trainable_params": [],
                             "lora_targets": ["q_proj", "v_proj"]}  # fmt: skip
    read = parse_arguments(write_arguments("params/train.qa_only.yaml", flags))
    assert (read.trainer["bf16"], read.trainer["deepspeed"], read.trainer["num_train_epochs"]) == (False, None, 2)
    assert (read.run.trainable_params, read.run.lora_targets) == ([], ["q_proj", "v_proj"])


def test_both_models_learn_the_train_rows_of_all_tables(root: Path) -> None:
    rows = [Row("record 1", "zinc", "yes", "Is it?", shown="Yes, zinc.")]
    tasks = [Task("a", CLASSIFICATION, rows, rows), Task("q", QUESTIONS, rows),
             Task("b", REGRESSION, rows, [Row("record 1", "tin", "5", "How?", shown="5")])]  # fmt: skip
    found = train_on_tasks("a.yaml", {"seed": 1}, tasks, {"before": "base", "after": root / "x"}, root)
    assert found == {"before": root / "model_before_tasks", "after": root / "model_after_tasks"}
    for side, source in (("before", "base"), ("after", str(root / "x"))):
        flags, _ = json.loads((found[side] / "seen.json").read_text())
        assert (flags["--model_name_or_path"], flags["--seed"]) == (source, "1")
        assert json.loads(Path(flags["--data_path"]).read_text()) == [
            {"instruction": "Is it?", "input": "zinc", "output": "Yes, zinc."},
            {"instruction": "How?", "input": "tin", "output": "5"},
        ]
    with pytest.raises(InputError, match="learn_tasks: expected"):
        train_on_tasks("a.yaml", {}, tasks[1:2], {"before": "base"}, root)


@pytest.mark.slow
def test_from_the_training_to_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIQAG_RUNS", str(tmp_path / "runs"))
    model = write_model(tmp_path / "model", max_position_embeddings=1024)
    data = write_examples(tmp_path / "train.jsonl")
    params, out = tmp_path / "train.yaml", tmp_path / "out"
    params.write_text("seed: 0\nprompt_form: alpaca\nmodel_max_length: 1024\nmax_steps: 3\nsave_strategy: 'no'\n"
                      "per_device_train_batch_size: 2\nlearning_rate: 1.0e-2\n")  # fmt: skip
    rows = [Row(f"record {n}", f"soil {n}", "yes", "is it?", group=str(n), shown="yes") for n in range(12)]
    tables = [Task("t", CLASSIFICATION, rows, [Row("train 1", "rate", "no", "is it?", shown="no")])]
    others = [Task("q", QUESTIONS, rows)]
    flags = {"model_name_or_path": str(model), "data_path": str(data), "output_dir": str(out / "model")}
    sources = {"before": prepare_base(str(model)), "after": train_model(params, flags)}
    learned = train_on_tasks(params, {}, tables, sources, out)
    settings = Settings(max_length=1024, context_size=1024, shots=0, answers=0, dtype="float32")
    found = {
        side: evaluate_model(sources[side], side, others, settings, out)
        | evaluate_model(learned[side], side, tables, settings, out)
        for side in sources
    }
    report = compare_models([*others, *tables], found, {"before": "a", "after": "b"}, settings, out)
    assert [(result.task, result.rows) for result in report.results] == [("q", 12), ("q", 12), ("t", 12)]
    assert report.results[0].difference.mean < -0.1  # three steps at this rate are enough to learn the words


@pytest.mark.slow
def test_a_real_run_trains_once_and_gives_a_model_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIQAG_RUNS", str(tmp_path / "runs"))
    model = write_model(tmp_path / "model", max_position_embeddings=1024)
    data = write_examples(tmp_path / "train.jsonl")
    params = tmp_path / "train.yaml"
    params.write_text("seed: 0\nprompt_form: alpaca\nmodel_max_length: 1024\nmax_steps: 2\nsave_strategy: 'no'\n"
                      "per_device_train_batch_size: 2\nlearning_rate: 1.0e-2\n")  # fmt: skip
    flags = {"model_name_or_path": str(model), "data_path": str(data), "output_dir": str(tmp_path / "out"),
             "method": "lora", "trainable_params": []}  # fmt: skip
    folder = train_model(params, flags)
    weights = folder / "model.safetensors"
    assert folder == tmp_path / "out" / "merged" and AutoModelForCausalLM.from_pretrained(folder)
    written = weights.stat().st_mtime_ns
    assert train_model(params, flags) == folder == find_model(tmp_path / "out")
    assert weights.stat().st_mtime_ns == written
    with pytest.raises(InputError, match="holds another run, which differs in(.|\n)*learning_rate"):
        train_model(params, flags | {"learning_rate": 0.5})
