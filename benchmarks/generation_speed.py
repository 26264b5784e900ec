"""Whole-paper generation against one-paper-at-a-time `generate`: tokens per second, with the same weights, in one run.

    python benchmarks/generation_speed.py [--tokens 3000] [--papers 8] [--new 300]

The baseline is the published notebook's way, written afresh: transformers, one prompt, one `generate`, the next; in
the faster of float32 and bfloat16, both tried. tokens/s = prompt and new tokens over wall time, greedy, each reply at
most `--new` tokens long. Papers are those of the package allofplos, cut to `--tokens` by the model's own tokenizer.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch

from sciqag_lib.engines import Request, Sampling, complete, open_engine
from sciqag_lib.engines.common import find_packaged_model
from sciqag_lib.engines.loading import load_model
from sciqag_lib.inference.prompts import fit_text, load_form, load_prompt, render
from sciqag_lib.ingest import PreparedPaper, read_papers
from sciqag_lib.paths import resolve_path
from sciqag_lib.records.papers import Paper

CORPUS = "package://allofplos/starter_corpus"


def read_corpus() -> Iterator[Paper]:
    return (item.paper for item in read_papers([resolve_path(CORPUS)]) if isinstance(item, PreparedPaper))


def make_requests(num_papers: int, num_tokens: int, new_tokens: int) -> list[Request]:
    """Whole-paper prompts of `num_tokens` tokens each, of papers long enough."""
    prompt, form, requests = load_prompt("whole_paper"), load_form("chat"), []
    with open_engine("llama_cpp", context_size=8192) as engine:
        for paper in read_corpus():
            if len(paper.txt) < 6 * num_tokens:
                continue
            values: dict[str, str] = {"num_pairs": "10", "again": "", "title": paper.title}
            fitted, _ = fit_text(
                engine,
                lambda text, values=values: render(prompt, form, {**values, "paper": text}),
                paper.txt,
                num_tokens,
            )
            requests.append(Request(paper.doi, fitted, Sampling(max_new_tokens=new_tokens)))
            if len(requests) == num_papers:
                return requests
    raise SystemExit(f"expected {num_papers} papers of {num_tokens} tokens in {CORPUS}, found {len(requests)}")


def run_baseline(requests: list[Request], dtype: torch.dtype) -> tuple[int, int]:
    """Prompt and new tokens of one `generate` a paper."""
    tokenizer, model = load_model(str(find_packaged_model()), None, dtype, "sdpa")
    prompt_tokens = new_tokens = 0
    for request in requests:
        messages = [
            {"role": "system", "content": request.prompt.system},
            {"role": "user", "content": request.prompt.user},
        ]
        inputs = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        with torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=request.sampling.max_new_tokens, do_sample=False)
        prompt_tokens += inputs["input_ids"].shape[1]
        new_tokens += output.shape[1] - inputs["input_ids"].shape[1]
    return prompt_tokens, new_tokens


def run_engine(name: str, requests: list[Request]) -> tuple[int, int]:
    """The same through an engine of ours, opening it included."""
    with open_engine(name, context_size=8192) as engine:
        done = list(complete(engine, requests))
    failed = [completion.error for completion in done if completion.finish_reason == "error"]
    if failed or len(done) != len(requests):
        raise SystemExit(f"{name}: {len(done)} of {len(requests)} replies, errors: {failed}")
    return sum(c.prompt_tokens for c in done), sum(c.new_tokens for c in done)


def measure(label: str, run: Callable[[], tuple[int, int]]) -> float:
    started = time.perf_counter()
    prompt_tokens, new_tokens = run()
    seconds = time.perf_counter() - started
    speed = (prompt_tokens + new_tokens) / seconds
    print(f"| {label} | {prompt_tokens:,} | {new_tokens:,} | {seconds:.1f} | {speed:.1f} |", flush=True)
    return speed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=3000)
    parser.add_argument("--papers", type=int, default=8)
    parser.add_argument("--new", type=int, default=300)
    options = parser.parse_args()
    requests = make_requests(options.papers, options.tokens, options.new)
    print("| way | prompt tokens | new tokens | seconds | tokens/s |\n|---|---|---|---|---|")
    probe = {
        dtype: measure(f"baseline, {dtype}, first 2 papers", partial(run_baseline, requests[:2], dtype))
        for dtype in (torch.float32, torch.bfloat16)
    }
    faster = max(probe, key=probe.get)
    baseline = measure(f"baseline, {faster}", partial(run_baseline, requests, faster))
    for name in ("transformers", "llama_cpp"):
        print(f"{name}: {measure(name, partial(run_engine, name, requests)) / baseline:.2f} times the baseline")


if __name__ == "__main__":
    main()
