"""What the rules of sciqag_lib/question_writer/ write for papers of the package allofplos: a sheet to read, and speed.

    python benchmarks/question_writing_rules.py --papers 8 --each 10 --out sheet.jsonl

A line of the sheet, as a blind reading takes it, and the rule:

    {"n": 1, "title": "...", "question": "In mice, what ...?", "answer": "...", "rule": "cause", "doi": "10.1371/..."}

The 20 papers that question_data.py holds out are left out, unless --held-out asks for them alone.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

from question_data import MIN_SENTENCES, find_sentences, load_base_kinds, split_papers

from sciqag_lib.ingest.readers import PreparedPaper, read_papers
from sciqag_lib.paths import resolve_path
from sciqag_lib.question_writer.parsing import load_parser
from sciqag_lib.question_writer.ranking import score_written
from sciqag_lib.question_writer.screening import strip_citations
from sciqag_lib.question_writer.writer import Refused, Written, write_questions
from sciqag_lib.records.papers import Paper
from sciqag_lib.text.sentences import split_sentences

CORPUS = "package://allofplos/starter_corpus"


def list_papers(held_out: bool) -> list[Paper]:
    kinds = load_base_kinds()
    papers = [item.paper for item in read_papers(resolve_path(CORPUS)) if isinstance(item, PreparedPaper)]
    training, kept_out = split_papers([paper for paper in papers if len(find_sentences(paper, kinds)) >= MIN_SENTENCES])
    return kept_out if held_out else training


def choose_best(results: list[Written | Refused], number: int) -> list[Written]:
    """The best question of each sentence, and of those the `number` best, in the paper's order."""
    best: dict[tuple[int, int], Written] = {}
    for result in results:
        if isinstance(result, Written):
            best.setdefault(result.span, result)
    ranked = sorted(best.values(), key=lambda one: (-score_written(one), one.span))
    return sorted(ranked[:number], key=lambda one: one.span)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--papers", type=int, default=4)
    parser.add_argument("--skip", type=int, default=0, help="papers left out before them")
    parser.add_argument("--each", type=int, default=10, help="questions per paper")
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON Lines; without it the sheet is printed")
    options = parser.parse_args()
    papers = list_papers(options.held_out)[options.skip : options.skip + options.papers]
    load_parser()
    lines, rules, reasons, num_sentences, seconds = [], Counter(), Counter(), 0, 0.0
    for paper in papers:
        spans = split_sentences(paper.txt)
        start = time.perf_counter()
        results = write_questions(spans, paper)
        seconds += time.perf_counter() - start
        num_sentences += len(spans)
        rules.update(one.rule for one in choose_best(results, len(spans)))
        reasons.update(result.reason for result in results if isinstance(result, Refused))
        for one in choose_best(results, options.each):
            answer = strip_citations(paper.txt[one.span[0] : one.span[1]])
            line = {"n": len(lines) + 1, "title": paper.title, "question": one.question, "answer": answer}
            lines.append({**line, "rule": one.rule, "doi": paper.doi})
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    print(f"{len(papers)} papers, {num_sentences:,} sentences, {num_sentences / seconds:.0f} per second")
    print("questions, the best of a sentence:", dict(rules.most_common()))
    print("refused:", dict(reasons.most_common()))


if __name__ == "__main__":
    main()
