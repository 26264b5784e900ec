"""train.py launched from a notebook: the same interpreter, its output shown as it comes, one process or torchrun.

    train_model("params/train.qa_only.yaml", {"data_path": "train.json", "output_dir": "out/model"}, processes=4)

runs, and prints first,

    python -m torch.distributed.run --nproc_per_node=4 train.py params/train.qa_only.yaml --data_path train.json ...

What is trained before is not trained again: train.py goes on from its last checkpoint, says that a finished run is
finished, and refuses a folder that holds a run of other settings.
"""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sciqag_lib.engines.common import FEW_SPINS, SPIN_COUNT, patient_threads
from sciqag_lib.errors import InputError
from sciqag_lib.paths import REPO_ROOT, resolve_path, write_atomic
from sciqag_lib.tasks.kinds import Task

SHOWN_AFTER_FAILURE = 15  # lines
NOISE = "[real_accelerator.py"  # DeepSpeed's greeting, whether it is used or not
QUIET = {
    "PYTHONUNBUFFERED": "1",
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "PYTHONWARNINGS": "ignore::FutureWarning",
    SPIN_COUNT: FEW_SPINS,
}  # warnings of transformers about itself


def train_model(params_path: str | Path, flags: Mapping[str, Any], processes: int = 1) -> Path:
    """Train, and return the folder of a model that loads as it is; a LoRA adapter is merged into `output_dir`/merged.

    `flags` win over the params file, and must name an absolute `output_dir`. InputError: train.py refused or failed;
    the message ends with what it said last.
    """
    if processes < 1:
        raise InputError(f"processes: expected at least 1, found {processes}")
    arguments = write_arguments(params_path, flags)
    launcher = (
        [sys.executable]
        if processes == 1
        else [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    )
    print("$", shorten_paths(" ".join(["python", *launcher[1:], "train.py", *arguments])), flush=True)
    last = _run([*launcher, str(REPO_ROOT / "train.py"), *arguments], "train.py")
    folder = Path(flags["output_dir"])
    if not (folder / "finished.json").exists():
        raise InputError(f"train.py: expected a finished run in {folder}, found none:\n" + "\n".join(last))
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


def _run(command: list[str], name: str) -> list[str]:
    """Print what a command says while it runs; its last lines. InputError, with its name, where it fails."""
    last: deque[str] = deque(maxlen=SHOWN_AFTER_FAILURE)
    with subprocess.Popen(
        command,
        cwd=REPO_ROOT,
        env={**QUIET, **os.environ},
        text=True,
        encoding="utf-8",
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if NOISE not in line:
                    last.append(line.rstrip())
                    print(shorten_paths(last[-1]), flush=True)
        except BaseException:  # the notebook was interrupted: its training must not go on alone
            process.terminate()
            raise
    if process.returncode:
        raise InputError(f"{name} failed (exit status {process.returncode}); its last words:\n" + "\n".join(last))
    return list(last)


def find_model(folder: Path) -> Path:
    """The folder itself or, where it holds a LoRA adapter, its `merged`, made where it is not there yet."""
    if not (folder / "adapter_config.json").exists():
        return folder
    merged = folder / "merged"
    if not (merged / "config.json").exists():  # it appears whole or not at all
        _run([sys.executable, "-m", "sciqag_lib.training.merging", str(folder), str(merged)], "merging")
    return merged


def train_on_tasks(
    params_path: str | Path,
    flags: Mapping[str, Any],
    tasks: Sequence[Task],
    sources: Mapping[str, str | Path],
    output_dir: Path,
    processes: int = 1,
) -> dict[str, Path]:
    """Both models, `sources` by side, trained further on the train rows of all classification and regression tasks at
    once, by one recipe: what they then say of the test rows shows what the first training is worth beneath a second."""
    path = output_dir / "task_rows.json"
    rows = [
        {"instruction": row.instruction, "input": row.question, "output": row.shown}
        for task in tasks
        for row in task.train
    ]
    if not rows:
        raise InputError("learn_tasks: expected a classification or regression task with train rows, found none")
    with write_atomic(path) as file:
        json.dump(rows, file, ensure_ascii=False, indent=0)
    return {
        side: train_model(
            params_path,
            {
                **flags,
                "model_name_or_path": str(source),
                "data_path": str(path),
                "output_dir": str(output_dir / f"model_{side}_tasks"),
            },
            processes,
        )
        for side, source in sources.items()
    }


def prepare_base(base_model: str, cache_dir: str | None = None) -> str:
    """The folder, or hub id, that train.py itself begins with: a GGUF file is unpacked, once."""
    with patient_threads():
        from sciqag_lib.training.arguments import RunArguments
        from sciqag_lib.training.model import prepare_source

    run = RunArguments(model_name_or_path=base_model, cache_dir=cache_dir)
    return prepare_source(run, resolve_path("runs/cache/models"))
