"""S2-Attn against full causal attention at 8k, 16k and 32k: seconds and peak memory of a step, in one run.

    python benchmarks/attention_speed.py [--lengths 8192 16384 32768] [--heads 4] [--head-size 64] [--turns 3]
    python benchmarks/attention_speed.py --layers 32 --heads 32 --head-size 128      a whole Llama-2-7B shape, on a GPU

A step is forward and backward of one row, without an optimizer: of one LlamaAttention with its projections, or of a
whole model with gradient checkpointing (--layers); random weights, float32 on a CPU and bfloat16 on a GPU. Baseline:
transformers' sdpa. Each side has a process of its own, and they take turns. Memory is the peak above what the process
held before its first step. Cap: what the ratio would be if time were FLOPs, causally counted: for every pair of tokens
that see each other, 4 x head size forward and 10 x backward (where the scores are computed again); for each weight and
token, 2 and 4; gradient checkpointing adds a forward. Used: those FLOPs against the machine's own matrix
multiplication, the faster of both processes.
"""

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding

from sciqag_lib.training.attention import cut_groups, register_attentions

SIDES = ("sdpa", "s2")
VOCABULARY = 32_000
MLP_WIDTH = 11008 / 4096  # of Llama-2-7B, in hidden sizes
ON_GPU = torch.cuda.is_available()
DEVICE, DTYPE = ("cuda", torch.bfloat16) if ON_GPU else ("cpu", torch.float32)


def make_config(name: str, length: int, options: argparse.Namespace) -> LlamaConfig:
    width = options.heads * options.head_size
    return LlamaConfig(vocab_size=VOCABULARY, hidden_size=width, intermediate_size=int(width * MLP_WIDTH),
                       num_hidden_layers=max(options.layers, 1), num_attention_heads=options.heads,
                       max_position_embeddings=length, attn_implementation=name)  # fmt: skip


def make_step(name: str, length: int, options: argparse.Namespace) -> Callable[[], None]:
    """Forward and backward of one row of `length` tokens."""
    torch.manual_seed(0)
    config = make_config(name, length, options)
    positions = torch.arange(length, device=DEVICE)[None]
    if options.layers:
        model = LlamaForCausalLM._from_config(config, dtype=DTYPE).to(DEVICE).train()
        model.activation_checkpointing_enable({"use_reentrant": False})
        ids = torch.randint(VOCABULARY, (1, length), device=DEVICE)
        return lambda: model(ids, labels=ids, position_ids=positions, use_cache=False).loss.backward()
    layer = LlamaAttention(config, 0).to(DEVICE, DTYPE).train()
    hidden = torch.randn(1, length, config.hidden_size, device=DEVICE, dtype=DTYPE, requires_grad=True)
    angles = LlamaRotaryEmbedding(config).to(DEVICE)(hidden, positions)
    return lambda: layer(hidden, angles, None, position_ids=positions)[0].sum().backward()


def serve_turns(pipe: Connection, name: str, length: int, options: argparse.Namespace) -> None:
    """A side's process: sends the speed of a matrix multiplication, the seconds of each step asked for, then memory."""
    register_attentions()
    pipe.send(measure_matmul())
    step = make_step(name, length, options)
    before = read_memory("VmRSS")
    if ON_GPU:
        torch.cuda.reset_peak_memory_stats()
    while pipe.recv():
        pipe.send(measure_seconds(step))
    pipe.send(read_memory("VmHWM") - before)


def read_memory(name: str) -> int:
    """Bytes: of the GPU, now (VmRSS) or at most (VmHWM), or the process's own as Linux counts them."""
    if ON_GPU:
        return torch.cuda.memory_allocated() if name == "VmRSS" else torch.cuda.max_memory_allocated()
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def measure_seconds(step: Callable[[], Any]) -> float:
    started = time.perf_counter()
    step()
    if ON_GPU:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure_matmul() -> float:
    """FLOP/s of the best of twenty multiplications."""
    size = 8192 if ON_GPU else 1024
    left = torch.randn(size, size, device=DEVICE, dtype=DTYPE)
    return 2 * size**3 / min(measure_seconds(lambda: left @ left) for _ in range(20))


def count_flops(name: str, length: int, options: argparse.Namespace) -> float:
    """Of a step, by the docstring's rules."""
    whole = ((length,),)
    halves = [cut_groups(whole, None, shifted) for shifted in (False, True)] if name == "s2" else [whole, whole]
    pairs = sum(part * (part + 1) / 2 for half in halves for part in half[0]) * options.heads / 2
    width, layers = options.heads * options.head_size, max(options.layers, 1)
    weights = 4 * width**2 + (3 * width * int(width * MLP_WIDTH) if options.layers else 0)
    again = 1 if options.layers else 0
    attention = pairs * options.head_size * (4 + 10 + 4 * again)
    head = 6 * width * VOCABULARY * length if options.layers else 0
    return layers * (attention + weights * length * (6 + 2 * again)) + head


def compare(length: int, options: argparse.Namespace) -> str:
    """The table's rows of one length."""
    context, sides = multiprocessing.get_context("spawn"), {}
    for name in SIDES:
        pipe, other = context.Pipe()
        process = context.Process(target=serve_turns, args=(other, name, length, options), daemon=True)
        process.start()
        other.close()  # so that a side that dies is an EOFError here, not a wait for ever
        sides[name] = (pipe, process, pipe.recv())
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    for turn in range(options.turns + 1):
        for name in SIDES:
            sides[name][0].send(True)
            taken = sides[name][0].recv()
            seconds[name] += [taken] if turn else []  # the first is a warm-up
    rows, medians = [], {name: statistics.median(seconds[name]) for name in SIDES}
    flops = {name: count_flops(name, length, options) for name in SIDES}
    matmul = max(speed for _, _, speed in sides.values())
    for name in SIDES:
        pipe, process, _ = sides[name]
        pipe.send(False)
        memory = pipe.recv()
        process.join()
        rows.append(
            f"| {length:,} | {name} | {medians[name]:.3g} | {medians['sdpa'] / medians[name]:.2f} | "
            f"{flops['sdpa'] / flops[name]:.2f} | {flops[name] / medians[name] / matmul:.0%} | "
            f"{memory / 2**20:,.0f} |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[8192, 16384, 32768])
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--head-size", type=int, default=64)
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    print("| tokens | attention | seconds | times as fast | cap by FLOPs | used | peak memory, MiB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for length in options.lengths:
        print(compare(length, options), flush=True)


if __name__ == "__main__":
    main()
