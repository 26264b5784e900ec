"""Useful tokens a second of train.py under DeepSpeed stage 3: packed against batch 1, one example a row.

    python benchmarks/training_speed.py [--examples 48] [--length 4096] [--turns 1]
    python benchmarks/training_speed.py --trl           against plain TRL with stage 3 (pip install trl==1.16.0)

Examples of 100 to 999 tokens, made of the package allofplos, packed to --length; SmolLM2-135M in bfloat16, full
fine-tuning, as many torchrun processes as GPUs or, without one, two. Useful are the tokens of the examples, without
padding; their rate is taken from log.jsonl between the first and the last step, so that start and first step, with its
compilation, stand outside. Memory is the most of one process. On a GPU also the share of its peak in bfloat16 that is
used, FLOPs counted causally: 6 a weight and token, 6 x layers x width x length of the example for attention.
The second table shows what packing=None chooses where packing brings nothing: examples that fill their rows.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from tokenising_speed import SENTENCE

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = max(torch.cuda.device_count(), 1) if torch.cuda.is_available() else 2
STAGE3 = ROOT / "ds_configs" / ("stage3.json" if torch.cuda.is_available() else "stage3_cpu.json")
PEAKS = {
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
}  # FLOP/s in bfloat16, without sparsity, by NVIDIA's data sheets
TRL = """
import os, sys, json
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
if {cpu}:
    os.environ.update(ACCELERATE_USE_DEEPSPEED="true", DS_ACCELERATOR="cpu")
    from accelerate import PartialState
    PartialState(backend="gloo")
from trl import SFTConfig, SFTTrainer
extra = dict(use_cpu=True, accelerator_config={{"use_configured_state": True}}) if {cpu} else {{}}
args = SFTConfig(output_dir={out!r}, deepspeed={deepspeed!r}, bf16=True, max_length={length}, num_train_epochs=1,
                 per_device_train_batch_size=1, learning_rate=1e-5, logging_steps=1, save_strategy="no", packing=False,
                 report_to="none", dataset_num_proc=1, gradient_checkpointing=False, **extra)
data = load_dataset("json", data_files={data!r}, split="train").map(
    lambda row: {{"prompt": row["instruction"] + "\\n" + row["input"] + "\\n", "completion": row["output"]}},
    remove_columns=["instruction", "input", "output"])
trainer = SFTTrainer(model={model!r}, args=args, train_dataset=data)
trainer.train()
if trainer.is_world_process_zero():
    json.dump([trainer.state.log_history, trainer.state.num_input_tokens_seen], open({out!r} + "/log.json", "w"))
"""


def write_data(path: Path, tokenizer, number: int, shortest: int, longest: int) -> int:
    """Examples of `shortest` to `longest` tokens, evenly spread; returns all their words' tokens, about."""
    from sciqag_lib.ingest.readers import PreparedPaper, read_papers
    from sciqag_lib.paths import resolve_path

    items = read_papers(resolve_path("package://allofplos/starter_corpus"))
    papers = (item.paper.txt for item in items if isinstance(item, PreparedPaper))
    generator, total, written = random.Random(0), 0, 0
    with path.open("w", encoding="utf-8") as file:
        while written < number:
            text = next(papers)
            wanted = int(shortest + (longest - shortest) * generator.random()) - 60  # prompt and answer take the rest
            ids = tokenizer(text[: wanted * 12])["input_ids"][:wanted]
            if len(ids) < wanted:  # a correction, or the like
                continue
            answer = next(iter(SENTENCE.findall(text)), "It is so.")[:150]
            record = {"instruction": "Ask about it.", "input": tokenizer.decode(ids), "output": answer}
            file.write(json.dumps(record) + "\n")
            total, written = total + len(ids), written + 1
    return total


def run_ours(folder: Path, name: str, packing: str, length: int) -> dict:
    out = folder / name
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc_per_node={PROCESSES}",
        str(ROOT / "train.py"),
        "--model_name_or_path",
        str(folder / "model"),
        "--data_path",
        str(folder / "data.jsonl"),
        "--output_dir",
        str(out),
        "--deepspeed",
        str(STAGE3),
        "--bf16",
        "True",
        "--packing",
        packing,
        "--model_max_length",
        str(length),
        "--per_device_train_batch_size",
        "1",
        "--num_train_epochs",
        "1",
        "--learning_rate",
        "1e-5",
        "--logging_steps",
        "1",
        "--save_strategy",
        "no",
    ]
    text = launch(command, folder)
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    first, last = lines[0], lines[-1]
    return {
        "rate": (last["tokens"] - first["tokens"]) / (last["seconds"] - first["seconds"]),
        "steps": len(lines),
        "memory": max(line["memory_gb"] for line in lines),
        "packed": "packing: none" not in text,
    }


def run_trl(folder: Path, length: int) -> dict:
    import time

    out = folder / "trl"
    out.mkdir()
    script = folder / "trl_worker.py"
    script.write_text(
        TRL.format(
            cpu=not torch.cuda.is_available(),
            out=str(out),
            deepspeed=str(STAGE3),
            length=length,
            data=str(folder / "data.jsonl"),
            model=str(folder / "model"),
        )
    )
    start = time.monotonic()
    launch(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={PROCESSES}", str(script)],
        folder,
    )
    history, _ = json.loads((out / "log.json").read_text())
    summary = next(line for line in history if "train_runtime" in line)
    tokens = max(line.get("num_tokens", 0) for line in history)
    return {
        "rate": tokens / summary["train_runtime"],
        "steps": summary["step"],
        "memory": float("nan"),
        "packed": False,
        "wall": time.monotonic() - start,
    }


def launch(command: list[str], folder: Path) -> str:
    environment = os.environ | {"SCIQAG_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(result.stdout[-2000:] + result.stderr[-4000:])
    return result.stdout


def describe_use(model, rate: float, length: float) -> str:
    if not torch.cuda.is_available():
        return ""
    name = torch.cuda.get_device_name()
    peak = next((peak for key, peak in PEAKS.items() if key in name), None)
    config = model.config
    flops = 6 * model.num_parameters() + 6 * config.num_hidden_layers * config.hidden_size * length
    return f", {rate * flops / PROCESSES / peak:.1%} of {name}'s peak" if peak else f" ({name}: peak not known)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=48)
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--trl", action="store_true", help="the baseline is plain TRL, batch 1, no packing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure(Path(temporary), options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    from sciqag_lib.engines.common import find_packaged_model
    from sciqag_lib.engines.loading import load_model

    tokenizer, model = load_model(str(find_packaged_model()), None, torch.bfloat16, "sdpa")
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    tokens = write_data(folder / "data.jsonl", tokenizer, options.examples, 100, 999)
    print(
        f"{options.examples} examples, about {tokens:,} tokens; {PROCESSES} processes, {STAGE3.name}, rows of "
        f"{options.length}; load {os.getloadavg()[0]:.1f}\n\n| way | steps | useful tokens/s | ratio | GB a process |"
    )
    print("|---|---|---|---|---|")
    for turn in range(options.turns):
        baseline = (
            run_trl(folder, options.length)
            if options.trl
            else run_ours(folder, f"plain{turn}", "False", options.length)
        )
        packed = run_ours(folder, f"packed{turn}", "True", options.length)
        for name, side in (("TRL, batch 1" if options.trl else "batch 1, unpacked", baseline), ("packed", packed)):
            use = describe_use(model, side["rate"], tokens / options.examples)
            print(
                f"| {name} | {side['steps']} | {side['rate']:,.0f}{use} | {side['rate'] / baseline['rate']:.2f} | "
                f"{side['memory']} |",
                flush=True,
            )
    write_data(folder / "data.jsonl", tokenizer, 4, options.length * 0.8, options.length * 0.95)
    chosen = run_ours(folder, "long", "None", options.length)["packed"]
    print(f"\nExamples that fill their rows: packing=None {'packs' if chosen else 'does not pack'}.")


if __name__ == "__main__":
    main()
