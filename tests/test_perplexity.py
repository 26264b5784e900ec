"""Perplexity against context length: every number against a plain loop over a tiny random Llama, or a hand count."""

import json
import math
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
import transformers

from sciqag_lib.engines import likelihood
from sciqag_lib.engines.likelihood import Scorer, fit_positions, open_scorer
from sciqag_lib.errors import InputError
from sciqag_lib.long_context.figures import draw_perplexity
from sciqag_lib.long_context.perplexity import (
    TokenPaper,
    analyse_perplexity,
    cut_rows,
    pair_papers,
    place_windows,
    score_unigram,
)

WORDS = 50
POSITIONS = 64


class NumberTokenizer:
    """A text is its token ids in decimal; with `bos` every text opens with token 1, as with Llama."""

    def __init__(self, bos: bool = False) -> None:
        self.bos_token_id, self._bos = 1, bos

    def __call__(self, text: str, add_special_tokens: bool = True, **_: Any) -> dict[str, list[int]]:
        ids = [int(word) for word in text.split() if word.isdecimal()]
        return {"input_ids": [1] * (self._bos and add_special_tokens) + ids}


def make_model(**changes: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=WORDS, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=POSITIONS, initializer_range=0.5, **changes,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config)


@pytest.fixture(scope="module")
def model() -> Any:
    return make_model()


def make_scorer(model: Any, bos: bool = False) -> Scorer:
    return Scorer(model, NumberTokenizer(bos), "tiny")


def make_tokens(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(2, WORDS, count)


def loop_nll(model: Any, context: list[int], token: int) -> float:
    """-ln p of one token after a context, the plainest way: nothing shifted, nothing batched, nothing left out."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([context])).logits[0, -1].double()
    return float(-torch.log_softmax(logits, -1)[token])


# The scorer ----------------------------------------------------------------------------------------------------------


def test_each_target_is_scored_after_all_that_stands_before_it(model: Any) -> None:
    rows = np.stack([make_tokens(20, 1), make_tokens(20, 2)])
    found = make_scorer(model).score(rows, 19)
    assert found.dtype == np.float64 and found.shape == (2, 19)
    for row, values in zip(rows.tolist(), found):
        expected = [loop_nll(model, row[:place], row[place]) for place in range(1, 20)]
        assert values == pytest.approx(expected, abs=1e-4)
    assert np.ptp(found) > 1  # a model that is sure of something, so that a shift would show


@pytest.mark.parametrize(("limit", "value", "expected"), [
    ("BATCH_TOKENS", 33, [2, 2, 1]), ("BATCH_POSITIONS", 24, [3, 2]), ("BATCH_POSITIONS", 1, [1] * 5)])  # fmt: skip
def test_batches_and_chunks_change_nothing(
    model: Any, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, expected: list[int]
) -> None:
    rows, scorer = np.stack([make_tokens(16, seed) for seed in range(5)]), make_scorer(model)
    whole = scorer.score(rows, 7)
    sizes = []
    forward = model.forward
    monkeypatch.setattr(likelihood, limit, value)
    monkeypatch.setattr(likelihood, "SUMMED_POSITIONS", 3)
    monkeypatch.setattr(model, "forward", lambda **given: sizes.append(given["input_ids"].shape[0]) or forward(**given))
    assert make_scorer(model).score(rows, 7) == pytest.approx(whole, abs=1e-5)
    assert sizes == expected


def test_logits_are_asked_for_at_the_targets_alone(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, kept, forward = make_scorer(model), [], model.forward
    monkeypatch.setattr(model, "forward", lambda **given: kept.append(given["logits_to_keep"]) or forward(**given))
    scorer.score(make_tokens(30, 1)[None], 4)
    assert kept == [5]


def test_a_model_that_cannot_keep_few_logits_gives_the_same(model: Any) -> None:
    scorer, rows = make_scorer(model), make_tokens(30, 1)[None]
    expected = scorer.score(rows, 4)
    scorer._keeps = False
    assert scorer.score(rows, 4) == pytest.approx(expected, abs=1e-5)


def test_a_batch_that_fills_the_memory_is_halved(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, forward = make_scorer(model), model.forward
    rows = np.stack([make_tokens(12, seed) for seed in range(4)])
    expected = scorer.score(rows, 5)

    def small(**given: Any) -> Any:
        if len(given["input_ids"]) > 1:
            raise torch.OutOfMemoryError("full")
        return forward(**given)

    monkeypatch.setattr(model, "forward", small)
    assert scorer.score(rows, 5) == pytest.approx(expected, abs=1e-5)
    monkeypatch.setattr(model, "forward", lambda **given: (_ for _ in ()).throw(torch.OutOfMemoryError("full")))
    with pytest.raises(torch.OutOfMemoryError):
        scorer.score(rows, 5)


@pytest.mark.parametrize("num_targets", [0, 10])
def test_the_first_token_is_no_target(model: Any, num_targets: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 9 in rows of 10 tokens"):
        make_scorer(model).score(make_tokens(10, 1)[None], num_targets)


def test_what_opens_a_text_is_found(model: Any) -> None:
    assert make_scorer(model).prefix == []
    scorer = make_scorer(model, bos=True)
    assert scorer.prefix == [1] and scorer.tokenize("7 8").tolist() == [7, 8]


# Positions -----------------------------------------------------------------------------------------------------------


def test_a_length_over_the_positions_is_refused_by_their_number(model: Any) -> None:
    assert fit_positions(model, POSITIONS) == "64 positions"
    assert fit_positions(model, POSITIONS, "linear") == "64 positions, rope_scaling linear not needed"
    with pytest.raises(InputError, match="at most 64 tokens, the model's positions, found 65.*rope_scaling"):
        fit_positions(model, POSITIONS + 1)
    with pytest.raises(InputError, match="expected none, linear, dynamic or yarn, found 'ntk'"):
        fit_positions(model, 10, "ntk")


@pytest.mark.parametrize("scaling", ["linear", "dynamic", "yarn"])
def test_stretched_positions_are_those_of_a_model_made_so(scaling: str) -> None:
    stretched = make_model()
    original = make_scorer(stretched).score(make_tokens(60, 1)[None], 40)
    assert "64 stretched to 128" in fit_positions(stretched, 100, scaling)
    config = stretched.config.to_dict()
    expected_model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config))
    expected_model.load_state_dict(stretched.state_dict())
    rows = make_tokens(100, 1)[None]
    scorer = make_scorer(stretched)
    assert scorer.score(rows, 60) == pytest.approx(make_scorer(expected_model).score(rows, 60), abs=1e-4)
    changed = np.abs(scorer.score(rows[:, :60], 40) - original).max()
    assert changed < 1e-4 if scaling == "dynamic" else changed > 1e-2


def test_dynamic_scaling_forgets_the_longest_row_so_far() -> None:
    first, again = make_model(), make_model()
    for model in (first, again):
        fit_positions(model, 120, "dynamic")
    rows = make_tokens(120, 1)[None]
    scorer = make_scorer(again)
    scorer.score(rows, 20)
    assert scorer.score(rows[:, :90], 20) == pytest.approx(make_scorer(first).score(rows[:, :90], 20), abs=1e-6)


def test_a_model_is_opened_from_a_folder_in_the_precision_asked_for(tmp_path: Path, model: Any) -> None:
    model.save_pretrained(tmp_path / "tiny")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=make_word_tokenizer(), bos_token="w1")
    tokenizer.save_pretrained(tmp_path / "tiny")
    scorer = open_scorer(str(tmp_path / "tiny"), 60, "bfloat16", flash_attn=False)
    assert scorer.description.startswith("tiny sha256:") and scorer.description.endswith("in bfloat16, 64 positions")
    assert scorer.tokenize("w3 w4").tolist() == [3, 4]
    rows = make_tokens(20, 1)[None]
    assert scorer.score(rows, 10) == pytest.approx(make_scorer(model).score(rows, 10), abs=0.5)
    with pytest.raises(InputError, match="there is no ./nothing"):
        open_scorer("./nothing", 60)
    with pytest.raises(InputError, match="found 'int8'"):
        open_scorer(str(tmp_path / "tiny"), 60, "int8")


def make_word_tokenizer() -> Any:
    import tokenizers

    words = {f"w{number}": number for number in range(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    return tokenizer


# Windows -------------------------------------------------------------------------------------------------------------


def test_windows_slide_by_the_stride() -> None:
    assert place_windows(20, 10, 4) == [10, 14, 18]
    assert place_windows(18, 10, 4) == [10, 14, 18]
    assert place_windows(9, 10, 4) == []
    assert place_windows(10, 10, 4, max_windows=3) == [10]
    assert place_windows(50, 10, 4, max_windows=3) == [10, 30, 50]
    assert place_windows(50, 10, 4, max_windows=1) == [10]


def test_every_length_ends_with_the_same_targets() -> None:
    tokens, other = np.arange(100, 130), np.arange(500, 520)
    assert cut_rows(tokens, [10, 30], 5, 3, []).tolist() == [[105, 106, 107, 108, 109], [125, 126, 127, 128, 129]]
    assert cut_rows(tokens, [10], 7, 3, [1]).tolist() == [[1, 104, 105, 106, 107, 108, 109]]
    # The same place of the other text, and its end where it is shorter than that.
    assert cut_rows(tokens, [10], 6, 3, [1], other).tolist() == [[1, 505, 506, 107, 108, 109]]
    assert cut_rows(tokens, [30], 6, 3, [1], other).tolist() == [[1, 518, 519, 127, 128, 129]]


def test_token_frequencies_give_way_to_unseen_words() -> None:
    counts = np.array([3, 1, 0, 0])  # 4 tokens, 2 kinds, 4 words: (count + 0.5) / 6
    expected = -math.log(3.5 / 6) - math.log(0.5 / 6)
    assert score_unigram(counts, np.array([0, 2])) == pytest.approx(expected)
    assert sum(math.exp(-score_unigram(counts, np.array([word]))) for word in range(4)) == pytest.approx(1)
    assert math.isnan(score_unigram(np.zeros(4, int), np.array([0])))


def test_every_paper_has_another_beside_it() -> None:
    papers = [TokenPaper(name, np.array([1])) for name in "abc"]
    for count, expected in ((3, "ab ba cb"), (2, "ab ba"), (1, "a-"), (0, "")):
        pairs = pair_papers(iter(papers[:count]))
        assert " ".join(paper.doi + (other.doi if other else "-") for paper, other in pairs) == expected


# A whole file --------------------------------------------------------------------------------------------------------


def write_papers(path: Path, lengths: list[int], extra: tuple[Any, ...] = ()) -> list[np.ndarray]:
    texts = [make_tokens(length, seed) for seed, length in enumerate(lengths)]
    records = [{"doi": f"10.1/{number}", "txt": " ".join(map(str, tokens))} for number, tokens in enumerate(texts)]
    path.write_text(json.dumps([*records, *extra]))
    return texts


@pytest.mark.parametrize("bos", [False, True])
def test_the_numbers_of_a_file_are_those_of_a_plain_loop(tmp_path: Path, model: Any, bos: bool) -> None:
    unusable = ({"doi": "10.1/bad"}, {"doi": "10.1/0", "txt": "5"})
    texts = write_papers(tmp_path / "papers.json", [47, 40, 20, 33], unusable)
    report = analyse_perplexity(tmp_path / "papers.json", tmp_path, make_scorer(model, bos), [30, 12], stride=8)
    assert (report.num_papers, report.num_short, report.num_windows, report.num_targets) == (3, 1, 6, 48)
    assert [result.length for result in report.results] == [12, 30]
    opening = [1] if bos else []
    longest = 30 - len(opening)
    totals = {(length, side): 0.0 for length in (12, 30) for side in "oa"}
    rows = pd.read_parquet(tmp_path / "perplexity.parquet").set_index(["doi", "length"])
    for number, beside in ((0, 1), (1, 0), (3, 1)):
        own, other = texts[number].tolist(), texts[beside].tolist()
        ends = [end for end in range(longest, len(own) + 1, 8)]
        for length in (12, 30):
            values = {"o": 0.0, "a": 0.0}
            for end in ends:
                room, stop = length - 8 - len(opening), min(end - 8, len(other))
                for side, context in (("o", own[end - 8 - room : end - 8]), ("a", other[stop - room : stop])):
                    values[side] += sum(loop_nll(model, opening + context + own[end - 8: end - 8 + place],
                                                 own[end - 8 + place]) for place in range(8))  # fmt: skip
            for side, column in (("o", "nll"), ("a", "nll_other")):
                totals[length, side] += values[side]
                row = rows.loc[(f"10.1/{number}", length)]
                assert row[column] == pytest.approx(values[side] / (8 * len(ends)), abs=1e-4)
                assert row.windows == len(ends) and row.targets == 8 * len(ends)
                assert row[column.replace("nll", "perplexity")] == pytest.approx(math.exp(row[column]), rel=1e-4)
    for result in report.results:
        own, other = totals[result.length, "o"] / 48, totals[result.length, "a"] / 48
        assert result.perplexity.mean == pytest.approx(math.exp(own), rel=1e-4)
        assert result.perplexity_other.mean == pytest.approx(math.exp(other), rel=1e-4)
        assert result.gain_other.mean == pytest.approx(other - own, abs=1e-4)
        assert result.gain_shortest.mean == pytest.approx(totals[12, "o"] / 48 - own, abs=1e-4)
        assert result.perplexity.low <= result.perplexity.mean <= result.perplexity.high
    assert any("field 'txt'" in note for note in report.notes) and any("twice" in note for note in report.notes)
    assert "10.1/2: 20 tokens, fewer than the longest context of 30; left out" in report.notes


def test_token_frequencies_are_those_of_all_other_papers(tmp_path: Path, model: Any) -> None:
    texts = write_papers(tmp_path / "papers.json", [40, 40, 19])  # the last is too short
    report = analyse_perplexity(tmp_path / "papers.json", tmp_path, make_scorer(model), [20], stride=10)
    sums = 0.0
    for own, others in ((texts[0], texts[1:]), (texts[1], [texts[0], texts[2]])):
        counts = np.bincount(np.concatenate(others), minlength=WORDS)
        kinds, total = np.count_nonzero(counts), counts.sum()
        sums -= sum(math.log((counts[token] + kinds / WORDS) / (total + kinds)) for token in own[10:])
    assert report.unigram.mean == pytest.approx(math.exp(sums / 60), rel=1e-9)
    papers = pd.read_parquet(tmp_path / "papers.parquet").set_index("doi")
    assert papers.loc["10.1/2", ["tokens", "windows", "targets"]].tolist() == [19, 0, 0]
    assert papers.loc["10.1/0", "other"] == "10.1/1"


def test_a_model_that_knows_nothing_has_the_perplexity_of_its_vocabulary(tmp_path: Path) -> None:
    model = make_model()
    with torch.no_grad():
        model.lm_head.weight.zero_()
    write_papers(tmp_path / "papers.json", [40, 40])
    report = analyse_perplexity(tmp_path / "papers.json", tmp_path, make_scorer(model), [12, 30], stride=8)
    for result in report.results:
        assert result.perplexity.mean == pytest.approx(WORDS) and result.perplexity_other.mean == pytest.approx(WORDS)
        assert result.gain_other.mean == pytest.approx(0, abs=1e-12)


def test_limits(tmp_path: Path, model: Any) -> None:
    write_papers(tmp_path / "papers.json", [60, 60, 60])
    scorer = make_scorer(model)
    report = analyse_perplexity(tmp_path / "papers.json", tmp_path, scorer, [20], 8, max_windows=2, limit=2)
    assert (report.num_papers, report.num_windows) == (2, 4)


def test_a_single_paper_has_no_baseline_of_others(tmp_path: Path, model: Any) -> None:
    write_papers(tmp_path / "papers.json", [40])
    report = analyse_perplexity(tmp_path / "papers.json", tmp_path, make_scorer(model), [12, 30], stride=8)
    assert math.isnan(report.results[0].perplexity_other.mean) and math.isnan(report.unigram.mean)
    stored = json.loads((tmp_path / "perplexity.json").read_text())
    assert stored["results"][0]["perplexity_other"]["mean"] is None and stored["version"] == 1
    frame = report.to_frame()
    assert frame.loc[12, "behind another paper's text"] == "no value"
    assert frame.loc[30, "perplexity"] == str(report.results[1].perplexity)
    assert frame.iloc[-1].tolist() == ["no value", "", "", ""]  # token frequencies of other papers
    plt.close(draw_perplexity(report))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths": [8, 30]}, "lengths over 8"),
        ({"lengths": []}, "lengths over 8"),
        ({"stride": 0}, "stride of at least 1"),
        ({"max_windows": 0}, "max_windows of at least 1"),
        ({"lengths": [41]}, "a paper of 41 tokens.*10.1/0: 40 tokens"),
    ],
)
def test_parameters_that_are_off(tmp_path: Path, model: Any, changes: dict[str, Any], message: str) -> None:
    write_papers(tmp_path / "papers.json", [40, 40])
    given = {"lengths": [30], "stride": 8, **changes}
    with pytest.raises(InputError, match=message):
        analyse_perplexity(tmp_path / "papers.json", tmp_path, make_scorer(model), **given)
    assert not (tmp_path / "perplexity.parquet").exists()


def test_a_paper_that_the_model_fails_on_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    model = make_model()
    texts = write_papers(tmp_path / "papers.json", [40, 40, 40])
    broken = int(next(token for token in texts[0][:30] if token not in {*texts[1], *texts[2]}))
    with torch.no_grad():
        model.model.embed_tokens.weight[broken] = float("nan")
    report = analyse_perplexity(tmp_path / "papers.json", tmp_path, make_scorer(model), [30], stride=8)
    assert report.num_papers == 2 and "10.1/0: the model gives no numbers (nan) for its text; left out" in report.notes
    assert np.isfinite(report.results[0].perplexity.mean)
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="no numbers .nan. for any paper"):
        analyse_perplexity(tmp_path / "papers.json", tmp_path / "again", make_scorer(model), [30], stride=8)
    assert not (tmp_path / "again" / "perplexity.json").exists()


# The figure ----------------------------------------------------------------------------------------------------------


def test_the_figure_shows_each_length_and_baseline(tmp_path: Path, model: Any) -> None:
    write_papers(tmp_path / "papers.json", [60, 60, 60])
    report = analyse_perplexity(tmp_path / "papers.json", tmp_path, make_scorer(model), [12, 24, 48], 8)
    figure = draw_perplexity(report)
    left, right = figure.axes
    own, other = (container.lines[0].get_ydata() for container in left.containers)
    assert own == pytest.approx([result.perplexity.mean for result in report.results])
    assert other == pytest.approx([result.perplexity_other.mean for result in report.results])
    gain, shortest = (container.lines[0].get_ydata() for container in right.containers)
    assert gain == pytest.approx([result.gain_other.mean for result in report.results])
    assert shortest[0] == 0
    assert [text.get_text() for text in left.get_xticklabels()] == ["12", "24", "48"]
    plt.close(figure)
