"""Atomic checkpoints, and the folder of a run.

    OUT/run.json            what the run is made of; another run is refused in the same folder
    OUT/checkpoint-500/     weights that load, optimizer, schedule, random states: what the run resumes from
    OUT/.saving/            a checkpoint that is being written; never resumed from when a killed process leaves it
    OUT/finished.json       the result, written after the final weights

A checkpoint is written to .saving, checked, flushed to the disk and renamed, so a process that is killed at any moment
leaves the earlier checkpoints as they were.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sciqag_lib.errors import InputError
from sciqag_lib.paths import sync_path, write_atomic
from sciqag_lib.training.machine import gather_objects, is_main, is_node_main, wait_for_all

SAVING, RUN_FILE, FINISHED_FILE = ".saving", "run.json", "finished.json"
ZEROS = "all zeros: not trained, or not gathered before it was saved"
# What may change between two commands of one run: it moves no weight.
FREE = frozenset(
    """
    output_dir logging_steps logging_strategy logging_nan_inf_filter logging_first_step save_steps save_strategy
    save_total_limit report_to run_name disable_tqdm log_level log_level_replica log_on_each_node
    dataloader_num_workers cache_dir
    preprocessing_num_workers eval_steps eval_strategy eval_on_start eval_data_path per_device_eval_batch_size
    ddp_timeout use_cpu accelerator_config dataloader_pin_memory ddp_backend save_on_each_node hub_token
""".split()
)


# The run's folder ----------------------------------------------------------------------------------------------------


def open_run(folder: Path, settings: dict[str, Any]) -> tuple[Path | None, bool]:
    """Claim `folder` for a run, or resume it: the checkpoint to resume from, and whether the run is finished.

    `settings` is all that moves the weights. All processes must call it. InputError: the folder is another run's, or
    holds other things; the processes do not have the same settings, data among them.
    """
    settings = json.loads(json.dumps({key: settings[key] for key in settings if key not in FREE}, default=str))
    texts = gather_objects({name: str(value) for name, value in settings.items()})
    differing = sorted({name for text in texts for name in text if text[name] != texts[0].get(name)})
    if differing:
        raise InputError(
            f"expected the same settings in every process, found different ones of {', '.join(differing)}; "
            "give every machine the same command and files (data_path here is the hash of its tokens)"
        )
    for claims in (is_main(), is_node_main() and not is_main()):  # each machine may have a file system of its own
        if claims:
            claim_folder(folder, settings)
        wait_for_all()
    names = gather_objects({path.name for path in list_checkpoints(folder)})
    # Killed while saving, one machine may have one more.
    complete = [folder / name for name in set.intersection(*names)]
    return max(complete, key=read_step, default=None), gather_objects((folder / FINISHED_FILE).exists())[0]


def claim_folder(folder: Path, settings: dict[str, Any]) -> None:
    """Write run.json, or compare it, and remove what a killed process left half written."""
    run_file, has_begun = folder / RUN_FILE, (folder / FINISHED_FILE).exists() or find_last_checkpoint(folder)
    if run_file.exists() and has_begun:
        _compare(run_file, settings)
    elif not run_file.exists() and folder.exists() and any(folder.iterdir()):
        raise InputError(
            f"output_dir {folder}: expected a new folder or one of this run, found other files in it "
            f"({', '.join(sorted(path.name for path in folder.iterdir())[:3])}); name another one"
        )
    else:  # new, or refused or killed before its first checkpoint
        with write_atomic(run_file) as file:
            json.dump(settings, file, indent=1, ensure_ascii=False)
    shutil.rmtree(folder / SAVING, ignore_errors=True)


def _compare(run_file: Path, settings: dict[str, Any]) -> None:
    try:
        before = json.loads(run_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{run_file}: expected the settings of a run as JSON, found something else ({error}); name "
            "another output_dir"
        ) from error
    names = sorted(key for key in before.keys() | settings.keys() if before.get(key) != settings.get(key))
    if not names:
        return
    lines = [f"  {name}: there {before.get(name)!r}, here {settings.get(name)!r}" for name in names]
    lines.append("name another output_dir, or give the settings of that run")
    if names == ["processes"]:
        lines.append(
            "A run resumes with the number of processes it began with. For another number, start from its last "
            "checkpoint's weights: --model_name_or_path OUT/checkpoint-N and a new output_dir"
        )
    raise InputError(f"output_dir {run_file.parent}: holds another run, which differs in\n" + "\n".join(lines))


def find_last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the latest step; all that bear the name are complete."""
    return max(list_checkpoints(folder), key=read_step, default=None)


def list_checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob("checkpoint-*") if path.name.partition("-")[2].isdecimal()]


def read_step(checkpoint: Path | None) -> int:
    """The step of checkpoint-500: 500; 0 where there is none."""
    return int(checkpoint.name.partition("-")[2]) if checkpoint else 0


def finish_run(folder: Path, result: dict[str, Any]) -> None:
    """Write the result, which marks the run as finished."""
    shutil.rmtree(folder / SAVING, ignore_errors=True)
    with write_atomic(folder / FINISHED_FILE) as file:
        json.dump(result, file, indent=1)


# Writing -------------------------------------------------------------------------------------------------------------


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """A new folder to write into, which becomes `folder` when the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name[:100]}.", dir=folder.parent) as temporary:
        building = Path(temporary) / "building"
        building.mkdir()
        yield building
        building.replace(folder)


def settle_folder(source: Path, target: Path) -> None:
    """Move a complete folder to its place, durably. Where it is gone and `target` is there, another process that shares
    the file system has moved it."""
    if not source.exists() and target.exists():
        return
    for file in sorted(source.rglob("*")):
        if file.is_file():
            sync_path(file)
    if target.exists():  # a step that was reached again, after a resume from before it
        shutil.rmtree(target)
    source.rename(target)
    sync_path(target.parent)


def settle_files(source: Path, folder: Path) -> None:
    """Move the files of `source` into `folder` one by one, each atomically."""
    for file in sorted(source.iterdir()):
        if file.is_file():
            sync_path(file)
            os.replace(file, folder / file.name)
    shutil.rmtree(source)


# Checking ------------------------------------------------------------------------------------------------------------


def check_saved(folder: Path, is_trained: bool = False) -> None:
    """Look at what was saved before it counts. RuntimeError naming a file that is torn, a tensor that is empty or not
    a number, or, where it must be trained by now, an adapter that is not (DeepSpeed and peft have saved all of these).
    """
    from safetensors import SafetensorError

    faults, problems = {}, []
    for file in sorted(folder.glob("*.safetensors")):
        try:
            faults |= {f"{file.name}: {name}": fault for name, fault in find_faults(file).items()}
        except SafetensorError as error:
            problems.append(f"{file.name}: is torn ({error})")
    problems += [f"{name}: {fault}" for name, fault in faults.items() if fault and fault != ZEROS]
    if not faults:
        problems.append("there are no weights in it")
    adapter = {fault for name, fault in faults.items() if "lora_B" in name}
    if is_trained and adapter == {ZEROS}:
        problems.append("all of lora_B are zero: the adapter was never trained")
    if problems:
        raise RuntimeError(f"{folder}: what was saved cannot be used: " + "; ".join(problems[:5]))


def find_faults(path: Path) -> dict[str, str]:
    """What is wrong with each tensor of a safetensors file, or "". SafetensorError: the file is torn."""
    from safetensors import safe_open

    with safe_open(path, "pt") as reader:
        return {name: _find_fault(reader, name) for name in reader.keys()}


def _find_fault(reader: Any, name: str) -> str:
    shape = tuple(reader.get_slice(name).get_shape())
    if 0 in shape:
        return f"shape {shape} holds no numbers"
    values = reader.get_tensor(name)
    if values.is_floating_point() and not values.isfinite().all():
        return "holds NaN or infinity"
    return "" if values.any() else ZEROS
