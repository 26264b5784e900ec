"""Similarity of a paper's questions by embedding, beside its null baseline, and near-duplicates of a whole file."""

import csv
import json
import math
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from sciqag_lib.analysis import similarity
from sciqag_lib.analysis.similarity import (
    EDGES,
    SimilarityTables,
    claim_folder,
    count_scores,
    embed_similarity,
    measure_null,
    read_scores,
)
from sciqag_lib.checks import duplicates
from sciqag_lib.checks.duplicates import QuestionStore, find_near_duplicates, write_near_duplicates
from sciqag_lib.engines.embeddings import normalize_rows
from sciqag_lib.errors import InputError
from sciqag_lib.metrics.intervals import Estimate
from sciqag_lib.records.papers import Paper, QAPair
from tests.fake_encoder import make_embedder, write_qas

QAS = Path(__file__).parents[1] / "data" / "qas.json"
# Unit vectors that float16 holds exactly. Cosines: ab .5, ac .5, bc 0, ad 0, bd .5, cd -.5.
FOUR = {"a?": [1, 0, 0, 0], "b?": [0.5, 0.5, 0.5, 0.5], "c?": [0.5, 0.5, -0.5, -0.5], "d?": [0, 0, 0, 1]}


def rows(folder, name: str) -> list[dict]:
    table = pyarrow.parquet.read_table(folder / f"{name}.parquet").to_pylist()
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == len(table) + 1
    return table


def score(tmp_path, *papers, vectors=None, **more):
    return embed_similarity(write_qas(tmp_path / "qas.json", *papers), tmp_path / "out", make_embedder(vectors), **more)


# Scores by hand ------------------------------------------------------------------------------------------------------


def test_scores_and_baseline_of_two_papers_by_hand(tmp_path):
    """Paper 1 asks a, b, c: .5, .5, 0; paper 2 asks d, b: .5. Mean of the 4 pairs: 1.5 / 4 = .375.
    Between them: ad 0, ab .5, bd .5, bb 1, cd -.5, cb 0: 1.5 / 6 = .25."""
    report = score(
        tmp_path, ("10.1/a", ["a?", "b?", "c?"]), ("10.1/b", ["d?", "b?"]), vectors=FOUR, near_duplicate=0.99
    )
    assert rows(tmp_path / "out", "similarity") == [
        {"doi": "10.1/a", "i": 1, "j": 0, "score": 0.5},
        {"doi": "10.1/a", "i": 2, "j": 0, "score": 0.5},
        {"doi": "10.1/a", "i": 2, "j": 1, "score": 0.0},
        {"doi": "10.1/b", "i": 1, "j": 0, "score": 0.5},
    ]
    assert rows(tmp_path / "out", "papers") == [
        {"doi": "10.1/a", "questions": 3, "pairs": 3, "missing": 0, "mean": 0.3333, "max": 0.5},
        {"doi": "10.1/b", "questions": 2, "pairs": 1, "missing": 0, "mean": 0.5, "max": 0.5},
    ]
    assert (report.num_papers, report.num_pairs, report.num_missing) == (2, 4, 0)
    assert report.within.mean == pytest.approx(0.375) and report.null.mean == pytest.approx(0.25)
    assert math.isnan(report.null.low)  # two papers are one pair of papers: nothing to resample
    assert [
        (pair["doi"], pair["i"], pair["j"], pair["score"], pair["question_i"], pair["question_j"])
        for pair in report.most_similar
    ] == [
        ("10.1/a", 1, 0, 0.5, "b?", "a?"),
        ("10.1/a", 2, 0, 0.5, "c?", "a?"),
        ("10.1/b", 1, 0, 0.5, "b?", "d?"),
        ("10.1/a", 2, 1, 0.0, "c?", "b?"),
    ]
    assert sum(report.within_counts) == 4 and sum(report.null_counts) == 6
    # Bins are 0.025 wide from -1 on: -.5 is in bin 20, 0 in 40, .5 in 60, and 1 closes the last, 79.
    assert {bin: count for bin, count in enumerate(report.null_counts) if count} == {20: 1, 40: 2, 60: 2, 79: 1}
    assert report.num_near_duplicates == 1  # b? stands in both
    assert (report.share_low, report.share_high) == (None, None)  # the published shares are of judged scores only
    stored = json.loads((tmp_path / "out" / "similarity.json").read_text())
    assert stored["mode"] == "embedding" and stored["num_pairs"] == 4 and stored["near_duplicate"] == 0.99


def test_the_baseline_is_that_of_every_pair_of_questions_of_different_papers():
    chance = np.random.default_rng(0)
    groups = [
        (f"10.1/{number}", normalize_rows(chance.standard_normal((size, 6)).astype(np.float32)))
        for number, size in enumerate([2, 5, 3, 7, 2])
    ]
    values = [float(x @ y) for (_, one), (_, two) in combinations(groups, 2) for x in one for y in two]
    results = []
    for order in (groups, groups[::-1]):
        results.append(measure_null(dict(order), 3))
    (null, counts), (turned, turned_counts) = results
    assert null == turned and np.array_equal(counts, turned_counts)  # the order of the file does not matter
    assert null.mean == pytest.approx(np.mean(values), abs=1e-6) and null.papers == 5
    assert null.low < null.mean < null.high
    assert counts.sum() == len(values) == 135 and np.array_equal(counts, np.histogram(values, EDGES["embedding"])[0])


def test_the_baseline_keeps_so_many_papers_whatever_their_order(monkeypatch):
    monkeypatch.setattr(similarity, "MAX_NULL_PAPERS", 4)
    chance = np.random.default_rng(1)
    groups = [
        (f"10.1/{number}", normalize_rows(chance.standard_normal((2, 6)).astype(np.float32))) for number in range(12)
    ]
    found = []
    for order, seed in ((groups, 0), (groups[::-1], 0), (groups, 1)):
        null, _ = measure_null(dict(order), seed)
        assert null.papers == 4
        found.append(null.mean)
    assert found[0] == found[1] != found[2]


def test_papers_in_another_order_give_the_same_report(tmp_path):
    papers = [(f"10.1/{number}", [f"{number} {part}?" for part in range(2 + number % 3)]) for number in range(6)]
    reports = []
    for name, order in (("a", papers), ("b", papers[::-1])):
        (tmp_path / name).mkdir()
        reports.append(score(tmp_path / name, *order))
    assert reports[0].within == reports[1].within and reports[0].null == reports[1].null
    assert reports[0].within_counts == reports[1].within_counts and reports[0].most_similar == reports[1].most_similar


# The most similar and histograms -------------------------------------------------------------------------------------


def collect(scores_of: dict[str, np.ndarray], mode: str = "embedding") -> SimilarityTables:
    class Rows(list):
        def add(self, rows) -> None:
            self.extend(rows)

        def add_row(self, *values) -> None:
            self.append(values)

    tables = SimilarityTables(mode, {"similarity": Rows(), "papers": Rows()})
    for doi, scores in scores_of.items():
        tables.add(doi, [f"{doi} {number}" for number in range(len(scores))], scores)
    return tables


def test_the_most_similar_pairs_are_those_of_a_full_sort():
    chance = np.random.default_rng(2)
    scores = {f"p{number}": np.round(chance.uniform(-1, 1, (9, 9)), 1) for number in range(20)}  # full of ties
    everything = [
        (-matrix[i, j], place, doi, i, j)
        for place, (doi, matrix) in enumerate(scores.items())
        for i in range(9)
        for j in range(i)
    ]
    report = collect(scores).report("m", Estimate(0, 0, 0, 0), np.zeros(80, int), 0)
    assert [(-pair["score"], pair["doi"], pair["i"], pair["j"]) for pair in report.most_similar] == [
        (value, doi, i, j) for value, _, doi, i, j in sorted(everything)[:20]
    ]
    assert sum(report.within_counts) == report.num_pairs == 20 * 36


def test_missing_scores_are_counted_and_never_averaged_ranked_or_drawn():
    matrix = np.full((3, 3), np.nan)
    matrix[1, 0], matrix[2, 0] = 0.2, 0.9
    tables = collect({"p": matrix, "q": np.full((2, 2), np.nan)}, "llm")
    report = tables.report("m", Estimate(0, 0, 0, 0), np.zeros(40, int), 0)
    assert (report.num_pairs, report.num_missing, sum(report.within_counts)) == (4, 2, 2)
    assert report.within.mean == pytest.approx(0.55) and report.within.papers == 1
    assert [pair["score"] for pair in report.most_similar] == [0.9, 0.2]
    assert (report.share_low, report.share_high) == (0.5, 0.5)  # of the two that are known
    papers = tables._tables["papers"]
    assert [missing for _, _, _, missing, _, _ in papers] == [1, 1] and math.isnan(papers[1][4])
    assert math.isnan(tables._tables["similarity"][2]["score"])


def test_the_published_shares_leave_out_their_ends():
    """0.29 is under 0.3 and 0.30 is not; 0.71 is over 0.7 and 0.70 is not."""
    matrix = np.full((4, 4), np.nan)
    matrix[np.tril_indices(4, -1)] = [score / 100 for score in (29, 30, 50, 70, 71, 100)]
    report = collect({"p": matrix}, "llm").report("m", Estimate(0, 0, 0, 0), np.zeros(40, int), 0)
    assert (report.share_low, report.share_high) == (pytest.approx(1 / 6), pytest.approx(2 / 6))


def test_what_rounding_put_outside_the_scale_is_counted_at_its_end():
    counts = count_scores(np.array([1.0000001, -1.0000001, 1.0]), "embedding")
    assert counts[-1] == 2 and counts[0] == 1 and counts.sum() == 3


# Folders and modes ---------------------------------------------------------------------------------------------------


def test_the_two_modes_never_share_a_folder(tmp_path):
    score(tmp_path, ("10.1/a", ["a?", "b?"]), vectors=FOUR)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(InputError, match="never mixed"):
        claim_folder(tmp_path / "out", "llm")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    claim_folder(tmp_path / "judged", "llm")
    (tmp_path / "judged" / "similarity.json").write_text('{"mode": "llm"}')
    with pytest.raises(InputError, match="choose another output_dir"):
        embed_similarity(tmp_path / "qas.json", tmp_path / "judged", make_embedder(FOUR))
    assert [path.name for path in (tmp_path / "judged").iterdir()] == ["similarity.json"]


def test_a_second_run_writes_the_same_files_from_the_cache(tmp_path):
    path = write_qas(
        tmp_path / "qas.json", *((f"10.1/{number}", [f"{number} {part}?" for part in range(4)]) for number in range(5))
    )
    found = []
    for _ in range(2):
        embedder = make_embedder(cache_dir=tmp_path / "cache")
        embed_similarity(path, tmp_path / "out", embedder)
        found.append({file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()})
    assert embedder.num_encoded == 0 and embedder.num_cached == 20 and found[0] == found[1]
    assert set(found[0]) == {
        "similarity.json",
        *(f"{name}.{end}" for end in ("csv", "parquet") for name in ("similarity", "papers", "near_duplicates")),
    }


def test_a_run_that_dies_leaves_the_results_of_before_and_its_vectors(tmp_path, monkeypatch):
    monkeypatch.setattr("sciqag_lib.engines.embeddings.READ_AHEAD", 2)
    path = write_qas(tmp_path / "qas.json", ("10.1/a", ["a?", "b?"]), ("10.1/b", ["c?", "d?"]))
    embed_similarity(path, tmp_path / "out", make_embedder(FOUR))
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    dying = make_embedder({"a?": FOUR["c?"], "b?": FOUR["d?"], "c?": None}, tmp_path / "cache")
    with pytest.raises(Exception):  # noqa: B017  (whatever the encoder raises)
        embed_similarity(path, tmp_path / "out", dying)
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    again = make_embedder(FOUR, tmp_path / "cache")
    embed_similarity(path, tmp_path / "out", again)
    assert (again.num_cached, again.num_encoded) == (2, 2)


@pytest.mark.parametrize("threshold", [1.5, -2, math.nan])
def test_a_threshold_that_is_no_cosine_is_refused_before_anything_is_encoded(tmp_path, threshold):
    path, embedder = write_qas(tmp_path / "qas.json", ("10.1/a", ["a?", "b?"])), make_embedder(FOUR)
    with pytest.raises(InputError, match="near_duplicate"):
        embed_similarity(path, tmp_path / "out", embedder, near_duplicate=threshold)
    assert embedder.model.calls == []


def test_a_papers_scores_are_read_as_a_matrix(tmp_path):
    score(tmp_path, ("10.1/a", ["a?", "b?", "c?"]), ("10.1/b", ["d?", "b?"]), vectors=FOUR)
    doi, scores = read_scores(tmp_path / "out")
    nan = math.nan
    assert doi == "10.1/a" and np.array_equal(scores, [[nan, nan, nan], [0.5, nan, nan], [0.5, 0, nan]], equal_nan=True)
    doi, scores = read_scores(tmp_path / "out", "10.1/b")
    assert doi == "10.1/b" and np.array_equal(scores, [[nan, nan], [0.5, nan]], equal_nan=True)
    with pytest.raises(InputError, match="10.1/none"):
        read_scores(tmp_path / "out", "10.1/none")


# Bad input -----------------------------------------------------------------------------------------------------------


def test_papers_that_cannot_be_scored_are_named_and_the_rest_goes_on(tmp_path):
    vectors = {**FOUR, "nan?": [math.nan] * 4}
    report = score(
        tmp_path,
        ("10.1/none", []),
        ("10.1/one", ["d?"]),
        ("10.1/nan", ["nan?", "a?"]),
        ("10.1/good", ["a?", "b?"]),
        ("10.1/GOOD", ["c?", "d?"]),
        vectors=vectors,
    )
    assert [row["doi"] for row in rows(tmp_path / "out", "papers")] == ["10.1/good"] and report.num_pairs == 1
    notes = "\n".join(report.notes)
    assert len(report.notes) == 4 and "10.1/none: no question" in notes and "10.1/one: 1 question" in notes
    assert "10.1/nan" in notes and "nan" in notes and "the same doi as record 4" in notes


def test_a_question_alone_is_still_compared_with_the_rest_of_the_file(tmp_path):
    report = score(tmp_path, ("10.1/one", ["b?"]), ("10.1/good", ["a?", "b?"]), vectors=FOUR)
    [pair] = rows(tmp_path / "out", "near_duplicates")
    assert (pair["doi_a"], pair["question_a"], pair["doi_b"], pair["question_b"]) == ("10.1/one", 0, "10.1/good", 1)
    assert report.num_near_duplicates == 1 and math.isnan(report.null.mean)  # one paper has no baseline


def test_a_benchmark_file_without_papers_has_near_duplicates_only(tmp_path):
    path = tmp_path / "qas.json"
    path.write_text(json.dumps([{"Q": question, "A": "Since."} for question in ("a?", "b?", "a?")]))
    report = embed_similarity(path, tmp_path / "out", make_embedder(FOUR))
    [pair] = rows(tmp_path / "out", "near_duplicates")
    assert (pair["doi_a"], pair["doi_b"], pair["text_a"]) == ("record 1", "record 3", "a?")
    assert report.num_papers == report.num_pairs == 0 and report.notes == [] and math.isnan(report.within.mean)
    assert rows(tmp_path / "out", "similarity") == []
    assert report.to_frame()["score"].tolist() == ["no value", "no value"]
    with pytest.raises(InputError, match="holds no scores"):
        read_scores(tmp_path / "out")


def test_a_file_without_any_question_is_an_input_error_that_says_why(tmp_path):
    with pytest.raises(InputError, match="no question that can be scored.*10.1/a: no question"):
        score(tmp_path, ("10.1/a", []))
    assert not (tmp_path / "out" / "similarity.json").exists() and list((tmp_path / "out").glob("*.csv")) == []


def test_the_limit_counts_papers_that_are_used(tmp_path):
    papers = [("10.1/none", []), ("10.1/a", ["a?", "b?"]), ("10.1/b", ["c?", "d?"]), ("10.1/one", ["a?"])]
    report = score(tmp_path, *papers, vectors=FOUR, limit=1)
    assert [row["doi"] for row in rows(tmp_path / "out", "papers")] == ["10.1/a"]
    assert len(report.notes) == 1  # nothing is said of what comes after


def test_questions_in_other_scripts_are_kept_as_they_are(tmp_path):
    questions = ["锂离子电池的容量是多少？", "Pourquoi l'eau gèle-t-elle ?", '"quoted", ;\n\t<b>']
    report = score(tmp_path, ("10.1/ä", questions), near_duplicate=-1)
    assert {pair["question_i"] for pair in report.most_similar} == set(questions[1:])
    assert {row["text_a"] for row in rows(tmp_path / "out", "near_duplicates")} == set(questions[:2])


def test_the_frame_has_the_mean_beside_its_baseline(tmp_path):
    report = score(tmp_path, ("10.1/a", ["a?", "b?", "c?"]), ("10.1/b", ["d?", "b?"]), vectors=FOUR)
    within, null = report.to_frame()["score"]  # shares under 0.3 and over 0.7 are those of judged scores
    assert within.startswith("0.375 (") and null == "0.250 (no interval: 2 papers)"
    best = report.most_similar[0]
    assert (best["score"], best["doi"], best["question_i"], best["question_j"]) == (0.5, "10.1/a", "b?", "a?")


# Near-duplicates -----------------------------------------------------------------------------------------------------


def find_all(vectors, threshold: float) -> list[tuple[int, int]]:
    found = [
        (int(a), int(b))
        for rows_a, rows_b, _ in find_near_duplicates(vectors, threshold)
        for a, b in zip(rows_a, rows_b)
    ]
    assert len(found) == len(set(found))  # no pair twice
    return sorted(found)


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 9, 63, 64, 65, 200])
@pytest.mark.parametrize("block", [(1, 1), (3, 8), (8, 3), (8, 8), (64, 64), (2048, 8192)])
def test_pairs_are_those_of_brute_force_for_every_size_and_block(monkeypatch, size, block):
    monkeypatch.setattr(duplicates, "BLOCK_ROWS", block[0])
    monkeypatch.setattr(duplicates, "BLOCK_COLUMNS", block[1])
    vectors = normalize_rows(np.random.default_rng(size).standard_normal((size, 3)).astype(np.float32))
    brute = [(a, b) for a in range(size) for b in range(a + 1, size) if vectors[a].astype(float) @ vectors[b] >= 0.8]
    assert find_all(vectors, 0.8) == brute and (size < 9 or brute)
    for rows_a, rows_b, scores in find_near_duplicates(vectors, 0.8):
        assert scores == pytest.approx((vectors[rows_a] * vectors[rows_b]).sum(1), abs=1e-5)


def test_a_thousand_planted_duplicates_are_all_found_and_nothing_else():
    """10,000 random vectors of width 64, whose cosines have a standard deviation of 0.125, and 1,000 of them once more
    with a little noise, at the borders of blocks too."""
    chance = np.random.default_rng(5)
    vectors = chance.standard_normal((11_000, 64)).astype(np.float32)
    rows, columns = duplicates.BLOCK_ROWS, duplicates.BLOCK_COLUMNS
    borders = [0, rows - 1, rows, 2 * rows - 1, 2 * rows, columns - 1, columns, 10_998, 10_999]
    others = chance.permutation(np.setdiff1d(np.arange(11_000), borders))
    planted = np.concatenate([borders, others])[:2000].reshape(1000, 2)
    vectors[planted[:, 1]] = vectors[planted[:, 0]] + 0.1 * chance.standard_normal((1000, 64)).astype(np.float32)
    found = find_all(normalize_rows(vectors), 0.95)
    assert found == sorted((int(min(pair)), int(max(pair))) for pair in planted) and len(found) == 1000


def store_of(*records: tuple[str, list[str], np.ndarray]) -> QuestionStore:
    store = QuestionStore()
    for doi, questions, vectors in records:
        store.add(Paper(doi, "", [], pairs=[QAPair(question, "A") for question in questions]), vectors)
    return store


def test_each_pair_is_written_with_its_places_texts_and_score(tmp_path):
    half = np.array([[1, 0], [0.8, 0.6]], np.float32)
    store = store_of(("10.1/a", ["é?", "two?"], half), ("10.1/b", ["three?"], half[:1]))
    assert store.rows == [("10.1/a", 0, "é?"), ("10.1/a", 1, "two?"), ("10.1/b", 0, "three?")]
    assert write_near_duplicates(store, tmp_path, 0.8) == 3
    assert write_near_duplicates(store, tmp_path, 0.81) == 1
    assert rows(tmp_path, "near_duplicates") == [
        {
            "doi_a": "10.1/a",
            "question_a": 0,
            "doi_b": "10.1/b",
            "question_b": 0,
            "score": 1.0,
            "text_a": "é?",
            "text_b": "three?",
        }
    ]


def test_the_same_text_twice_is_found_at_a_threshold_of_1(tmp_path):
    """A vector's product with itself is 1 only up to float32's last digits."""
    questions = [f"question {number}?" for number in range(200)]
    report = score(tmp_path, ("10.1/a", questions), ("10.1/b", questions), near_duplicate=1)
    found = rows(tmp_path / "out", "near_duplicates")
    assert report.num_near_duplicates == 200 and all(pair["text_a"] == pair["text_b"] for pair in found)


def test_five_thousand_questions_take_seconds(tmp_path):
    papers = [(f"10.1/{number}", [f"{number} {part}?" for part in range(10)]) for number in range(500)]
    started = time.monotonic()
    report = score(tmp_path, *papers)
    assert time.monotonic() - started < 20 and report.num_pairs == 500 * 45 and report.null.papers == 300


# The packaged model --------------------------------------------------------------------------------------------------


def test_the_sample_file_with_the_packaged_model(tmp_path, embedder):
    """Questions of one paper are closer than those of two; a paraphrase is closer than any other pair."""
    report = embed_similarity(QAS, tmp_path / "out", embedder)
    assert report.num_papers == 3 and report.num_pairs == 3 * 15 and report.notes == []
    assert report.within.mean > report.null.mean + 0.1 and sum(report.null_counts) == 3 * 36
    for record in json.loads(QAS.read_text(encoding="utf-8")):
        _, scores = read_scores(tmp_path / "out", record["doi"])
        vectors = embedder.model.encode(
            [pair["Q"] for pair in record["Q&A"]], normalize_embeddings=True, show_progress_bar=False
        )
        below = np.tril_indices(6, -1)
        assert scores[below] == pytest.approx((vectors @ vectors.T)[below], abs=2e-3)
