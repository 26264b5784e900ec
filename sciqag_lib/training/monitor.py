"""What a run says while it runs: a line per log step, the same as JSON Lines, and the loss as a figure.

    {"step": 40, "epoch": 0.8, "loss": 1.93, "learning_rate": 2e-05, "grad_norm": 0.7, "tokens": 163840,
     "tokens_per_second": 412.0, "seconds_left": 880.0, "memory_gb": 3.1, "seconds": 397.6}

`tokens` are those of the batches without padding, over all processes; `tokens_per_second` is their rate since the line
before; `memory_gb` is the most that this process has held on its GPU, or in memory where there is none. A run that is
resumed continues the same file, without what the killed process had logged past its last checkpoint.
"""

import json
import math
import resource
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import transformers

from sciqag_lib.errors import InputError
from sciqag_lib.paths import write_atomic

LOG_FILE = "log.jsonl"
RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes of one unit of ru_maxrss
SMOOTHED = 30  # lines of a log from which on the figure shows a running mean too
KEPT = ("loss", "eval_loss", "learning_rate", "grad_norm")


class Monitor(transformers.TrainerCallback):
    """Logs to `folder`/log.jsonl and prints; only in the main process."""

    def __init__(self, folder: Path, resume_step: int) -> None:
        self.path = folder / LOG_FILE
        lines = [line for line in read_log(self.path) if 0 < resume_step >= line["step"]]
        with write_atomic(self.path) as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
        self._seconds_before = max((line["seconds"] for line in lines), default=0.0)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._start = self._last_time = time.monotonic()
        self._first_step, self._last_tokens = state.global_step, state.num_input_tokens_seen

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        found = {key: float(logs[key]) for key in KEPT if key in logs}
        if "loss" not in found and "eval_loss" not in found:
            return
        now = time.monotonic()
        line = {"step": state.global_step, "epoch": round(state.epoch or 0.0, 4), **found}
        if "loss" in found:
            line |= self._measure(state, now)
        line["seconds"] = round(self._seconds_before + now - self._start, 2)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(format_line(line, state.max_steps), flush=True)
        if "loss" in found and not math.isfinite(found["loss"]):
            control.should_training_stop = True
            raise InputError(
                f"step {state.global_step}: the loss is {found['loss']}; give a lower learning_rate, or "
                "bf16 instead of fp16; the last checkpoint is from before"
            )

    def _measure(self, state: Any, now: float) -> dict[str, Any]:
        tokens, seconds = state.num_input_tokens_seen - self._last_tokens, now - self._last_time
        self._last_tokens, self._last_time = state.num_input_tokens_seen, now
        done = state.global_step - self._first_step
        left = (now - self._start) / done * (state.max_steps - state.global_step) if done else None
        return {
            "tokens": state.num_input_tokens_seen,
            "tokens_per_second": round(tokens / max(seconds, 1e-9), 1),
            "seconds_left": round(left, 1) if left is not None else None,
            "memory_gb": measure_memory(),
        }


def measure_memory() -> float:
    """The most this process has held, in GB of 1e9 bytes: on its GPU, or in memory where there is none."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / 1e9, 2)


def format_line(line: dict[str, Any], max_steps: int) -> str:
    words = [f"step {line['step']}/{max_steps}"]
    words += [f"{name.replace('_', ' ')} {line[name]:.4f}" for name in ("loss", "eval_loss") if name in line]
    if "tokens" in line:
        words += [f"{line['tokens_per_second']:,.0f} tokens/s", f"{line['tokens']:,} tokens seen",
                  f"{line['memory_gb']} GB"]  # fmt: skip
        if line["seconds_left"] is not None:
            words.append(f"{timedelta(seconds=round(line['seconds_left']))} left")
    return ", ".join(words)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log.jsonl; the last one of a killed process may be torn and is then left out."""
    if not path.exists():
        return []
    lines, found = path.read_text(encoding="utf-8").splitlines(), []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                raise InputError(
                    f"{path} line {number}: expected JSON ({error}); the file was changed by hand, "
                    "restore it or name another output_dir"
                ) from error
    return found


def save_loss(folder: Path) -> dict[str, Any]:
    """Draw a run's log into figures/loss.png and .pdf; returns its last values, by name."""
    import matplotlib.pyplot as plt

    from sciqag_lib.figure_style import save_figure

    lines = read_log(folder / LOG_FILE)
    figure = draw_loss(lines)
    save_figure(figure, folder / "figures", "loss")
    plt.close(figure)
    return {key: value for line in lines for key, value in line.items()}


def draw_loss(lines: list[dict[str, Any]]) -> Any:
    """The lines of a log as a Figure: training loss by step, its running mean, and the validation loss."""
    import pandas as pd

    from sciqag_lib.figure_style import BLUE, ONE_COLUMN, ORANGE, new_figure

    with new_figure("Loss of the training run", ONE_COLUMN, 2.4) as (figure, axes):
        for label, key, color in (("training", "loss", BLUE), ("validation", "eval_loss", ORANGE)):
            losses = pd.Series({line["step"]: line[key] for line in lines if key in line}, dtype=float)
            if losses.empty:
                continue
            is_long = key == "loss" and len(losses) > SMOOTHED
            marker = "o" if len(losses) < SMOOTHED else None
            width, alpha = (0.6, 0.35) if is_long else (1.0, 1.0)
            axes.plot(losses, color=color, alpha=alpha, linewidth=width, marker=marker, markersize=3, label=label)
            if is_long:
                mean = losses.rolling(len(losses) // 10, min_periods=1).mean()
                axes.plot(mean, color=color, label=f"mean of {len(losses) // 10} lines")
        axes.set_xlabel("step")
        axes.set_ylabel("loss (nats per answer token)")
        axes.legend()
    return figure
