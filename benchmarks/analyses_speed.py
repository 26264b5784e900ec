"""The analyses: sentence embedding, judged similarity and near-duplicates, each against its baseline in the same run.

    python benchmarks/analyses_speed.py [PROCESSED_OUTPUT]

1. Sentence embedding of the file's papers (the demo's without one), nothing cached. Baseline: the published notebook's
   way, one padded batch a paper in float32. Also our share of the rate at which this machine multiplies matrices.
2. Judging the question pairs of one paper with the embedded model. Baseline: the same calls, prompt cache off.
3. Near-duplicates among 188,000 vectors with 1,000 planted. Baseline: the same blocks multiplied and not looked at.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from overhead import read_peak

from sciqag_lib.analysis.question_judge import JudgeItem, JudgeJob
from sciqag_lib.checks import duplicates
from sciqag_lib.engines import llama_cpp, open_engine
from sciqag_lib.engines.embeddings import Embedder, normalize_rows, open_embedder
from sciqag_lib.inference.judge import Judge
from sciqag_lib.inference.prompts import load_prompt
from sciqag_lib.ingest import PreparedPaper, read_papers
from sciqag_lib.paths import resolve_path
from sciqag_lib.records.papers import Paper
from sciqag_lib.records.qa_records import read_qa_records
from sciqag_lib.text.sentences import split_sentences

DEMO = ["journal.pone.0002554.xml", "journal.pone.0070598.xml", "journal.pone.0078921.xml"]
NUM_QUESTIONS, WIDTH, NUM_PLANTED, THRESHOLD = 188_000, 384, 1000, 0.95


def read_texts(arguments: list[str]) -> list[str]:
    if arguments:
        return [record.txt for record in read_qa_records(arguments[0]) if isinstance(record, Paper)]
    corpus = resolve_path("package://allofplos/starter_corpus")
    return [item.paper.txt for item in read_papers([corpus / name for name in DEMO]) if isinstance(item, PreparedPaper)]


def embed_published(embedder: Embedder, groups: list[list[str]]) -> list[np.ndarray]:
    """All sentences of a paper in one batch, padded to the longest, float32."""
    vectors = []
    for sentences in groups:
        features = embedder.model.preprocess(sentences)
        with torch.inference_mode():
            vectors.append(embedder.model(features)["sentence_embedding"].numpy())
    return vectors


def compare_embedding(texts: list[str]) -> None:
    groups = [[text[start:end] for start, end in split_sentences(text)] for text in texts]
    embedder = open_embedder()
    embedder.embed(groups[0][:8], "document")  # the first call of a process is slow
    started = time.perf_counter()
    ours = [vectors for _, vectors in embedder.embed_groups(enumerate(groups), "document")]
    own_seconds = time.perf_counter() - started
    started = time.perf_counter()
    published = embed_published(embedder, groups)
    seconds = time.perf_counter() - started
    cosine = min(float((a * normalize_rows(b)).sum(1).min()) for a, b in zip(ours, published))
    tokens = sum(len(ids) for group in groups for ids in embedder.model.tokenizer(group)["input_ids"])
    print(
        f"embedding {sum(map(len, groups)):,} sentences of {len(groups)} papers, {tokens:,} tokens:\n"
        f"  published way {seconds:.1f} s, ours {own_seconds:.1f} s in {embedder.precision or 'float32'}, the choice "
        f"of precision included: {seconds / own_seconds:.1f} times; least cosine to it {cosine:.5f}"
    )
    weights = sum(p.numel() for name, p in embedder.model.named_parameters() if "embeddings" not in name)
    rate, peak = 2 * weights * tokens / own_seconds, measure_matmul(getattr(torch, embedder.precision or "float32"))
    print(
        f"  {rate / 1e9:.0f} GFLOP/s in the layers' weights, {rate / peak:.0%} of this machine's own matrix "
        f"multiplication in that precision, {peak / 1e9:.0f} GFLOP/s"
    )


def measure_matmul(dtype: torch.dtype, size: int = 2048) -> float:
    """FLOP/s, the best of five."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    times = []
    for _ in range(6):
        started = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times[1:])


def judge_pairs(item: JudgeItem, cached: bool) -> tuple[float, list[int]]:
    make_body = llama_cpp._make_body
    llama_cpp._make_body = lambda request, tokens: {**make_body(request, tokens), "cache_prompt": cached}
    try:
        with open_engine("llama_cpp", context_size=2048) as engine:
            prompt = load_prompt("question_similarity")
            judge = Judge(prompt=prompt, dimensions=("similarity",), low=0, top=100, seed=0, with_reasons=False)
            job = JudgeJob("", Path(), engine, judge)
            asking = job.ask(item)
            requests = next(asking).requests
            started, replies = time.perf_counter(), []
            for request in requests:
                engine.submit(request)
                replies += engine.wait()
            seconds = time.perf_counter() - started
            try:
                asking.send(replies)
                raise SystemExit("expected a readable score in every reply, found one without")
            except StopIteration as end:
                return seconds, job.finish(item, end.value)["scores"]
    finally:
        llama_cpp._make_body = make_body


def compare_judging(arguments: list[str]) -> None:
    """45 pairs: ten questions, of two sample papers where no file is given."""
    records = [
        record
        for record in read_qa_records(arguments[0] if arguments else resolve_path("data/qas.json"))
        if isinstance(record, Paper)
    ]
    pairs = [pair for record in records for pair in record.pairs][:10]
    item = JudgeItem(Paper("benchmark", "", [], pairs=pairs), [])
    uncached, expected = judge_pairs(item, cached=False)
    cached, scores = judge_pairs(item, cached=True)
    same = "the same scores" if scores == expected else f"{sum(a != b for a, b in zip(scores, expected))} OTHER SCORES"
    print(
        f"judging {len(scores)} pairs: without the prompt cache {uncached:.1f} s, with it {cached:.1f} s: "
        f"{uncached / cached:.1f} times, {same} ({len(set(scores))} different ones)"
    )


def compare_duplicates() -> None:
    random = np.random.default_rng(0)
    vectors = normalize_rows(random.standard_normal((NUM_QUESTIONS, WIDTH), np.float32))
    originals = random.choice(NUM_QUESTIONS // 2, NUM_PLANTED, replace=False)
    copies = NUM_QUESTIONS // 2 + random.choice(NUM_QUESTIONS // 2, NUM_PLANTED, replace=False)
    noise = random.standard_normal((NUM_PLANTED, WIDTH), np.float32) * np.float32(0.01)
    vectors[copies] = normalize_rows(vectors[originals] + noise)
    started = time.perf_counter()
    for top in range(0, NUM_QUESTIONS, duplicates.BLOCK_ROWS):
        for left in range(top, NUM_QUESTIONS, duplicates.BLOCK_COLUMNS):
            vectors[top : top + duplicates.BLOCK_ROWS] @ vectors[left : left + duplicates.BLOCK_COLUMNS].T
    bare = time.perf_counter() - started
    del noise
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew (Linux)
    started = time.perf_counter()
    found = {
        pair for a, b, _ in duplicates.find_near_duplicates(vectors, THRESHOLD) for pair in zip(a.tolist(), b.tolist())
    }
    seconds = time.perf_counter() - started
    planted = set(zip(originals.tolist(), copies.tolist()))
    peak = read_peak() / 1024**2
    print(
        f"near-duplicates among {NUM_QUESTIONS:,} vectors of {WIDTH}: {len(found & planted):,} of {len(planted):,} "
        f"planted found, {len(found - planted)} others; {seconds:.1f} s, the bare multiplication of the same blocks "
        f"{bare:.1f} s: {seconds / bare:.2f} times; peak memory of the process meanwhile {peak:.2f} GB"
    )


def main() -> None:
    if sys.argv[1:] == ["--duplicates"]:
        compare_duplicates()  # in a process of its own, for its memory
        return
    compare_embedding(read_texts(sys.argv[1:]))
    compare_judging(sys.argv[1:])
    subprocess.run([sys.executable, __file__, "--duplicates"], check=True)


if __name__ == "__main__":
    main()
