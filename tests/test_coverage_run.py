"""Sentence coverage of whole files: a paper by hand, tables and offsets, order and cache, and papers that are none."""

import csv
import json
import math
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from sciqag_lib.analysis.coverage import DEFINITIONS, measure_random
from sciqag_lib.analysis.coverage_run import COLUMNS, analyse_coverage, score_one_paper
from sciqag_lib.errors import InputError
from sciqag_lib.text.sentences import list_content_words, split_sentences
from tests.fake_encoder import make_embedder

QAS = Path(__file__).parents[1] / "data" / "qas.json"
SENTENCES = [f"Sample {letter} was fired at high heat." for letter in "abcdefghijklmnopqrst"]  # 20
TXT = "\n".join(SENTENCES)
WIDTH = len(SENTENCES[0]) + 1
ONE_HOT = {sentence: np.eye(20)[place] for place, sentence in enumerate(SENTENCES)}


def weigh(**places: float) -> np.ndarray:
    """A vector whose cosines to the sentences p0, p1 ... are in the proportion of these."""
    vector = np.zeros(20)
    for name, weight in places.items():
        vector[int(name[1:])] = weight
    return vector


# The two pairs of test_coverage: by their lengths (1.393 and 1.230) divided, the ranks across pairs stay the same.
PAIRS = {"Why? Since.": weigh(p0=0.9, p1=0.8, p6=0.7), "How? So.": weigh(p19=0.95, p6=0.6, p4=0.5)}
VECTORS = {**ONE_HOT, **PAIRS}


def paper(doi="10.1/a", txt=TXT, pairs=(("Why?", "Since."), ("How?", "So.")), **more) -> dict:
    entries = [{"Q": question, "A": answer} for question, answer in pairs]
    return {"doi": doi, "txt": txt, "title": "", "Q&A": entries, **more}


def cover(tmp_path, *papers, embedder=None, name="out", **more):
    path = tmp_path / "qas.json"
    path.write_text(json.dumps(papers, ensure_ascii=False), encoding="utf-8")
    return analyse_coverage(path, tmp_path / name, embedder or make_embedder(VECTORS), **more)


def rows(tmp_path, table: str, name="out") -> list[dict]:
    found = pyarrow.parquet.read_table(tmp_path / name / f"{table}.parquet").to_pylist()
    with (tmp_path / name / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        comma = list(csv.DictReader(file))
    assert [{key: "" if value is None else str(value) for key, value in row.items()} for row in found] == comma
    return found


# One paper by hand ---------------------------------------------------------------------------------------------------


def test_a_paper_by_hand_beside_random_scores(tmp_path):
    """20 sentences, k = 3: pooled 19, 0, 1 (chunks 9, 0, 0) .2; individual (.2 + .3) / 2; union {0, 2, 3, 9} .4."""
    report = cover(tmp_path, paper(), seed=5)
    random = measure_random(2, 20, "10.1/a", 5)
    [row] = rows(tmp_path, "coverage")
    assert list(row) == list(COLUMNS["coverage"])
    assert (row["doi"], row["questions"], row["sentences"], row["top"]) == ("10.1/a", 2, 20, 3)
    assert (row["pooled"], row["individual"], row["union"]) == (0.2, 0.25, 0.4)
    for name in DEFINITIONS:
        assert row[f"{name}_random"] == round(random[name], 4)
        assert row[f"{name}_difference"] == pytest.approx(row[name] - random[name], abs=1e-4)
        assert report.values[name].mean == row[name] and math.isnan(report.values[name].low)
        assert report.random[name].mean == row[f"{name}_random"]
        assert report.difference[name].mean == row[f"{name}_difference"] < 0
    assert (report.num_papers, report.num_pairs, report.notes) == (1, 2, [])


def test_the_best_sentences_of_each_pair_with_their_offsets(tmp_path):
    cover(tmp_path, paper())
    top = rows(tmp_path, "top_sentences")
    assert [(row["question"], row["rank"]) for row in top] == [
        (pair, 1 + rank) for pair in (0, 1) for rank in range(10)
    ]
    # after the three that have a score the lowest follow: all others tie at 0
    assert [row["sentence"] for row in top[:10]] == [0, 1, 6, 2, 3, 4, 5, 7, 8, 9]
    assert [row["sentence"] for row in top[10:]] == [19, 6, 4, 0, 1, 2, 3, 5, 7, 8]
    assert top[0]["score"] == pytest.approx(0.9 / math.sqrt(0.81 + 0.64 + 0.49), abs=1e-3)
    assert all(TXT[row["start"] : row["end"]] == SENTENCES[row["sentence"]] for row in top)


def test_sections_and_stretches_that_no_pair_touches(tmp_path):
    """Touched: 0, 1, 4, 6 and 19. Sections of sentences 0-9 (4 of 10), 10-18 (none of 9) and 19 (1 of 1). Untouched
    runs of 5 or more: 7 to 18, 12 sentences."""
    sections = [
        {"title": title, "start": first * WIDTH, "end": end * WIDTH - 1}
        for title, first, end in (("One", 0, 10), ("Two", 10, 19), ("Three", 19, 20))
    ]
    sections.append({"title": "No sentence begins here", "start": 5, "end": 9})  # nor is it one that none touches
    report = cover(tmp_path, paper(sections=sections))
    assert [(row["section"], row["sentences"], row["touched"]) for row in rows(tmp_path, "sections")] == [
        ("One", 10, 4),
        ("Two", 9, 0),
        ("Three", 1, 1),
        ("No sentence begins here", 0, 0),
    ]
    assert (report.sections, report.sections_untouched) == (3, 1)
    [stretch] = rows(tmp_path, "stretches")
    assert (stretch["first"], stretch["last"], stretch["sentences"]) == (7, 18, 12)
    assert TXT[stretch["start"] : stretch["end"]] == "\n".join(SENTENCES[7:19])
    assert stretch["begins"] == TXT[stretch["start"] :][:80]


def test_a_heading_is_no_sentence_that_a_pair_could_touch(tmp_path):
    txt = "Results\n" + "\n".join(SENTENCES[:9])
    vectors = {**{text: weigh(p0=1) for text in ("Results", "Why? Since.")}, **ONE_HOT}
    section = {"title": "Results", "start": 0, "end": len(txt)}
    cover(tmp_path, paper(txt=txt, pairs=[("Why?", "Since.")], sections=[section]), embedder=make_embedder(vectors))
    [row] = rows(tmp_path, "sections")
    assert (row["sentences"], row["touched"], row["start"]) == (9, 0, 0)  # k is 1 of 10, and that one is the heading


def test_sections_of_the_evidence_file_are_used(tmp_path):
    sections = [{"title": "All", "start": 0, "end": len(TXT)}]
    (tmp_path / "evidence.json").write_text(json.dumps([{"doi": "10.1/a"}, {"doi": "10.1/b", "sections": sections}]))
    assert cover(tmp_path, paper(), paper("10.1/b")).sections == 1
    assert [(row["doi"], row["section"]) for row in rows(tmp_path, "sections")] == [("10.1/b", "All")]
    (tmp_path / "evidence.json").rename(tmp_path / "other.json")
    assert cover(tmp_path, paper(), paper("10.1/b")).sections == 0
    assert cover(tmp_path, paper(), paper("10.1/b"), evidence_path=tmp_path / "other.json").sections == 1


def test_pairs_are_asked_with_the_retrieval_prompt_and_sentences_with_the_documents(tmp_path):
    embedder = make_embedder(VECTORS, prompts={"query": "Find: ", "document": "Text: "})
    cover(tmp_path, paper(), embedder=embedder)
    prompts = {text: prompt for texts, prompt in embedder.model.calls for text in texts}
    assert prompts == {**dict.fromkeys(SENTENCES, "Text: "), **dict.fromkeys(PAIRS, "Find: ")}


def test_chunks_and_share_are_parameters(tmp_path):
    """4 chunks of 5 sentences, share .1: k = 2. Pair 1: 0 and 1, chunk 0. Pair 2: 19 and 6, chunks 3 and 1. individual
    (1/4 + 2/4) / 2; union {0, 1, 3}; pooled 19 and 0, chunks 3 and 0."""
    report = cover(tmp_path, paper(), num_chunks=4, top_share=0.1)
    [row] = rows(tmp_path, "coverage")
    assert (row["top"], row["pooled"], row["individual"], row["union"]) == (2, 0.5, 0.375, 0.75)
    assert (report.num_chunks, report.top_share) == (4, 0.1)


@pytest.mark.parametrize("more", [{"num_chunks": 0}, {"top_share": 0}, {"top_share": 1.5}, {"top_share": math.nan}])
def test_parameters_that_are_off_are_refused_before_anything_is_encoded(tmp_path, more):
    embedder = make_embedder(VECTORS)
    with pytest.raises(InputError, match="num_chunks of at least 1"):
        cover(tmp_path, paper(), embedder=embedder, **more)
    assert embedder.model.calls == [] and not (tmp_path / "out").exists()


# Many papers ---------------------------------------------------------------------------------------------------------


def some_papers(number: int) -> list[dict]:
    return [
        paper(
            f"10.1/{place}",
            "\n".join(f"Paper {place} has line {line}." for line in range(8 + 7 * place)),
            [(f"Question {place} {pair}?", "Since.") for pair in range(1 + place % 3)],
        )
        for place in range(number)
    ]


@pytest.mark.parametrize("read_ahead", [1, 30, 4096])
def test_the_order_of_papers_and_how_they_are_batched_changes_no_value(tmp_path, monkeypatch, read_ahead):
    papers = some_papers(6)
    expected = cover(tmp_path, *papers, embedder=make_embedder(), name="first")
    monkeypatch.setattr("sciqag_lib.engines.embeddings.READ_AHEAD", read_ahead)
    turned = cover(tmp_path, *(papers[place] for place in (3, 0, 5, 1, 4, 2)), embedder=make_embedder(), name="second")
    assert turned.values == expected.values and turned.random == expected.random  # means and intervals
    for table in COLUMNS:
        by_doi = [sorted(rows(tmp_path, table, name), key=lambda row: row["doi"]) for name in ("first", "second")]
        assert by_doi[0] == by_doi[1]
    for entry in papers:  # each paper alone, too: nothing of one is used for the next
        cover(tmp_path, entry, embedder=make_embedder(), name="alone")
        assert rows(tmp_path, "coverage", "alone") == [
            row for row in rows(tmp_path, "coverage", "first") if row["doi"] == entry["doi"]
        ]


def test_corpus_numbers_are_means_over_papers(tmp_path):
    report = cover(tmp_path, *some_papers(6), embedder=make_embedder())
    table = rows(tmp_path, "coverage")
    for name in DEFINITIONS:
        for estimates, end in ((report.values, ""), (report.random, "_random"), (report.difference, "_difference")):
            values = [row[name + end] for row in table]
            assert estimates[name].mean == pytest.approx(np.mean(values)) and estimates[name].papers == 6
            assert min(values) <= estimates[name].low < estimates[name].high <= max(values)
    stored = json.loads((tmp_path / "out" / "coverage.json").read_text())
    assert stored["values"]["pooled"]["mean"] == report.values["pooled"].mean and stored["num_pairs"] == 12


def test_a_second_run_encodes_nothing_and_writes_the_same(tmp_path):
    found = []
    for _ in range(2):
        embedder = make_embedder(cache_dir=tmp_path / "cache")
        cover(tmp_path, *some_papers(4), embedder=embedder)
        found.append({file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()})
    assert embedder.model.calls == [] and embedder.num_encoded == 0 and found[0] == found[1]
    assert set(found[0]) == {"coverage.json", *(f"{table}.{end}" for table in COLUMNS for end in ("csv", "parquet"))}


def test_another_model_takes_nothing_from_the_cache(tmp_path):
    cover(tmp_path, *some_papers(2), embedder=make_embedder(cache_dir=tmp_path / "cache"))
    other = make_embedder(cache_dir=tmp_path / "cache", model_id="another", width=5)
    report = cover(tmp_path, *some_papers(2), embedder=other)
    assert other.num_cached == 0 and report.model == "another"


# Bad input -----------------------------------------------------------------------------------------------------------


def test_papers_that_cannot_be_measured_are_named_and_the_rest_goes_on(tmp_path):
    vectors = {**VECTORS, "Nothing here is a number.": np.full(20, math.nan)}
    report = cover(
        tmp_path,
        paper("10.1/none", pairs=[]),
        paper("10.1/empty", txt=""),
        paper("10.1/blank", txt=" \n\t "),
        paper("10.1/nan", txt="Nothing here is a number."),
        paper("10.1/short", txt="\n".join(SENTENCES[:6])),
        paper(),
        {"doi": "10.1/bad", "txt": TXT},
        paper("https://doi.org/10.1/A"),
        embedder=make_embedder(vectors),
    )
    notes = "\n".join(report.notes)
    for part in (
        "10.1/none: no question-answer pair",
        "10.1/empty: its text is empty",
        "10.1/blank: its text is empty",
        "10.1/nan: the model gives no numbers",
        "10.1/short: 6 sentences, of which 15% is less than one",
        "record 7",
        "the same doi as record 6",
    ):
        assert part in notes
    assert len(report.notes) == 7 and [row["doi"] for row in rows(tmp_path, "coverage")] == ["10.1/short", "10.1/a"]
    assert report.num_papers == 2 and report.values["pooled"].papers == 1 and report.values["pooled"].mean == 0.2


def test_a_paper_with_k_of_0_has_missing_values_and_no_untouched_section(tmp_path):
    """int(.15 * 6) = 0: no sentence is a best one, so that none could be touched."""
    txt = "\n".join(SENTENCES[:6])
    report = cover(tmp_path, paper(txt=txt, sections=[{"title": "All", "start": 0, "end": len(txt)}]))
    [row] = rows(tmp_path, "coverage")
    assert row["top"] == 0
    assert all(row[name + end] is None for name in DEFINITIONS for end in ("", "_random", "_difference"))
    assert (report.sections, report.sections_untouched) == (0, 0)
    assert rows(tmp_path, "sections") == rows(tmp_path, "stretches") == []
    assert len(rows(tmp_path, "top_sentences")) == 2 * 6
    assert math.isnan(report.values["union"].mean)
    stored = json.loads((tmp_path / "out" / "coverage.json").read_text(), parse_constant=pytest.fail)
    assert stored["values"]["union"]["mean"] is None  # JSON has no nan


@pytest.mark.parametrize("papers", [[], [paper(pairs=[])], [paper(txt="")], [{"Q": "Why?", "A": "Since."}]])
def test_a_file_without_anything_to_measure_is_an_input_error_and_leaves_results_alone(tmp_path, papers):
    cover(tmp_path, paper())
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    with pytest.raises(InputError, match="no paper with text and pairs"):
        cover(tmp_path, *papers)
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_half_a_surrogate_pair_in_a_text_does_not_stop_the_rest(tmp_path):
    path = tmp_path / "qas.jsonl"
    path.write_text("\n".join(json.dumps(entry) for entry in (paper("10.1/b", "Broken \ud800 text."), paper())))
    report = analyse_coverage(path, tmp_path / "out", make_embedder(VECTORS))
    assert report.num_papers == 1 and "surrogate" in report.notes[0]


def test_text_in_another_script_is_measured_with_offsets_that_hold(tmp_path):
    txt = (
        "锂离子电池的容量是多少。它在室温下下降。\nDie Leitfähigkeit stieg auf 5,2 S/cm"
        " – das ist viel. Übrigens: 😀 auch hier."
    )
    report = cover(tmp_path, paper(txt=txt), embedder=make_embedder(), top_share=0.5)
    spans = split_sentences(txt)
    assert report.num_papers == 1 and len(spans) >= 3
    assert {(row["start"], row["end"]) for row in rows(tmp_path, "top_sentences")} == set(spans)


def test_a_paper_of_twenty_thousand_sentences(tmp_path):
    """Within the time that the model itself would take for it, 100 draws of random scores included."""
    txt = "\n".join(f"Line {line} tells of sample {line % 97}." for line in range(20_000))
    pairs = [(f"Question {pair}?", "Since.") for pair in range(10)]
    started = time.monotonic()
    cover(tmp_path, paper("10.1/long", txt, pairs), paper(), embedder=make_embedder(VECTORS, width=20))
    assert time.monotonic() - started < 60
    assert [row["sentences"] for row in rows(tmp_path, "coverage")] == [20_000, 20]
    assert rows(tmp_path, "coverage")[0]["union_random"] == 1


def test_the_limit_and_one_paper(tmp_path):
    assert cover(tmp_path, *some_papers(4), embedder=make_embedder(), limit=2).num_papers == 2
    embedder = make_embedder()
    found = score_one_paper(tmp_path / "qas.json", embedder)
    assert found.record.doi == "10.1/0" and found.scores.shape == (1, 8) and len(found.spans) == 8
    assert len(embedder.model.texts) == 9  # its 8 sentences and its pair, and nothing of the papers after it
    assert score_one_paper(tmp_path / "qas.json", make_embedder(), "10.1/2").record.doi == "10.1/2"
    with pytest.raises(InputError, match="10.1/none"):
        score_one_paper(tmp_path / "qas.json", make_embedder(), "10.1/none")


def test_one_paper_is_the_first_that_can_be_measured(tmp_path):
    path = tmp_path / "qas.json"
    path.write_text(json.dumps([paper("10.1/none", pairs=[]), paper("10.1/empty", txt=""), paper()]))
    assert score_one_paper(path, make_embedder(VECTORS)).record.doi == "10.1/a"
    with pytest.raises(InputError, match="its text is empty"):
        score_one_paper(path, make_embedder(VECTORS), "10.1/empty")


def test_the_frame_has_each_definition_beside_random_scores(tmp_path):
    report = cover(tmp_path, *some_papers(3), embedder=make_embedder())
    frame = report.to_frame()
    assert frame.index.tolist() == list(DEFINITIONS) and frame["published"].tolist() == ["0.68", "0.6423", "0.786"]
    for name in DEFINITIONS:
        assert frame.loc[name, "mean"] == str(report.values[name])
        assert frame.loc[name, "random scores"] == str(report.random[name])


# The packaged model --------------------------------------------------------------------------------------------------


def test_the_sample_file_with_the_packaged_model(tmp_path, embedder):
    """The scores are those of the model's own encode; each answer's best sentence shares its words."""
    report = analyse_coverage(QAS, tmp_path / "out", embedder)
    assert report.num_papers == 3 and report.num_pairs == 18 and report.notes == [] and report.sections > 6
    found = score_one_paper(QAS, embedder)
    texts = [found.record.txt[start:end] for start, end in found.spans]
    pairs = [f"{pair.question} {pair.answer}" for pair in found.record.pairs]
    own = embedder.model.encode([*pairs, *texts], normalize_embeddings=True, show_progress_bar=False)
    assert found.scores == pytest.approx(own[: len(pairs)] @ own[len(pairs) :].T, abs=3e-3)
    best = [texts[place] for place in found.scores.argmax(axis=1)]
    shared = [len(set(list_content_words(text)) & set(list_content_words(pair))) for text, pair in zip(best, pairs)]
    assert min(shared) >= 2
    assert embedder.num_cached == len(texts) + len(pairs)
