"""evidence_first against the published way: parsed, distinct pairs per minute, with the same model, in one run.

    python benchmarks/pairs_speed.py [--papers 14] [--tokens 3000] [--pairs DIR]

The baseline is one whole paper a prompt through transformers' `generate`, one paper at a time, in float32 or bfloat16,
whichever is faster here; a pair counts when it parses and its question is not a repeat. With whole_paper's own prompt
the packaged model gives no pair at all, so the baseline has a prompt that it can follow: a short instruction after the
paper, the reply begun with "Q1:", and a slight repetition penalty, without which it repeats one question to the end.
Ours is a complete run of evidence_first with llama.cpp on the same papers, cut to the same length: opening the engine,
the plan, the checks and all files included. `--pairs DIR` writes both sides' pairs for a reader.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from generation_speed import make_requests, read_corpus, run_baseline

from sciqag_lib.engines import Request, open_engine
from sciqag_lib.engines.common import find_packaged_model
from sciqag_lib.engines.loading import load_model
from sciqag_lib.generation.parsing import parse_reply
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.generation.run import generate
from sciqag_lib.records.papers import paper_record

INPUT_START = "The paper:\n"  # where whole_paper's input begins
BASELINE_SYSTEM = "You write questions and answers about scientific papers."
BASELINE_TASK = "Write 10 questions about the facts in this paper, each with a short answer."
REPLY_START = "Q1:"
MAX_NEW_TOKENS = 450  # with more, the baseline only repeats itself
SAMPLING = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.05}


def ask_baseline(records: list[dict], dtype: torch.dtype) -> list[dict]:
    """{"doi", "Q", "A"} of every parsed, distinct pair."""
    tokenizer, model = load_model(str(find_packaged_model()), None, dtype, "sdpa")
    pairs = []
    for record in records:
        messages = [
            {"role": "system", "content": BASELINE_SYSTEM},
            {"role": "user", "content": f"{record['txt']}\n\n{BASELINE_TASK}"},
        ]
        text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False) + REPLY_START
        inputs = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        torch.manual_seed(0)
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, **SAMPLING)
        length = inputs["input_ids"].shape[1]
        reply = REPLY_START + tokenizer.decode(output[0, length:], skip_special_tokens=True)
        finished = output.shape[1] - length < MAX_NEW_TOKENS
        distinct = {pair.question.lower(): pair for pair in reversed(parse_reply(reply, finished=finished).pairs)}
        pairs += [{"doi": record["doi"], "Q": pair.question, "A": pair.answer} for pair in reversed(distinct.values())]
    return pairs


def cut_papers(requests: list[Request]) -> list[dict]:
    """The papers' records with the very text that is in the requests' prompts."""
    wanted = {request.id: request.prompt.user.split(INPUT_START, 1)[1] for request in requests}
    records = []
    for paper in read_corpus():
        if paper.doi in wanted:
            paper.txt = paper.txt[: len(wanted[paper.doi])]
            paper.sections = [part for part in paper.sections if part.end <= len(paper.txt)]
            records.append(paper_record(paper))
    return records


def ask_ours(records: list[dict]) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "papers.json"
        path.write_text(json.dumps(records), encoding="utf-8")
        with open_engine("llama_cpp") as engine:
            generate(path, Path(folder) / "out", engine, make_recipe())
        papers = json.loads((Path(folder) / "out" / "processed_output.json").read_text(encoding="utf-8"))
    return [{"doi": paper["doi"], **pair} for paper in papers for pair in paper["Q&A"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--papers", type=int, default=14)
    parser.add_argument("--tokens", type=int, default=3000)
    parser.add_argument("--pairs", type=Path)
    options = parser.parse_args()
    requests = make_requests(options.papers, options.tokens, 100)
    times = {}
    for dtype in (torch.float32, torch.bfloat16):
        started = time.perf_counter()
        run_baseline(requests[:1], dtype)
        times[dtype] = time.perf_counter() - started
    sides, speeds = {}, {}
    records = cut_papers(requests)
    for side, ask in (
        ("baseline", lambda: ask_baseline(records, min(times, key=times.get))),
        ("evidence_first", lambda: ask_ours(records)),
    ):
        started = time.perf_counter()
        sides[side] = ask()
        seconds = time.perf_counter() - started
        speeds[side] = 60 * len(sides[side]) / seconds
        print(f"{side}: {len(sides[side])} pairs in {seconds:.1f} s, {speeds[side]:.1f} a minute", flush=True)
    ratio = (
        f"{speeds['evidence_first'] / speeds['baseline']:.1f} times" if speeds["baseline"] else "no ratio, no pair from"
    )
    print(f"evidence_first: {ratio} the baseline ({min(times, key=times.get)})")
    if options.pairs:
        options.pairs.mkdir(parents=True, exist_ok=True)
        (options.pairs / "sides.json").write_text(json.dumps(sides, ensure_ascii=False, indent=1), encoding="utf-8")
        (options.pairs / "papers.json").write_text(json.dumps(records, ensure_ascii=False, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
