"""Perplexity of a causal model against context length, on papers: does it use distant context?

After the sliding window of Press et al. (arXiv 2012.15832) and Chen et al. (arXiv 2306.15595), with which LongLoRA
(arXiv 2309.12307) judges its models, stride 256. There each context length is measured on other tokens: the longer
windows begin further into a document. Here all lengths predict the same ones. Version 1:

1. A paper's text is tokenised once, without special tokens. A window ends where the longest length first fits and
   every `stride` tokens from there; `max_windows` of them, spread evenly, are kept.
2. Its last `stride` tokens are predicted, from the window's last L tokens, for each context length L. Where the
   tokenizer opens every text with a token of its own, every window opens with it, and L counts it.
3. nll is the sum of -ln p over all predicted tokens of all papers, divided by their number; perplexity is exp(nll).
   The 95% interval is bootstrapped over papers.

Two null baselines on the same tokens: all of the window before them replaced by as many tokens from the same place of
another paper; and a model that knows no context, the token frequencies of all other papers, smoothed.

Rows of perplexity.parquet (also .csv), nll_other is that behind the other paper's text:

    doi,length,windows,targets,nll,nll_other,perplexity,perplexity_other
    10.5555/sciqag.sample.1,1024,2,256,2.626161,3.603311,13.8206,36.7196
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from sciqag_lib.engines.likelihood import Scorer
from sciqag_lib.errors import BadRecord, InputError, first_note
from sciqag_lib.inference.prompts import plain_text
from sciqag_lib.metrics.intervals import Estimate, estimate_mean
from sciqag_lib.records.papers import read_papers_json
from sciqag_lib.tables import TableWriter, write_report, write_tables

if TYPE_CHECKING:
    import pandas

VERSION = 1
COLUMNS = {
    "perplexity": {"doi": "text"}
    | dict.fromkeys(("length", "windows", "targets"), "whole")
    | dict.fromkeys(("nll", "nll_other", "perplexity", "perplexity_other"), "real"),
    "papers": {"doi": "text"}
    | dict.fromkeys(("tokens", "windows", "targets"), "whole")
    | {"nll_unigram": "real", "other": "text"},
}


@dataclass
class TokenPaper:
    doi: str
    tokens: np.ndarray  # int64, without special tokens


@dataclass
class LengthResult:
    """One context length, over all papers."""

    length: int  # tokens of a window, those that are predicted included
    perplexity: Estimate
    perplexity_other: Estimate  # behind another paper's text
    gain_other: Estimate  # nats a token: nll behind another paper's text less nll, on the same tokens
    gain_shortest: Estimate  # nats a token: nll of the shortest length less nll, on the same tokens


@dataclass
class PerplexityReport:
    """Contents of perplexity.json."""

    model: str
    stride: int
    num_papers: int
    num_short: int  # papers with fewer tokens than the longest context
    num_windows: int
    num_targets: int  # predicted tokens
    unigram: Estimate  # perplexity of the other papers' token frequencies on the same tokens; no interval: one paper
    results: list[LengthResult]
    notes: list[str] = field(default_factory=list)  # what was left out, and why
    version: int = VERSION

    def to_frame(self) -> "pandas.DataFrame":
        """Perplexity by context length beside its null baselines, and what is saved, in nats per token."""
        import pandas

        columns = {
            "perplexity": "perplexity",
            "perplexity_other": "behind another paper's text",
            "gain_other": "saved by its own",
            "gain_shortest": f"saved against {self.results[0].length:,} tokens",
        }
        frame = pandas.DataFrame([vars(result) for result in self.results]).set_index("length")
        frame.loc["token frequencies of other papers", "perplexity"] = self.unigram
        return frame.rename(columns=columns).map(str, na_action="ignore").fillna("")


# Windows -------------------------------------------------------------------------------------------------------------


def place_windows(num_tokens: int, longest: int, stride: int, max_windows: int | None = None) -> list[int]:
    """Where a paper's windows end (one past their last token): [] where it is shorter than `longest` tokens."""
    ends = range(longest, num_tokens + 1, stride)
    if max_windows is None or len(ends) <= max_windows:
        return list(ends)
    return [ends[round(place)] for place in np.linspace(0, len(ends) - 1, max_windows)]


def cut_rows(
    tokens: np.ndarray, ends: list[int], length: int, stride: int, prefix: list[int], other: np.ndarray | None = None
) -> np.ndarray:
    """The windows of `length` tokens that end at `ends`: int64 (windows, length). With `other`, all before the last
    `stride` tokens is that text, up to the same place, or to its end where that comes first."""
    room = length - stride - len(prefix)  # tokens of context
    rows = []
    for end in ends:
        source, stop = (tokens, end - stride) if other is None else (other, min(end - stride, len(other)))
        parts = np.array(prefix, np.int64), source[stop - room : stop], tokens[end - stride : end]
        rows.append(np.concatenate(parts))
    return np.stack(rows)


def score_unigram(counts: np.ndarray, targets: np.ndarray) -> float:
    """The sum of -ln p of `targets` by token frequencies; nan where nothing was counted.

    counts: (words,) of all other papers. Words seen there give up as much as is due to new ones after Witten and Bell
    (1991): p = (count + kinds / words) / (all tokens + kinds), kinds being how many different ones there are.
    """
    kinds, words = np.count_nonzero(counts), len(counts)
    if not kinds:
        return math.nan
    return float(-np.log((counts[targets] + kinds / words) / (counts.sum() + kinds)).sum())


# A whole file --------------------------------------------------------------------------------------------------------


@dataclass
class PaperScores:
    doi: str
    other: str  # the paper whose text came before the targets; "" where there is no other one
    num_windows: int
    num_targets: int
    sums: np.ndarray  # float64 (lengths, 2): of -ln p behind its own text and behind the other's, nan without other
    unigram: float


def analyse_perplexity(
    file_path: str | Path,
    output_dir: str | Path,
    scorer: Scorer,
    lengths: list[int],
    stride: int = 256,
    max_windows: int | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> PerplexityReport:
    """Measure the first `limit` usable papers of `file_path`; writes the tables of COLUMNS (.parquet and .csv) and
    perplexity.json. Papers shorter than the longest context are counted and named. InputError where a parameter is
    off, or no paper is long enough."""
    lengths = _check_lengths(lengths, stride, max_windows, len(scorer.prefix))
    notes: list[str] = []
    least = lengths[-1] - len(scorer.prefix)  # tokens of a paper that the longest window fits into
    counts, short, num_long = _count_words(file_path, scorer, limit, least, notes)
    left_out = f"tokens, fewer than the longest context of {lengths[-1]:,}; left out"
    notes += [f"{doi}: {tokens:,} {left_out}" for doi, tokens in short]
    if not num_long:
        raise InputError(
            f"{file_path}: expected a paper of {lengths[-1]:,} tokens, the longest context, found none; "
            f"shorten lengths{first_note(notes)}"
        )
    measured: list[PaperScores] = []
    with write_tables(Path(output_dir), COLUMNS) as tables:
        for doi, tokens in short:
            tables["papers"].add_row(doi, tokens, 0, 0, math.nan, "")
        papers = (paper for paper in read_tokens(file_path, scorer, limit, []) if len(paper.tokens) >= least)
        for paper, other in tqdm(pair_papers(papers), total=num_long, unit="paper", desc="predicting"):
            ends = place_windows(len(paper.tokens), least, stride, max_windows)
            scores = measure_paper(paper, other, scorer, ends, lengths, stride, counts)
            if np.isfinite(scores.sums[:, 0]).all():
                measured.append(scores)
                _add_rows(tables, scores, lengths, len(paper.tokens))
            else:
                tables["papers"].add_row(paper.doi, len(paper.tokens), 0, 0, math.nan, "")
                notes.append(f"{paper.doi}: the model gives no numbers (nan) for its text; left out")
        if not measured:
            raise InputError(f"{file_path}: the model gives no numbers (nan) for any paper; load it in float32")
    report = PerplexityReport(
        scorer.description, stride, len(measured), len(short), *_estimate_all(measured, lengths, seed), notes
    )
    write_report(Path(output_dir) / "perplexity.json", report)
    return report


def _check_lengths(lengths: list[int], stride: int, max_windows: int | None, opening: int) -> list[int]:
    if stride < 1 or not lengths or min(lengths) <= stride + opening or (max_windows is not None and max_windows < 1):
        raise InputError(
            f"expected stride of at least 1, lengths over {stride + opening} (stride, and what opens a "
            f"text) and max_windows of at least 1 or None; found {stride}, {lengths} and {max_windows}"
        )
    return sorted(set(lengths))


def read_tokens(file_path: str | Path, scorer: Scorer, limit: int | None, notes: list[str]) -> Iterator[TokenPaper]:
    """The first `limit` papers of a file that can be used; what cannot, and a second record of one doi, is noted."""
    seen: set[str] = set()
    for paper in read_papers_json(file_path, required=("doi", "txt")):
        if isinstance(paper, BadRecord):
            notes.append(str(paper))
        elif paper.key in seen:
            notes.append(f"{paper.doi}: appears twice in the file; its second record is left out")
        elif limit is None or len(seen) < limit:
            seen.add(paper.key)
            yield TokenPaper(paper.doi, scorer.tokenize(plain_text(paper.txt)))
        else:
            return


def _count_words(
    file_path: str | Path, scorer: Scorer, limit: int | None, least: int, notes: list[str]
) -> tuple[np.ndarray, list[tuple[str, int]], int]:
    """How often each word occurs in all papers, short ones included; (doi, tokens) of these; the number of others."""
    counts, short, num_long = np.zeros(scorer.num_words, np.int64), [], 0
    for paper in tqdm(read_tokens(file_path, scorer, limit, notes), unit="paper", desc="counting"):
        counts += np.bincount(paper.tokens, minlength=len(counts))
        if len(paper.tokens) >= least:
            num_long += 1
        else:
            short.append((paper.doi, len(paper.tokens)))
    return counts, short, num_long


def pair_papers(papers: Iterator[TokenPaper]) -> Iterator[tuple[TokenPaper, TokenPaper | None]]:
    """Each paper with the one before it, the first with the second; a single one with None."""
    start = list(islice(papers, 2))
    if start:
        yield start[0], start[1] if start[1:] else None
    for before, paper in pairwise(chain(start, papers)):
        yield paper, before


def measure_paper(
    paper: TokenPaper,
    other: TokenPaper | None,
    scorer: Scorer,
    ends: list[int],
    lengths: list[int],
    stride: int,
    counts: np.ndarray,
) -> PaperScores:
    """The same targets of one paper at each context length; `counts` are those of all papers, its own among them."""
    sums = np.full((len(lengths), 2), np.nan)
    for place, length in enumerate(lengths):
        for side, source in enumerate([None] if other is None else [None, other.tokens]):
            rows = cut_rows(paper.tokens, ends, length, stride, scorer.prefix, source)
            sums[place, side] = scorer.score(rows, stride).sum()
    targets = np.concatenate([paper.tokens[end - stride : end] for end in ends])
    unigram = score_unigram(counts - np.bincount(paper.tokens, minlength=len(counts)), targets)
    return PaperScores(paper.doi, other.doi if other else "", len(ends), len(targets), sums, unigram)


def _add_rows(tables: dict[str, TableWriter], scores: PaperScores, lengths: list[int], tokens: int) -> None:
    windows, targets = scores.num_windows, scores.num_targets
    unigram = round(scores.unigram / targets, 6)
    tables["papers"].add_row(scores.doi, tokens, windows, targets, unigram, scores.other)
    for length, nll in zip(lengths, scores.sums / targets):
        values = *(round(value, 6) for value in nll), *(round(math.exp(value), 4) for value in nll)
        tables["perplexity"].add_row(scores.doi, length, windows, targets, *values)


def _estimate_all(
    measured: list[PaperScores], lengths: list[int], seed: int
) -> tuple[int, int, Estimate, list[LengthResult]]:
    """Windows, targets, the unigram's perplexity, and a result for each length."""
    targets = [scores.num_targets for scores in measured]
    estimate = partial(estimate_mean, counts=targets, seed=seed)
    own, other = np.stack([scores.sums for scores in measured], axis=-1).swapaxes(0, 1)  # each (lengths, papers)
    results = [
        LengthResult(
            length,
            _exponential(estimate(nll)),
            _exponential(estimate(nll_other)),
            gain_other=estimate(nll_other - nll),
            gain_shortest=estimate(own[0] - nll),
        )
        for length, nll, nll_other in zip(lengths, own, other)
    ]
    unigram = _exponential(estimate([scores.unigram for scores in measured]))
    return sum(scores.num_windows for scores in measured), sum(targets), unigram, results


def _exponential(estimate: Estimate) -> Estimate:
    """Of a mean nll, its perplexity: the quantiles of a bootstrap go along, as exp keeps their order."""
    return Estimate(math.exp(estimate.mean), math.exp(estimate.low), math.exp(estimate.high), estimate.papers)
