"""Run a params file's notebooks through papermill, strictly: python -m sciqag_lib.run params/demo.yaml

A params file is flat YAML:

    notebooks: [01_prepare_papers, 02_inference]  # names in notebooks/, or paths of .ipynb files
    run_dir: runs/demo                            # optional; runs/<name of the params file> where it is not given
    seed: 42                                      # goes to every notebook of the list that has this parameter
    02_inference.limit: 3                         # goes to this one alone
    06_build_dataset.scores_dir: "{run_dir}/05_evaluation"  # {run_dir} at the beginning of a text is the run's folder

A notebook's `output_dir` is <run_dir>/<its name> and its `file_path` is the main output of a notebook before it,
unless they are given. A notebook names its main output in its metadata, {"sciqag": {"main_output": "papers.json"}},
a file in its output_dir. Executed notebooks are kept in <run_dir>/executed. Relative paths start at the
repository's root. Keys that no notebook has, wrong types, duplicate keys and secrets are refused.

Where the run folder holds results made with other settings, and neither run_dir nor output_dir is given, the run
goes to <run_dir>-2, -3 and so on; the same settings find their folder again.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from sciqag_lib.errors import InputError
from sciqag_lib.params import Step, check_params, load_params
from sciqag_lib.paths import REPO_ROOT, resolve_path, write_atomic

RUN_DIR = "{run_dir}"


class NotebookFailed(RuntimeError):
    """A notebook raised; `error_name` is the name of its exception, the message that of the exception."""

    def __init__(self, error_name: str, message: str, executed: Path, cell: str) -> None:
        super().__init__(message)
        self.error_name, self.executed, self.cell = error_name, executed, cell


def place_steps(steps: list[Step], run_dir: Path) -> list[dict[str, Any]]:
    """Each step's complete parameters: output_dir and file_path are filled in where the file doesn't give them."""
    placed, main_output = [], ""
    for step in steps:
        parameters = {name: _fill_run_dir(value, run_dir) for name, value in step.parameters.items()}
        if "output_dir" in step.known:
            parameters.setdefault("output_dir", _show(run_dir / step.name))
        if "file_path" in step.known and main_output:
            parameters.setdefault("file_path", main_output)
        if step.main_output and "output_dir" in parameters:
            main_output = _show(resolve_path(parameters["output_dir"]) / step.main_output)
        placed.append(parameters)
    return placed


def _fill_run_dir(value: Any, run_dir: Path) -> Any:
    if isinstance(value, str) and (value == RUN_DIR or value.startswith(f"{RUN_DIR}/")):
        return _show(run_dir) + value.removeprefix(RUN_DIR)
    return value


def _show(path: Path) -> str:
    """Relative to the repository's root where it lies below it, as the notebooks take it."""
    return str(path.relative_to(REPO_ROOT)) if path.is_relative_to(REPO_ROOT) else str(path)


def run_chain(steps: list[Step], run_dir: Path) -> None:
    """Execute the notebooks in order, their output shown as it comes. Raises NotebookFailed."""
    executed_dir = run_dir / "executed"
    executed_dir.mkdir(parents=True, exist_ok=True)
    # The kernels import sciqag_lib from this checkout, installed or not.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPO_ROOT), os.environ.get("PYTHONPATH")]))
    for number, (step, parameters) in enumerate(zip(steps, place_steps(steps, run_dir)), start=1):
        print(f"[{number}/{len(steps)}] {step.name} -> {parameters.get('output_dir', _show(run_dir))}", flush=True)
        _execute(step, parameters, executed_dir / f"{step.name}.ipynb")


def _execute(step: Step, parameters: dict[str, Any], executed: Path) -> None:
    import papermill
    from nbclient.exceptions import DeadKernelError

    if "output_dir" in parameters:
        resolve_path(parameters["output_dir"]).mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            step.path, executed, parameters, kernel_name="python3", progress_bar=False, cwd=step.path.parent,
            stdout_file=sys.stdout, stderr_file=sys.stderr, extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )  # fmt: skip
    except papermill.PapermillExecutionError as error:
        raise NotebookFailed(error.ename, error.evalue, executed, f"cell [{error.exec_count}]") from None
    except DeadKernelError as error:
        message = (
            f"{error}; it was killed, most often because the memory was used up. Finished papers are kept: "
            "the same command goes on from there"
        )
        raise NotebookFailed("DeadKernelError", message, executed, "the last cell that ran") from None


def run_params(params: dict[str, Any], path: Path) -> Path:
    """Run a loaded params file; returns its run folder. Raises ParamsError or NotebookFailed."""
    base = resolve_path(params.get("run_dir") or f"runs/{path.stem}")
    given = bool(params.get("run_dir")) or any(key.rpartition(".")[2] == "output_dir" for key in params)
    steps = check_params(params, path)
    run_dir = base if given else find_run_dir(base, params)
    try:
        _run_in(run_dir, steps, params)
    except NotebookFailed as error:
        if error.error_name != "FingerprintMismatch" or given:
            raise
        run_dir = _number_run_dir(base, _last_number(base) + 1)
        print(f"{error}\nso this run takes a new folder: {_show(run_dir)}", flush=True)
        _run_in(run_dir, steps, params)
    return run_dir


def _run_in(run_dir: Path, steps: list[Step], params: dict[str, Any]) -> None:
    """Run the chain; run.json says which settings a folder was made with, from its first moment on."""
    if not run_dir.exists():
        _write_record(run_dir, params)
    run_chain(steps, run_dir)
    _write_record(run_dir, params)


def _write_record(run_dir: Path, params: dict[str, Any]) -> None:
    with write_atomic(run_dir / "run.json") as file:
        json.dump(params, file, ensure_ascii=False, indent=1, default=str)


def find_run_dir(base: Path, params: dict[str, Any]) -> Path:
    """Of `base`, `base`-2, `base`-3 ...: the newest made with these settings, else the newest, else `base`."""
    wanted = json.loads(json.dumps(params, default=str))
    existing = [_number_run_dir(base, number) for number in range(_last_number(base), 0, -1)]
    for run_dir in existing:
        if _read_record(run_dir / "run.json") == wanted:
            return run_dir
    return existing[0] if existing else base


def _read_record(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # no run ended there


def _number_run_dir(base: Path, number: int) -> Path:
    return base if number == 1 else base.with_name(f"{base.name}-{number}")


def _last_number(base: Path) -> int:
    """The highest number of a run folder that exists, 0 where there is none."""
    names = os.listdir(base.parent) if base.parent.is_dir() else []
    numbers = [re.fullmatch(re.escape(base.name) + r"(?:-([2-9]|[1-9]\d+))?", name) for name in names]
    return max((int(number[1] or 1) for number in numbers if number), default=0)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sciqag_lib.run", description="Run a params file's notebooks.")
    parser.add_argument("params", type=Path, help="a params file, such as params/demo.yaml")
    parser.add_argument("--check", action="store_true", help="check the file and show the notebooks' parameters only")
    options = parser.parse_args(arguments)
    path = options.params if options.params.exists() else resolve_path(options.params)
    print(f"{path.name}: reading", flush=True)
    try:
        params = load_params(path)
        if options.check:
            steps = check_params(params, path)
            base = resolve_path(params.get("run_dir") or f"runs/{path.stem}")
            for step, parameters in zip(steps, place_steps(steps, base)):
                print(step.name, json.dumps(parameters, ensure_ascii=False, indent=1, default=str))
            return 0
        run_dir = run_params(params, path)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except NotebookFailed as error:
        print(f"\n{error.error_name}: {error}\n  raised in {error.cell} of {_show(error.executed)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Finished papers are kept: the same command goes on from there.", file=sys.stderr)
        return 130
    print(f"Done. Everything is in {_show(run_dir)}; the executed notebooks in {_show(run_dir / 'executed')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
