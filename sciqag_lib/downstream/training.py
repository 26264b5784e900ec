"""train.py launched from a notebook: the same interpreter, one process or torchrun, its output in a log.

    train_model("params/train.qa_only.yaml", {"data_path": "train.json", "output_dir": "out/model"}, processes=4)

runs, and prints first,

    python -m torch.distributed.run --nproc_per_node=4 train.py params/train.qa_only.yaml --data_path train.json ...

A finished training is not repeated: train.py resumes from its last checkpoint, says that a finished run is finished,
and refuses a folder that holds a run with other settings.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sciqag_lib.engines.common import FEW_SPINS, SPIN_COUNT, patient_threads
from sciqag_lib.errors import InputError, check_parameters
from sciqag_lib.paths import REPO_ROOT, resolve_path, write_atomic
from sciqag_lib.tasks.task import Task

SHOWN, SHOWN_AFTER_FAILURE = 3, 15  # last lines of the log
QUIET = {
    "PYTHONUNBUFFERED": "1",
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "PYTHONWARNINGS": "ignore::FutureWarning",  # of transformers about itself
    SPIN_COUNT: FEW_SPINS,
}


def train_model(params_path: str | Path, flags: Mapping[str, Any], processes: int = 1) -> Path:
    """Train, and return the folder of a model that loads as it is; a LoRA adapter is merged into `output_dir`/merged.

    `flags` override the params file, and must name an absolute `output_dir`; the output is added to `output_dir`.log,
    and its last lines are printed. InputError: train.py refused or failed; the message ends with its last lines.
    """
    check_parameters(("processes", processes, processes >= 1, "at least 1"))
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [*(launcher if processes > 1 else []), "train.py", *write_arguments(params_path, flags)]
    folder = Path(flags["output_dir"])
    print("$", shorten_paths(" ".join(["python", *command, ">>", f"{folder}.log"])), flush=True)
    lines = _run(command, folder)
    if not (folder / "finished.json").exists():
        last = "\n".join(lines[-SHOWN_AFTER_FAILURE:])
        raise InputError(f"train.py: expected a finished run in {folder}, found none:\n{last}")
    print(shorten_paths("\n".join(lines[-SHOWN:])))
    return find_model(folder)


def write_arguments(params_path: str | Path, flags: Mapping[str, Any]) -> list[str]:
    """train.py's arguments: the params file, then `--name value` for each flag; a list is one value with commas."""
    arguments = [str(params_path)]
    for name, value in flags.items():
        arguments += [f"--{name}", ",".join(map(str, value)) if isinstance(value, list) else str(value)]
    return arguments


def shorten_paths(text: str) -> str:
    """Paths in the repository, and below runs/ wherever that lies, as a params file writes them."""
    return text.replace(str(resolve_path("runs")), "runs").replace(f"{REPO_ROOT}/", "")


def _run(arguments: list[str], folder: Path) -> list[str]:
    """Run Python with `arguments`; the lines of `folder`.log, to which its output is added. InputError: it failed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    log, command = Path(f"{folder}.log"), [sys.executable, *arguments]
    with log.open("ab") as file:
        process = subprocess.Popen(command, cwd=REPO_ROOT, env={**QUIET, **os.environ}, stdout=file, stderr=file)
        try:
            process.wait()
        except BaseException:  # the notebook was interrupted: its training must not go on alone
            process.terminate()
            raise
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if process.returncode:
        status, last = f"exit status {process.returncode}", "\n".join(lines[-SHOWN_AFTER_FAILURE:])
        raise InputError(f"python {arguments[0]} failed ({status}); last lines of {log}:\n{last}")
    return lines


def find_model(folder: Path) -> Path:
    """The folder itself or, where it holds a LoRA adapter, its `merged`, made where it is not there yet."""
    if not (folder / "adapter_config.json").exists():
        return folder
    merged = folder / "merged"
    if not (merged / "config.json").exists():  # it is written atomically
        _run(["-m", "sciqag_lib.training.merging", str(folder), str(merged)], folder)
    return merged


def train_on_tasks(
    params_path: str | Path,
    flags: Mapping[str, Any],
    tasks: Sequence[Task],
    sources: Mapping[str, str | Path],
    output_dir: Path,
    processes: int = 1,
) -> dict[str, Path]:
    """Both models, `sources` by side, trained further on the train rows of all tasks at once, by one recipe: what they
    then say of the test rows shows what the first training is worth beneath a second."""
    path = output_dir / "task_rows.json"
    rows = [row for task in tasks for row in task.train]
    if not rows:
        raise InputError("learn_tasks: expected a classification or regression task with train rows, found none")
    records = [{"instruction": row.instruction, "input": row.question, "output": row.shown} for row in rows]
    with write_atomic(path) as file:
        json.dump(records, file, ensure_ascii=False, indent=0)
    trained = {}
    for side, source in sources.items():
        folder = output_dir / f"model_{side}_tasks"
        own = {"model_name_or_path": str(source), "data_path": str(path), "output_dir": str(folder)}
        trained[side] = train_model(params_path, {**flags, **own}, processes)
    return trained


def prepare_base(base_model: str, cache_dir: str | None = None) -> str:
    """The folder, or hub id, that train.py itself begins with: a GGUF file is unpacked, once."""
    with patient_threads():
        from sciqag_lib.training.arguments import RunArguments
        from sciqag_lib.training.model import prepare_source

    run = RunArguments(model_name_or_path=base_model, cache_dir=cache_dir)
    return prepare_source(run, resolve_path("runs/cache/models"))
