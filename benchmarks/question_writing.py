"""Does SmolLM2-135M learn to write the question for an evidence sentence, from its own best questions?

    python benchmarks/question_writing.py [data|train|evaluate|sheet|join]

Without a stage the first four run, one after the other; each goes on where it was stopped, and uses what is there. All
files are in runs/question_writing.

data      PLOS papers (the package allofplos) are split by their DOI's hash. Of both parts the base model asks about
          plain sentences (question_data.py), and a strict selection (question_selection.py) keeps what is fit:
          train.json and valid.json.
train     train.py params/train.question_writing.yaml; the adapter is merged and exported to tuned.gguf.
evaluate  Validation loss, and the share of questions that pass the checks, on the papers held out, greedy: the base
          model in its best way (evidence_first's examples) and with the prompt that was trained, and the tuned one.
sheet     60 questions of the first and of the last for the same 60 sentences, shuffled, for a reader who is not told
          the side: sheet.jsonl; which is which is in sides.json.
join      The verdicts in benchmarks/question_writing/ (verdicts_1.jsonl, ... of each reader; sides.json): shares
          of good ones.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml
from question_data import (
    EXAMPLES,
    KINDS,
    MIN_SENTENCES,
    NUM_HELD_OUT_SENTENCES,
    NUM_TRAINING,
    TEMPERATURES,
    Item,
    choose_items,
    describe_candidates,
    load_base_kinds,
    load_base_prompt,
    make_candidates,
    make_example,
    make_prompt_text,
    make_teacher,
    read_candidates,
    split_papers,
)
from question_selection import choose_question, find_fault

from sciqag_lib.checks.rules import check_pair, score_question
from sciqag_lib.engines import Engine, Prompt, Request, Sampling, complete, open_engine
from sciqag_lib.engines.common import find_packaged_model
from sciqag_lib.errors import InputError
from sciqag_lib.generation.evidence_first import (
    MIN_QUESTION_SCORE,
    QUESTION_TOKENS,
    find_sentences,
    is_garbled,
    question_prompt,
    read_question,
)
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.metrics.intervals import estimate_mean
from sciqag_lib.paths import REPO_ROOT, resolve_path, write_atomic
from sciqag_lib.records.papers import Paper, QAPair

FOLDER = "runs/question_writing"
PARAMS = "params/train.question_writing.yaml"
RESULTS = Path(__file__).parent / "question_writing"
CONTEXT = 2048
NUM_READ = 60
SIDES = ("base_examples", "base_trained_prompt", "tuned")  # the first and the last are read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", nargs="?", choices=[*STAGES, "join"])
    stage = parser.parse_args().stage
    folder = resolve_path(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    if stage == "join":
        for path in sorted(RESULTS.glob("verdicts_*.jsonl")):
            print(f"{path.stem}\n\n{join_verdicts(path)}\n")
        return
    for name in [stage] if stage else STAGES:
        print(f"--- {name}", flush=True)
        STAGES[name](folder)


# data -----------------------------------------------------------------------------------------------------------------


def list_parts() -> tuple[dict[str, Paper], list[Item], list[Item]]:
    """All papers by DOI, the sentences to learn from, and those of the papers held out."""
    from generation_speed import read_corpus  # with torch

    kinds = load_base_kinds()
    papers = [paper for paper in read_corpus() if len(find_sentences(paper, kinds)) >= MIN_SENTENCES]
    training, held_out = split_papers(papers)
    return (
        {paper.doi: paper for paper in papers},
        choose_items(training, kinds, NUM_TRAINING),
        choose_items(held_out, kinds, NUM_HELD_OUT_SENTENCES),
    )


def make_data(folder: Path) -> None:
    _, training, held_out = list_parts()
    more = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))

    def is_fit(item: Item, question: str) -> bool:
        shown = make_teacher(item.sentence, more).shown
        return not find_fault(item.sentence, shown, question)

    with (
        open_engine("llama_cpp", context_size=CONTEXT) as engine,
        Ledger(folder / "candidates.jsonl", describe_candidates(engine)) as ledger,
    ):
        make_candidates(training + held_out, engine, ledger, is_fit)
        for name, items in (("train", training), ("valid", held_out)):
            records, counts = select_records(items, ledger)
            for file_name, value in ((name, records), (f"{name}.selection", counts)):
                with write_atomic(folder / f"{file_name}.json") as file:
                    json.dump(value, file, ensure_ascii=False, indent=1)
            print(
                f"{name}: {len(records)} questions of {len(items)} sentences of {len({item.doi for item in items})} "
                "papers: "
                + ", ".join(f"{kind} {count['kept']} of {count['sentences']}" for kind, count in counts.items())
            )


def select_records(items: list[Item], ledger: Ledger) -> tuple[list[dict[str, str]], dict[str, Counter]]:
    """Training records, and for each kind of sentence how many were kept and why candidates were turned away."""
    more, records = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8")), []
    counts: dict[str, Counter] = {name: Counter(sentences=0, kept=0) for name in KINDS}
    for item in items:
        questions = read_candidates(item, ledger)
        question, faults = choose_question(item.sentence, make_teacher(item.sentence, more).shown, questions)
        if not question and len(questions) < len(TEMPERATURES):
            raise InputError(
                f"{ledger.path}: a question for {item.id} could not be asked for; run the stage data again"
            )
        counts[item.sentence.kind.name].update(faults + Counter(sentences=1, kept=int(bool(question))))
        if question:
            records.append({**make_example(item.sentence, question), "doi": item.doi})
    return records, counts


# train ----------------------------------------------------------------------------------------------------------------


def train(folder: Path) -> None:
    from sciqag_lib.training.gguf_export import export_gguf
    from sciqag_lib.training.merging import merge_adapter

    started = time.perf_counter()
    subprocess.run([sys.executable, "train.py", PARAMS], cwd=REPO_ROOT, check=True)
    print(f"train.py took {time.perf_counter() - started:.0f} s")
    adapter, merged, tuned = folder / "model" / "adapter_model.safetensors", folder / "merged", folder / "tuned.gguf"
    if not is_newer(tuned, adapter):
        shutil.rmtree(merged, ignore_errors=True)
        merge_adapter(folder / "model", merged)
        export_gguf(merged, tuned, "f16")


def is_newer(made: Path, source: Path) -> bool:
    return made.exists() and made.stat().st_mtime >= source.stat().st_mtime


# evaluate -------------------------------------------------------------------------------------------------------------


def evaluate(folder: Path) -> None:
    papers, _, items = list_parts()
    tuned, result = folder / "tuned.gguf", {}
    if not tuned.exists():
        raise InputError(f"{tuned}: no such file; run the stage train first")
    questions = {}
    with open_engine("llama_cpp", context_size=CONTEXT) as engine:
        questions["base_examples"] = ask_greedily(items, engine, with_examples=True)
        questions["base_trained_prompt"] = ask_greedily(items, engine, with_examples=False)
    with open_engine("llama_cpp", str(tuned), CONTEXT) as engine:
        questions["tuned"] = ask_greedily(items, engine, with_examples=False)
    losses, more = measure_losses(folder), yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))
    for side in SIDES:
        passed = [judge_by_rules(item, papers[item.doi], questions[side][item.id], more) for item in items]
        result[side] = {
            "loss": losses[side],
            **{rule: describe_share(items, [rules[rule] for rules in passed]) for rule in passed[0]},
        }
    with write_atomic(folder / "questions.json") as file:
        json.dump(questions, file, ensure_ascii=False, indent=1)
    with write_atomic(folder / "evaluation.json") as file:
        json.dump(result, file, ensure_ascii=False, indent=1)
    print(json.dumps(result, indent=1))


def ask_greedily(items: list[Item], engine: Engine, with_examples: bool) -> dict[str, str]:
    """The question for each item's sentence, by its id, with evidence_first's prompt or the one that is trained."""
    prompt, requests = load_base_prompt(), []
    for item in items:
        text = question_prompt(prompt, item.sentence) if with_examples else Prompt(text=make_prompt_text(item.sentence))
        requests.append(Request(item.id, text, Sampling(QUESTION_TOKENS, stop=("\n",))))
    sentences, questions = {item.id: item.sentence for item in items}, {}
    for completion in complete(engine, requests):
        if completion.finish_reason == "error":
            raise InputError(f"{engine.description}: {completion.id} failed: {completion.error}")
        questions[completion.id] = read_question(sentences[completion.id], completion.text)
    return questions


def judge_by_rules(item: Item, paper: Paper, question: str, more: dict[str, Any]) -> dict[str, bool]:
    """Whether a question passes the checks of every pair, those of evidence_first too, and the strict selection."""
    sentence = item.sentence
    pair = QAPair(question, sentence.answer, origin="extracted", evidence=[(sentence.start, sentence.end)])
    checks = not check_pair(pair, "", [])
    context = paper.txt[max(0, sentence.start - 400) : sentence.end + 200]  # as evidence_first.choose_best takes it
    weak = score_question(question, sentence.answer, context) < MIN_QUESTION_SCORE
    return {
        "passes_checks": checks,
        "passes_evidence_first": checks and not weak and not is_garbled(question, sentence.answer),
        "passes_selection": not find_fault(sentence, make_teacher(sentence, more).shown, question),
    }


def describe_share(items: list[Item], passed: list[bool]) -> str:
    """The share with its interval over papers."""
    dois = list(dict.fromkeys(item.doi for item in items))
    sums, numbers = Counter(), Counter(item.doi for item in items)
    sums.update(item.doi for item, good in zip(items, passed) if good)
    return str(estimate_mean([sums[doi] for doi in dois], [numbers[doi] for doi in dois]))


def measure_losses(folder: Path) -> dict[str, float]:
    """Mean loss of a token of the validation questions, for each of SIDES, in float32 with the weights of llama.cpp.

    The end of the question counts: a new line after the examples, the end token after the trained prompt.
    """
    import torch

    from sciqag_lib.engines.loading import load_model

    valid = json.loads((folder / "valid.json").read_text(encoding="utf-8"))
    _, _, items = list_parts()
    by_example = {(item.doi, make_example(item.sentence)["input"]): item for item in items}
    losses, prompt = {}, load_base_prompt()
    for side, source in zip(SIDES, (find_packaged_model(), find_packaged_model(), folder / "merged")):
        tokenizer, model = load_model(str(source), None, torch.float32, "sdpa")
        total = count = 0.0
        for record in valid:
            sentence = by_example[record["doi"], record["input"]].sentence
            if side == "base_examples":
                text = question_prompt(prompt, sentence).text
                start = text.rpartition("Question:")[0] + "Question:"
                loss, number = measure_loss(tokenizer, model, start, f" {record['output']}\n")
            else:
                loss, number = measure_loss(tokenizer, model, make_prompt_text(sentence), record["output"], end=True)
            total, count = total + loss, count + number
        losses[side] = round(total / count, 4)
    return losses


def measure_loss(tokenizer: Any, model: Any, prompt: str, answer: str, end: bool = False) -> tuple[float, int]:
    """Summed loss of the answer's tokens after the prompt, and their number."""
    import torch

    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = tokenizer(answer, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] * end
    ids = torch.tensor([before + after])
    with torch.inference_mode():
        logits = model(ids).logits[0, len(before) - 1 : -1].float()
    return float(torch.nn.functional.cross_entropy(logits, ids[0, len(before) :], reduction="sum")), len(after)


# sheet and join -------------------------------------------------------------------------------------------------------


def make_sheet(folder: Path) -> None:
    questions = json.loads((folder / "questions.json").read_text(encoding="utf-8"))
    _, _, items = list_parts()
    read = pick_read(items)
    rows = shuffle_rows([(side, item) for side in (SIDES[0], SIDES[-1]) for item in read])
    with write_atomic(folder / "sheet.jsonl") as file:
        for number, (side, item) in enumerate(rows):
            row = {"id": number, "doi": item.doi, "sentence": item.sentence.answer, "Q": questions[side][item.id]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    with write_atomic(folder / "sides.json") as file:
        json.dump(
            {
                str(number): {"side": side, "sentence": item.id, "kind": item.sentence.kind.name}
                for number, (side, item) in enumerate(rows)
            },
            file,
            indent=0,
        )
    print(f"{len(rows)} questions for {len(read)} sentences: {folder / 'sheet.jsonl'}")


def pick_read(items: list[Item]) -> list[Item]:
    """NUM_READ of the held-out sentences, the best of each kind in turn: fixed before any question is written."""
    kinds = [[item for item in items if item.sentence.kind.name == name] for name in KINDS]
    return [item for place in zip_longest(*kinds) for item in place if item][:NUM_READ]


def shuffle_rows(rows: list[Any]) -> list[Any]:
    rows = list(rows)
    random.Random(0).shuffle(rows)
    return rows


def join_verdicts(path: Path) -> str:
    """A table of the sides' shares of good questions by one reader, and the difference over the same sentences."""
    from scipy.stats import binomtest

    sides = json.loads((path.parent / "sides.json").read_text(encoding="utf-8"))
    lines = path.read_text(encoding="utf-8").splitlines()
    verdicts = {str(entry["id"]): entry for entry in map(json.loads, lines)}
    if verdicts.keys() != sides.keys() or len(lines) != len(sides):
        raise InputError(
            f"{path}: expected one verdict for each of {len(sides)} questions, found {len(verdicts)} in "
            f"{len(lines)} lines"
        )
    wrong = [number for number, entry in verdicts.items() if entry["verdict"] not in ("good", "bad")]
    if wrong:
        raise InputError(f"{path}: expected the verdict good or bad, found another for {wrong}")
    table = ["| side | good | of | share | 95% interval (Wilson) | faults |", "|---|---|---|---|---|---|"]
    good: dict[str, dict[str, bool]] = {}
    for number, about in sides.items():
        good.setdefault(about["side"], {})[about["sentence"]] = verdicts[number]["verdict"] == "good"
    for side, found in good.items():
        low, high = binomtest(sum(found.values()), len(found)).proportion_ci(method="wilson")
        faults = Counter(
            verdicts[number].get("fault") or "none named"
            for number, about in sides.items()
            if about["side"] == side and verdicts[number]["verdict"] == "bad"
        ).most_common()
        table.append(
            f"| {side} | {sum(found.values())} | {len(found)} | {sum(found.values()) / len(found):.0%} | "
            f"{low:.0%} to {high:.0%} | " + ", ".join(f"{count} {fault}" for fault, count in faults) + " |"
        )
    return "\n".join([*table, "", describe_difference(good[SIDES[0]], good[SIDES[-1]])])


def describe_difference(before: dict[str, bool], after: dict[str, bool]) -> str:
    """Share after minus share before over the same sentences, its interval over papers, and McNemar's exact test."""
    from scipy.stats import binomtest

    if before.keys() != after.keys():
        raise InputError("sides.json: expected both sides to hold the same sentences, found others")
    papers = sorted({name.partition("#")[0] for name in before})
    gains, numbers = Counter(), Counter(name.partition("#")[0] for name in before)
    for name in before:
        gains[name.partition("#")[0]] += int(after[name]) - int(before[name])
    better = sum(after[name] and not before[name] for name in before)
    worse = sum(before[name] and not after[name] for name in before)
    difference = estimate_mean([gains[doi] for doi in papers], [numbers[doi] for doi in papers])
    chance = binomtest(better, better + worse).pvalue if better + worse else 1.0
    return (
        f"after minus before, same sentences: {difference}, interval over {len(papers)} papers; {better} sentences "
        f"better, {worse} worse (McNemar, exact: p = {chance:.3f})"
    )


STAGES = {"data": make_data, "train": train, "evaluate": evaluate, "sheet": make_sheet}

if __name__ == "__main__":
    main()
