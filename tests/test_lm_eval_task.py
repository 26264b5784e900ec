"""The exported task in the real lm-evaluation-harness, and its metrics by hand."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sciqag_lib.dataset import lm_eval_task
from sciqag_lib.dataset.lm_eval_task import score_texts
from sciqag_lib.metrics.text_overlap import WordScorer
from tests.conftest import skip_without
from tests.export_table import export_one, list_expected, list_files, make_row, write_example, write_table
from tests.tiny_llama import write_model


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_example(tmp_path)


# Run in a process of its own, as its users do: the harness, started in another folder, finds the task by its path.
HARNESS = """
import json, sys
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager

class Parrot(LM):
    '''Answers the last question of a prompt by a table.'''
    def loglikelihood(self, requests): raise NotImplementedError
    def loglikelihood_rolling(self, requests): raise NotImplementedError
    def generate_until(self, requests):
        replies = json.loads(sys.argv[3])
        return [replies[request.args[0].rsplit("Question: ", 1)[1].removesuffix("\\nAnswer:")] for request in requests]

folder, shots = sys.argv[1], int(sys.argv[2])
found = simple_evaluate(model=Parrot(), tasks=["sciqag"], num_fewshot=shots, log_samples=True,
                        task_manager=TaskManager(include_path=folder, include_defaults=False))
samples = [{"prompt": sample["arguments"][0][0], "target": sample["target"]} for sample in found["samples"]["sciqag"]]
print("\\n" + json.dumps({"results": found["results"]["sciqag"], "samples": samples}))
"""


def run_harness(folder: Path, work: Path, shots: int, replies: dict[str, str]) -> dict[str, Any]:
    skip_without("lm_eval")
    command = [sys.executable, "-c", HARNESS, str(folder), str(shots), json.dumps(replies)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=work, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_the_harness_loads_the_task_and_scores_with_it(table: Path, tmp_path: Path) -> None:
    export_one(table, "lm_eval")
    # "Because of 2.2." has three words, of which the second reply's two have one: F1 2 * 1 / (2 + 3).
    replies = {"Why 2.0?": "because OF 2.0", "Why 2.2?": "because water"}
    found = run_harness(table.parent / "out" / "lm_eval", tmp_path, 2, replies)
    assert found["results"]["token_f1,none"] == pytest.approx((1 + 0.4) / 2)
    # To rouge_score "2.0" is two words: 4 of 4 and 4; then 1 of 2 and 4, which is 2 * 1 / (2 + 4).
    assert found["results"]["rouge_l,none"] == pytest.approx((1 + 1 / 3) / 2)
    assert [sample["target"] for sample in found["samples"]] == ["Because of 2.0.", "Because of 2.2."]
    prompt = found["samples"][0]["prompt"]
    train = dict(list_expected("train"))
    assert sum(f"Question: {question}\nAnswer: {answer}\n\n" in prompt for question, answer in train.items()) == 2
    assert prompt.endswith("\n\nQuestion: Why 2.0?\nAnswer:") and "Why 2.2?" not in prompt


@pytest.mark.slow
def test_the_harness_runs_a_local_model_from_its_command_line(tmp_path: Path) -> None:
    skip_without("lm_eval")
    rows = [make_row(record, pair) for record in range(4) for pair in range(3)]
    export_one(write_table(tmp_path, rows), "lm_eval")
    model = write_model(tmp_path / "model", max_position_embeddings=1024)
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={model}",
               "--device", "cpu", "--tasks", "sciqag", "--include_path", str(tmp_path / "out" / "lm_eval"),
               "--num_fewshot", "1", "--gen_kwargs", "max_gen_toks=8", "--log_samples",
               "--output_path", str(tmp_path / "results")]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    # Its last act, a table on the screen, takes a package whose dependencies are copyleft and which we do not install.
    assert ended.returncode == 0 or "No module named 'pytablewriter'" in ended.stderr, ended.stderr[-3000:]
    found = json.loads(next((tmp_path / "results").rglob("results_*.json")).read_text())["results"]["sciqag"]
    lines = next((tmp_path / "results").rglob("samples_sciqag_*.jsonl")).read_text(encoding="utf-8").splitlines()
    samples = list(map(json.loads, lines))
    assert len(samples) == 3 and any(sample["resps"][0][0] for sample in samples)
    scores = [score_texts(sample["target"], sample["resps"][0][0])["token_f1"] for sample in samples]
    assert [sample["token_f1"] for sample in samples] == pytest.approx(scores)
    assert found["token_f1,none"] == pytest.approx(sum(scores) / 3)


def test_the_tasks_code_needs_nothing_of_this_project(table: Path) -> None:
    export_one(table, "lm_eval")
    folder = table.parent / "out" / "lm_eval"
    assert (folder / "utils.py").read_bytes() == Path(lm_eval_task.__file__).read_bytes()
    code = (f"import sys; sys.path.insert(0, {str(folder)!r}); import utils; data = utils.load_data(); "
            "print(data['test'][0]['question'], data['fewshot'].num_rows, 'sciqag_lib' in sys.modules)")  # fmt: skip
    found = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=120)
    assert found.stdout.split("\n")[0] == "Why 2.0? 8 False", found.stderr[-2000:]


@pytest.mark.slow
def test_a_test_set_alone_gives_a_benchmark_without_examples(tmp_path: Path) -> None:
    export_one(write_table(tmp_path, [make_row(2, 0), make_row(2, 1)]), "lm_eval")
    assert list_files(tmp_path / "out" / "lm_eval") == {"sciqag.yaml", "utils.py", "test.jsonl"}
    found = run_harness(tmp_path / "out" / "lm_eval", tmp_path, 0, {"Why 2.0?": "", "Why 2.1?": "Because of 2.1"})
    assert found["results"]["token_f1,none"] == pytest.approx(0.5)


METRIC_CASES = [  # answer, reference, F1, ROUGE-L
    ("The cat sat.", "the cat SAT down", 6 / 7, 6 / 7),
    ("sat cat", "cat sat", 1.0, 0.5),  # order counts in ROUGE-L alone
    ("cat cat cat", "cat", 0.5, 0.5),
    ("", "cat", 0.0, 0.0),
    ("...", "cat", 0.0, 0.0),
    ("It is 21.4 K", "it is 21.5 K", 0.75, 0.8),  # ROUGE-L's words are 21 and 4, 21 and 5
    ("Al2O3 and SiO2", "Fe2O3 and CO2", 1 / 3, 1 / 3),  # formulas are words
    ("α-phase", "α-phase", 1.0, 1.0),  # which are ROUGE-L's "phase"
    ("melting alloys", "alloy melts", 0.0, 0.0),  # words as they stand, not their stems
]


@pytest.mark.parametrize(("answer", "reference", "f1", "rouge"), METRIC_CASES)
def test_metrics_are_those_of_the_benchmark(answer: str, reference: str, f1: float, rouge: float) -> None:
    found = score_texts(reference, answer)
    assert found == pytest.approx({"token_f1": f1, "rouge_l": rouge})
    assert found == WordScorer().score(reference, answer)
