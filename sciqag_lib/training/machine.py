"""What has to be set before transformers and DeepSpeed look at the machine: the processes, and a run without a GPU.

On a CPU, DeepSpeed's stage 3 runs in one way only: accelerate's state is made first, over gloo, and TrainingArguments
is told to take it as it is.
"""

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, TypeVar

import filelock
import torch

from sciqag_lib.errors import InputError

Item = TypeVar("Item")


def is_main() -> bool:
    """True in the one process of a run that writes and prints."""
    return int(os.environ.get("RANK", 0)) == 0


def is_node_main() -> bool:
    """True in one process of each machine."""
    return int(os.environ.get("LOCAL_RANK", 0)) == 0


def count_processes() -> int:
    return int(os.environ.get("WORLD_SIZE", 1))


def wait_for_all() -> None:
    """A barrier, where there is more than one process."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def make_training_arguments(settings: dict[str, Any]) -> Any:
    """transformers' TrainingArguments, which also start the processes' group. InputError: settings that do not fit
    together."""
    import transformers

    try:
        arguments = transformers.TrainingArguments(**settings)
    except (ValueError, ImportError) as error:
        raise InputError(f"invalid training settings: {' '.join(str(error).split())}") from error
    arguments._n_gpu = min(1, arguments.n_gpu)  # one process per GPU, as torchrun has it; packed rows cannot be split
    return arguments


def gather_objects(item: Item) -> list[Item]:
    """The item of every process, in the order of their ranks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return [item]
    items: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(items, item)
    return items


def prepare_machine(trainer: dict[str, Any]) -> list[str]:
    """Set the environment and, without a GPU, the arguments of TrainingArguments in `trainer`, which is changed.

    Returns a line for each argument that could not be followed. InputError: fp16 without a GPU.
    """
    # DeepSpeed builds its CPU optimizer with ninja, which lies beside the interpreter that may not have been activated.
    folder = str(Path(sys.executable).parent)
    if folder not in os.environ.get("PATH", "").split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", "")])
    if trainer.get("deepspeed"):
        _name_single_process()
        if trainer.get("save_on_each_node"):  # DeepSpeed has a name of its own for it
            checkpoint = trainer["deepspeed"].get("checkpoint", {}) | {"use_node_local_storage": True}
            trainer["deepspeed"] = trainer["deepspeed"] | {"checkpoint": checkpoint}
    notes = _prepare_gpu(trainer) if torch.cuda.is_available() else _prepare_cpu(trainer)
    if trainer.get("deepspeed"):
        build_operators(trainer["deepspeed"])
    return notes


def build_operators(config: dict[str, Any]) -> None:
    """Compile what DeepSpeed compiles on first use, one process at a time.

    torch's own lock is a file that a killed build leaves behind, and every later run waits for it forever. Ours is
    released with its process, so a lock of torch's that is there while we hold ours was left behind.
    """
    from deepspeed.ops.op_builder import CPUAdamBuilder
    from deepspeed.ops.op_builder.cpu.comm import ShareMemCommBuilder
    from torch.utils.cpp_extension import get_default_build_root

    offload = (config.get("zero_optimization", {}).get("offload_optimizer") or {}).get("device", "none")
    builders = [CPUAdamBuilder()] if offload != "none" else []
    builders += [] if torch.cuda.is_available() else [ShareMemCommBuilder()]
    root = Path(os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root())
    root.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(root / "sciqag.lock"):
        for builder in filter(lambda builder: builder.is_compatible(), builders):
            for left_behind in root.glob(f"**/{builder.name}/lock"):
                left_behind.unlink()
            builder.load(verbose=False)


def _name_single_process() -> None:
    """DeepSpeed wants torchrun's variables; without torchrun this process is the only one."""
    if "RANK" in os.environ:
        return
    from torch.distributed.elastic.utils.distributed import get_free_port

    os.environ.update(RANK="0", LOCAL_RANK="0", WORLD_SIZE="1", LOCAL_WORLD_SIZE="1", MASTER_ADDR="127.0.0.1",
                      MASTER_PORT=str(get_free_port()))  # fmt: skip


def _prepare_gpu(trainer: dict[str, Any]) -> list[str]:
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))  # else all processes would measure the first one
    if "use_liger_kernel" in trainer or importlib.util.find_spec("liger_kernel") is None:
        return []
    trainer["use_liger_kernel"] = True
    return ["use_liger_kernel: True, since liger-kernel is installed: fused kernels, no scores of the full vocabulary"]


def _prepare_cpu(trainer: dict[str, Any]) -> list[str]:
    from accelerate import PartialState

    if trainer.get("fp16"):
        raise InputError("fp16: needs a GPU and there is none here; give bf16 True instead")
    notes = []
    if trainer.pop("tf32", None):
        notes.append("tf32 True is left out: it is a precision of GPUs")
    if trainer.get("deepspeed"):
        os.environ.update(ACCELERATE_USE_DEEPSPEED="true", DS_ACCELERATOR="cpu")
        PartialState(backend="gloo")
        trainer["accelerator_config"] = {"use_configured_state": True}
        if trainer.get("bf16"):
            trainer["use_cpu"] = True  # without bf16 this would undo the DeepSpeed state
    else:
        trainer["use_cpu"] = True
        if count_processes() > 1:
            trainer["ddp_backend"] = "gloo"
    trainer.setdefault("dataloader_pin_memory", False)
    return notes
