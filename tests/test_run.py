"""run.py: a chain of small notebooks, really executed, and everything that a params file can have wrong."""

import json
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import yaml

from sciqag_lib import run
from sciqag_lib.params import ParamsError, check_params, load_params
from sciqag_lib.paths import REPO_ROOT

FIRST = """output_dir: str = "out"  # where papers.json goes
text = "paper"
rate: float = 0.5
limit: Optional[int] = None
names: list[str] = ["a"]
anything = None
quick = False"""
SECOND = """file_path: str = "default.json"
output_dir: str = "out"
seed = 1
limit: Union[int, None] = 3"""
WRITE = """import json, pathlib
pathlib.Path(output_dir, "papers.json").write_text(json.dumps([text]))
print("prepared", text)"""
READ = """import pathlib, sciqag_lib
print("read", pathlib.Path(file_path).read_text(), seed, limit)"""


def write_notebook(path: Path, parameters: str, code: str, main_output: str = "") -> None:
    imports = nbformat.v4.new_code_cell("from typing import Optional, Union")
    cell = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    notebook = nbformat.v4.new_notebook(cells=[imports, cell, nbformat.v4.new_code_cell(code)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    if main_output:
        notebook.metadata["sciqag"] = {"main_output": main_output}
    nbformat.write(notebook, path)


@pytest.fixture
def params_path(tmp_path: Path) -> Path:
    write_notebook(tmp_path / "01_first.ipynb", FIRST, WRITE, "papers.json")
    write_notebook(tmp_path / "02_second.ipynb", SECOND, READ)
    return tmp_path / "small.yaml"


def make_params(folder: Path, **keys: object) -> dict[str, object]:
    notebooks = [str(folder / "01_first.ipynb"), str(folder / "02_second.ipynb")]
    return {"notebooks": notebooks, "run_dir": str(folder / "run"), **keys}


def check(params_path: Path, **keys: object) -> dict[str, dict[str, object]]:
    steps = check_params(make_params(params_path.parent, **keys), params_path)
    return {step.name: step.parameters for step in steps}


def run_cli(params_path: Path, cwd: Path, **keys: object) -> subprocess.CompletedProcess:
    params_path.write_text(yaml.safe_dump(make_params(params_path.parent, **keys)))
    command = [sys.executable, "-m", "sciqag_lib.run", str(params_path)]
    environment = {"PYTHONPATH": str(REPO_ROOT), "PATH": "/usr/bin:/bin", "HOME": str(cwd)}
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, env=environment)


# The chain -----------------------------------------------------------------------------------------------------------


def test_chain_hands_the_main_output_on(params_path: Path) -> None:
    result = run_cli(params_path, params_path.parent, text="gene flow", limit=7, **{"02_second.limit": 9})
    assert result.returncode == 0, result.stderr
    assert "prepared gene flow" in result.stdout and 'read ["gene flow"] 1 9' in result.stdout
    run_dir = params_path.parent / "run"
    assert f"[1/2] 01_first -> {run_dir}/01_first" in result.stdout
    executed = nbformat.read(run_dir / "executed" / "02_second.ipynb", as_version=4)
    assert f'file_path = "{run_dir}/01_first/papers.json"' in executed.cells[2].source


def test_output_appears_while_it_runs(params_path: Path) -> None:
    write_notebook(params_path.parent / "01_first.ipynb", FIRST, "import time\nprint('early')\ntime.sleep(6)\n1 / 0")
    params_path.write_text(yaml.safe_dump(make_params(params_path.parent)))
    command = [sys.executable, "-m", "sciqag_lib.run", str(params_path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=REPO_ROOT, text=True, **pipes) as process:
        began = time.monotonic()
        lines = [process.stdout.readline()]
        assert time.monotonic() - began < 5  # the first progress line
        while "early" not in lines[-1] and lines[-1]:
            lines.append(process.stdout.readline())
        assert process.poll() is None, "the notebook's output came only after its end"
        process.kill()


def test_given_paths_are_kept(params_path: Path) -> None:
    keys = {"02_second.file_path": "mine.json", "01_first.output_dir": "elsewhere"}
    steps = check_params(make_params(params_path.parent, **keys), params_path)
    first, second = run.place_steps(steps, REPO_ROOT / "runs" / "x")
    assert first["output_dir"] == "elsewhere"
    assert second == {"file_path": "mine.json", "output_dir": "runs/x/02_second"}
    del keys["02_second.file_path"]
    steps = check_params(make_params(params_path.parent, **keys), params_path)
    assert run.place_steps(steps, REPO_ROOT / "runs" / "x")[1]["file_path"] == "elsewhere/papers.json"


@pytest.mark.parametrize(
    "text, found",
    [
        ("{run_dir}/01_first", "runs/x/01_first"),
        ("{run_dir}", "runs/x"),
        ("a {run_dir}/b", "a {run_dir}/b"),
        ("{run_dir}s/b", "{run_dir}s/b"),
    ],
)
def test_a_path_can_start_at_the_run_folder(params_path: Path, text: str, found: str) -> None:
    steps = check_params(make_params(params_path.parent, **{"01_first.text": text}), params_path)
    assert run.place_steps(steps, REPO_ROOT / "runs" / "x")[0]["text"] == found


def test_failure_is_told_plainly(params_path: Path) -> None:
    write_notebook(params_path.parent / "01_first.ipynb", FIRST, 'raise ValueError("papers/x.xml: no body")')
    result = run_cli(params_path, params_path.parent)
    assert result.returncode == 1
    executed = params_path.parent / "run" / "executed" / "01_first.ipynb"
    assert result.stderr == f"\nValueError: papers/x.xml: no body\n  raised in cell [4] of {executed}\n"
    assert executed.exists() and "02_second" not in result.stdout


def test_a_killed_kernel_is_told_plainly(params_path: Path) -> None:
    code = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    write_notebook(params_path.parent / "01_first.ipynb", FIRST, code)
    result = run_cli(params_path, params_path.parent)
    assert result.returncode == 1
    assert "DeadKernelError" in result.stderr and "memory" in result.stderr and "Traceback" not in result.stderr


def test_wrong_params_exit_2_before_anything_runs(params_path: Path) -> None:
    result = run_cli(params_path, params_path.parent, sed=3)
    assert result.returncode == 2
    assert "'sed' (did you mean 'seed'?)" in result.stderr
    assert not (params_path.parent / "run").exists()


# Run folders ---------------------------------------------------------------------------------------------------------

LEDGER = """import pathlib
class FingerprintMismatch(RuntimeError): pass
made_with = pathlib.Path("..", output_dir, "made_with")
if made_with.exists() and made_with.read_text() != str(seed):
    raise FingerprintMismatch(f"seed: was {made_with.read_text()}, now {seed}")
print("fresh" if not made_with.exists() else "again")
made_with.write_text(str(seed))"""


@pytest.fixture
def in_tmp_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A chain of one notebook with a ledger of its own, in a repository of its own."""
    monkeypatch.setattr("sciqag_lib.paths.REPO_ROOT", tmp_path)
    monkeypatch.delenv("SCIQAG_RUNS", raising=False)
    monkeypatch.setattr(run, "REPO_ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()
    write_notebook(tmp_path / "notebooks" / "02_ask.ipynb", "output_dir = ''\nseed = 1\nlimit = 0", LEDGER)
    return tmp_path


def run_with(root: Path, **keys: object) -> str:
    params = {"notebooks": ["02_ask"], **keys}
    run_dir = run.run_params(params, root / "params" / "ask.yaml")
    return str(run_dir.relative_to(root))


def test_other_settings_take_a_new_folder(in_tmp_root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_with(in_tmp_root, seed=1) == "runs/ask"
    assert run_with(in_tmp_root, seed=2) == "runs/ask-2"
    assert "seed: was 1, now 2" in capfd.readouterr().out
    assert run_with(in_tmp_root, seed=2) == "runs/ask-2"
    assert run_with(in_tmp_root, seed=1) == "runs/ask"  # finds its own folder again
    assert run_with(in_tmp_root, seed=2, limit=5) == "runs/ask-2"  # a limit changes no fingerprint
    assert run_with(in_tmp_root, seed=3) == "runs/ask-3"
    assert sorted(path.name for path in (in_tmp_root / "runs").iterdir()) == ["ask", "ask-2", "ask-3"]


@pytest.mark.parametrize("given", [{"run_dir": "runs/mine"}, {"output_dir": "out"}, {"02_ask.output_dir": "out"}])
def test_a_folder_that_was_given_is_not_changed(in_tmp_root: Path, given: dict[str, str]) -> None:
    for value in given.values():
        (in_tmp_root / value).mkdir(parents=True)
    keys = {key: str(in_tmp_root / value) if "output_dir" in key else value for key, value in given.items()}
    run_with(in_tmp_root, seed=1, **keys)
    with pytest.raises(run.NotebookFailed, match="seed: was 1, now 2"):
        run_with(in_tmp_root, seed=2, **keys)


def test_run_folders_are_numbered_by_number(tmp_path: Path) -> None:
    for name in ("ask", "ask-2", "ask-10", "ask-x", "ask-01", "asked"):
        (tmp_path / name).mkdir()
    assert run.find_run_dir(tmp_path / "ask", {}) == tmp_path / "ask-10"
    assert run.find_run_dir(tmp_path / "new", {}) == tmp_path / "new"


# What is refused -----------------------------------------------------------------------------------------------------


def test_keys_go_to_every_notebook_that_has_them(params_path: Path) -> None:
    assert check(params_path, limit=2, seed=5) == {"01_first": {"limit": 2}, "02_second": {"limit": 2, "seed": 5}}
    keys = {"02_second.limit": 4, "text": "a", "limit": 2}  # the order in the file decides nothing
    assert check(params_path, **keys) == {"01_first": {"text": "a", "limit": 2}, "02_second": {"limit": 4}}
    assert list(check(params_path, **keys)["01_first"]) == ["text", "limit"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"limti": 3}, "'limti' .did you mean 'limit'"),
        ({"02_second.rate": 1.0}, "no notebook of the list has the parameter '02_second.rate'"),
        ({"03_third.limit": 1}, "'03_third.limit'"),
        ({"runs_dir": "x"}, "did you mean 'run_dir'"),
        ({"seed": "five"}, "seed: expected int .02_second has 1., found 'five'"),
        ({"seed": 1.5}, "seed: expected int"),
        ({"seed": True}, "seed: expected int"),
        ({"seed": None}, "seed: expected int"),
        ({"quick": 1}, "quick: expected bool"),
        ({"rate": "high"}, "rate: expected float"),
        ({"rate": True}, "rate: expected float"),
        ({"limit": 1.0}, "limit: expected Optional.int."),
        ({"02_second.limit": "x"}, "02_second.limit: expected Union"),
        ({"names": "a"}, "names: expected list.str."),
        ({"names": ["a", 1]}, "names: expected list.str."),
        ({"text": ["a"]}, "text: expected str"),
        ({"rate": "1e-5"}, "rate: '1e-5' is text to YAML.* 1.0e-5"),
        ({"anything": "2.0e5"}, "'2.0e5' is text to YAML"),
        ({"notebooks": []}, "expected `notebooks:`"),
        ({"notebooks": "01_first"}, "expected `notebooks:`"),
        ({"notebooks": ["01_prepare_paper"]}, "no notebook '01_prepare_paper'"),
        ({"run_dir": 3}, "run_dir: expected a folder"),
    ],
)
def test_refuses_by_name(params_path: Path, keys: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        check(params_path, **keys)


@pytest.mark.parametrize(
    "keys",
    [
        {"rate": 1}, {"rate": 1.0e-5}, {"limit": None}, {"limit": 4}, {"names": []}, {"anything": {"a": 1}},
        {"anything": 3}, {"quick": True}, {"text": "1e-5"}, {"02_second.limit": None},
    ],
)  # fmt: skip
def test_takes_values_of_the_right_type(params_path: Path, keys: dict[str, object]) -> None:
    check(params_path, **keys)


def test_names_every_fault_at_once(params_path: Path) -> None:
    with pytest.raises(ParamsError) as error:
        check(params_path, sed=1, rate="x", quick=3)
    assert all(name in str(error.value) for name in ("'sed'", "rate:", "quick:"))
    assert len(str(error.value).splitlines()) == 3


def test_a_notebook_cannot_stand_twice(params_path: Path) -> None:
    notebook = str(params_path.parent / "01_first.ipynb")
    with pytest.raises(ParamsError, match="appears twice"):
        check(params_path, notebooks=[notebook, notebook])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: 1\nlimit: 2\nseed: 3\n", "'seed' is on line 1 and again on line 3"),
        ("- a\n- b\n", "expected lines of `key: value`"),
        ("", "expected lines of `key: value`"),
        ("1: a\n", "expected lines of `key: value`"),
        ("a: [\n", "expected a YAML file"),
        ("a: !!python/object/apply:os.system ['true']\n", "expected a YAML file"),
        ("api_key: abc\n", "OPENAI_API_KEY"),
        ("02_inference.openai_api_key: abc\n", "OPENAI_API_KEY"),
        ("hf_token: abc\n", "OPENAI_API_KEY"),
        ("base_model: sk-0123456789abcdefghij\n", "OPENAI_API_KEY"),
    ],
)
def test_refuses_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ParamsError, match=message) as error:
        load_params(path)
    assert "abc" not in str(error.value) and "sk-0" not in str(error.value)


def test_token_counts_are_no_secrets(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text("max_total_tokens: 5\ntokens: 3\ntokenizer: x\n")
    assert load_params(path)["max_total_tokens"] == 5


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="no such file"):
        load_params(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(ParamsError, match="expected a YAML file"):
        load_params(tmp_path / "latin.yaml")


def test_check_option_runs_nothing(params_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params_path.write_text(yaml.safe_dump(make_params(params_path.parent, seed=8)))
    assert run.main([str(params_path), "--check"]) == 0
    shown = capsys.readouterr().out
    assert '"seed": 8' in shown and "papers.json" in shown
    assert not (params_path.parent / "run").exists()


def test_run_json_holds_the_settings(in_tmp_root: Path) -> None:
    run_with(in_tmp_root, seed=4)
    assert json.loads((in_tmp_root / "runs/ask/run.json").read_text()) == {"notebooks": ["02_ask"], "seed": 4}
