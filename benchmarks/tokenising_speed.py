"""Tokenising a training file against the published script's way: wall and CPU seconds, for one rank and two; memory.

    python benchmarks/tokenising_speed.py [--turns 5] [--length 12288]

Examples are made of the package allofplos: whole papers with ten pairs of their own sentences as the answer, cut to
`--length` tokens, and each pair alone; SmolLM2's tokenizer, the llama2 form. The baseline is the 2023 script's way,
written afresh: every rank passes each example to the tokenizer twice, alone, the prompt with the answer to be learnt
and the prompt to know its length, into a tensor each. It cuts off the answers of long papers; ours keeps them.

Ours is `tokenize_file` into an empty folder: fingerprint, reading, cutting, writing, and waiting for the other rank.
Each side of a turn is a process of its own for each rank; its libraries' import and the tokenizer's opening stand
outside the time. The sides take turns, the first of a turn now one and now the other; ratios are medians of turns.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # inherited by every side

from overhead import read_peak

INSTRUCTIONS = {"papers": "Read the paper and write ten question-answer pairs about it.", "pairs": "Answer briefly."}
SENTENCE = re.compile(r"[A-Z][^.?!\n]{40,300}[.?!](?=\s)")
BASELINE, OURS = "per string, twice", "tokenize_file"
MEMORY_SIZES = (100, 1000)  # papers


# One rank, in a process of its own -----------------------------------------------------------------------------------


def open_encoder(folder: Path, length: int) -> Any:
    from transformers import AutoTokenizer

    from sciqag_lib.training.encoding import ExampleEncoder

    return ExampleEncoder(AutoTokenizer.from_pretrained(folder / "tokenizer"), length)


def tokenize_by_string(data_path: Path, encoder: Any) -> int:
    """All tokens, kept in memory as the published script keeps them."""
    from sciqag_lib.training.data import read_examples

    tokenizer, rows = encoder.tokenizer, []
    for example in read_examples(data_path):
        prompt = encoder.render(example)
        ids, prompt_ids = (tokenizer(text, return_tensors="pt", padding="longest", max_length=encoder.max_length,
                                     truncation=True).input_ids[0]
                           for text in (prompt + example.output + tokenizer.eos_token, prompt))  # fmt: skip
        labels = ids.clone()
        labels[: len(prompt_ids)] = -100
        rows.append((ids, labels))
    return sum(len(ids) for ids, _ in rows)


def run_rank(side: str, folder: Path, name: str, cache_dir: Path, length: int) -> None:
    """Prints {"seconds", "cpu", "tokens", "cut", "peak"} of what is done after a line of standard input."""
    import datasets  # noqa: F401  (which a rank has)
    import torch  # noqa: F401  (which the baseline needs, and a rank has)

    from sciqag_lib.training.tokenized import tokenize_file

    encoder, data_path = open_encoder(folder, length), folder / f"{name}.json"
    print("ready", flush=True)
    sys.stdin.readline()  # all ranks begin together
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what the imports take
    memory, started, cpu = read_peak(), time.perf_counter(), time.process_time()
    if side == OURS:
        made = tokenize_file(data_path, cache_dir, encoder)
        tokens, cut = int(made.lengths.sum()), made.cut
    else:
        tokens, cut = tokenize_by_string(data_path, encoder), 0
    found = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu, "tokens": tokens, "cut": cut}
    print(json.dumps({**found, "peak": (read_peak() - memory) / 1024}), flush=True)


# Both sides, in turns ------------------------------------------------------------------------------------------------


def start_ranks(side: str, num_ranks: int, folder: Path, name: str, length: int) -> dict[str, float]:
    """Wall seconds to the end of the last rank, CPU seconds of all; tokens and peak memory (MB) of one."""
    with tempfile.TemporaryDirectory() as cache_dir:
        command = [sys.executable, __file__, "--rank", side, str(folder), name, cache_dir, str(length)]
        ranks = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  text=True) for _ in range(num_ranks)]  # fmt: skip
        for rank in ranks:
            rank.stdout.readline()
        for rank in ranks:
            rank.stdin.write("\n")
            rank.stdin.flush()
        found = [json.loads(rank.communicate()[0]) for rank in ranks]
    largest = {key: max(one[key] for one in found) for key in ("seconds", "tokens", "cut", "peak")}
    return {**largest, "cpu": sum(one["cpu"] for one in found)}


def compare_sides(turns: int, num_ranks: int, folder: Path, name: str, length: int) -> None:
    """Prints a row of the table."""
    runs: dict[str, list[dict[str, float]]] = {BASELINE: [], OURS: []}
    loads = []
    for turn in range(turns):
        for side in (BASELINE, OURS) if turn % 2 else (OURS, BASELINE):
            loads.append(os.getloadavg()[0])  # of the minute before, our own other side included
            runs[side].append(start_ranks(side, num_ranks, folder, name, length))
    medians = {side: {key: statistics.median(run[key] for run in rows) for key in rows[0]}
               for side, rows in runs.items()}  # fmt: skip
    pairs = list(zip(runs[BASELINE], runs[OURS]))
    ratios = {key: [one[key] / other[key] for one, other in pairs] for key in ("seconds", "cpu")}
    cells = [f"{name}, {num_ranks} rank{'s'[: num_ranks - 1]}",
             *(f"{medians[side][key]:.2f}" for key in ("seconds", "cpu") for side in (BASELINE, OURS)),
             *(f"**{statistics.median(ratios[key]):.2f}** ({min(ratios[key]):.2f} to {max(ratios[key]):.2f})"
               for key in ("seconds", "cpu")),
             f"{medians[OURS]['tokens'] / medians[OURS]['seconds']:,.0f}", f"{medians[OURS]['cut']:.0f}",
             f"{min(loads):.1f} to {max(loads):.1f}"]  # fmt: skip
    print("| " + " | ".join(cells) + " |", flush=True)


def compare_memory(folder: Path, length: int) -> None:
    for size in MEMORY_SIZES:
        write_copies(folder / "papers.json", folder / f"{size}.json", size)
        peaks = {side: start_ranks(side, 1, folder, str(size), length)["peak"] for side in (BASELINE, OURS)}
        print(f"| {size:,} | " + " | ".join(f"{peaks[side]:.0f}" for side in (BASELINE, OURS)) + " |", flush=True)


# The examples --------------------------------------------------------------------------------------------------------


def make_examples() -> Iterator[tuple[str, dict[str, str]]]:
    """("papers" or "pairs", record), of each paper's own sentences: every second one is a question, so to speak."""
    from generation_speed import read_corpus

    for paper in read_corpus():
        sentences = SENTENCE.findall(paper.txt)
        pairs = list(zip(sentences[::2], sentences[1::2]))
        for question, answer in pairs:
            yield "pairs", {"instruction": INSTRUCTIONS["pairs"], "input": question, "output": answer}
        chosen = pairs[:: max(1, len(pairs) // 10)][:10]  # from all over the paper
        if chosen:
            output = "\n\n".join(
                f"Q{number}: {question}\nA{number}: {answer}"
                for number, (question, answer) in enumerate(chosen, start=1)
            )
            yield "papers", {"instruction": INSTRUCTIONS["papers"], "input": f"The paper:\n{paper.txt}",
                             "output": output}  # fmt: skip


def prepare_folder(folder: Path) -> dict[str, int]:
    """papers.json, pairs.json and the tokenizer; the number of examples of each."""
    from transformers import AutoTokenizer

    from sciqag_lib.engines.common import find_packaged_model

    model = find_packaged_model()
    AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name).save_pretrained(folder / "tokenizer")
    records: dict[str, list] = {"papers": [], "pairs": []}
    for name, record in make_examples():
        records[name].append(record)
    for name, found in records.items():
        (folder / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")
    return {name: len(found) for name, found in records.items()}


def write_copies(source: Path, path: Path, number: int) -> None:
    """`number` records of a file, over and over, each with a number of its own."""
    records = json.loads(source.read_text(encoding="utf-8"))
    with path.open("w", encoding="utf-8") as file:
        for index in range(number):
            record = records[index % len(records)]
            copied = {**record, "input": f"{index}. {record['input']}"}
            file.write(("[" if index == 0 else ",\n") + json.dumps(copied))
        file.write("]")


def main() -> None:
    if sys.argv[1:2] == ["--rank"]:
        side, folder, name, cache_dir, length = sys.argv[2:]
        run_rank(side, Path(folder), name, Path(cache_dir), int(length))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--length", type=int, default=12_288)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = prepare_folder(folder)
        print(
            f"{counts['papers']} papers, {counts['pairs']:,} pairs; at most {options.length:,} tokens; "
            f"{os.cpu_count()} cores; {options.turns} turns\n"
        )
        print(
            "| examples | s, per string | s, ours | CPU s, per string | CPU s, ours | wall: times as fast "
            "| CPU: times less | tokens/s, ours | cut | load |\n|" + "---|" * 10
        )
        for num_ranks in (1, 2):
            for kind in counts:
                compare_sides(options.turns, num_ranks, folder, kind, options.length)
        print(f"\n| papers | peak MB above the imports, {BASELINE} | ours |\n|---|---|---|")
        compare_memory(folder, options.length)


if __name__ == "__main__":
    main()
