"""Papers with their pairs, as published files and ours hold them, and what is wrong with them."""

import json
from pathlib import Path

import pytest

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.records.evidence import EvidenceFile
from sciqag_lib.records.papers import Paper, QAPair, Section
from sciqag_lib.records.qa_records import RepeatedPaper, read_qa_records

QAS = Path(__file__).parents[1] / "data" / "qas.json"


def read(tmp_path, records, lines: bool = False) -> list:
    path = tmp_path / "qas.json"
    path.write_text("\n".join(json.dumps(record) for record in records) if lines else json.dumps(records))
    return list(read_qa_records(path))


def paper(doi="10.1/a", pairs=(("Why?", "Because."),), **more) -> dict:
    return {"doi": doi, "txt": "One. Two.", "Q&A": [{"Q": question, "A": answer} for question, answer in pairs], **more}


def test_the_sample_file_is_read_whole():
    records = list(read_qa_records(QAS))
    stored = json.loads(QAS.read_text(encoding="utf-8"))
    assert [record.doi for record in records] == [entry["doi"] for entry in stored] and len(records) == 3
    for record, entry in zip(records, stored):
        assert record.pairs == [QAPair(pair["Q"], pair["A"]) for pair in entry["Q&A"]] and len(record.pairs) == 6
        assert record.questions == [pair["Q"] for pair in entry["Q&A"]]
        assert record.txt == entry["txt"] and record.sections == [Section(**part) for part in entry["sections"]]


@pytest.mark.parametrize("lines", [False, True])
def test_a_published_record_without_title_or_source(tmp_path, lines):
    record = {
        "doi": "10.1016-j.ab.2008.07.041.json",
        "input": "Below",
        "output": "Keywords: x",
        "journal": "Chemistry",
        "keywords": "['a']",
        "Q&A": [{"Q": "Why?", "A": "Since."}],
        "num_Q&A": "10",
        "txt": "One.",
    }
    [found] = read(tmp_path, [record], lines)
    pairs = [QAPair("Why?", "Since.")]
    assert found == Paper("10.1016-j.ab.2008.07.041.json", "One.", "['a']", journal="Chemistry", pairs=pairs)
    assert found.where == ("line 1" if lines else "record 1") and found.key == "10.1016/j.ab.2008.07.041"


def test_each_pair_of_a_benchmark_file_is_a_record(tmp_path):
    found = read(
        tmp_path,
        [
            {"Q": "Why?", "A": "A."},
            {"Q": "How?", "A": "B.", "doi": "10.1/a"},
            {"Q": "When?", "A": "C.", "doi": "10.1/a"},
        ],
    )
    assert [record.pairs for record in found] == [
        [QAPair("Why?", "A.")],
        [QAPair("How?", "B.")],
        [QAPair("When?", "C.")],
    ]
    assert [record.name for record in found] == ["record 1", "10.1/a", "10.1/a"] and found[0].txt == ""


def test_no_pairs_is_a_record_without_pairs(tmp_path):
    [found] = read(tmp_path, [paper(pairs=())])
    assert found.pairs == [] and found.questions == []


@pytest.mark.parametrize(
    "record, field, message",
    [
        ({"doi": "10.1/b"}, "Q&A", "missing"),
        ({"doi": "10.1/b", "Q&A": None}, "Q&A", "missing"),
        ({"doi": "10.1/b", "Q&A": "Q1: Why?"}, "Q&A", "found str"),
        (paper(""), "doi", "empty"),
        (paper("  "), "doi", "empty"),
        (paper(None), "doi", "empty"),
        (paper(7), "doi", "found int '7'"),
        (paper("10.1/b", txt=["One."]), "txt", "found list"),
        (paper("10.1/b", title={"en": "x"}), "title", "found dict"),
        (paper("10.1/b", txt="One \ud800."), "txt", "surrogate"),
        (paper("10.1/\udfff"), "doi", "surrogate"),
    ],
)
def test_a_bad_record_is_named_and_the_rest_goes_on(tmp_path, record, field, message):
    first, bad, last = read(tmp_path, [paper(), record, paper("10.1/c")], lines=True)
    assert isinstance(bad, BadRecord) and (bad.record, bad.field) == ("line 2", field) and message in bad.message
    assert str(tmp_path / "qas.json") in str(bad) and (first.doi, last.doi) == ("10.1/a", "10.1/c")


@pytest.mark.parametrize(
    "entry, message",
    [
        ("Why?", "found str"),
        (None, "found NoneType"),
        ({"Q": "Why?"}, "A: expected"),
        ({"Q": " ", "A": "B"}, "Q: expected"),
        ({"Q": "Why?", "A": 5}, "found 5"),
        ({"Q": "Why \ud83d?", "A": "B"}, "surrogate"),
        (["Why?", "B"], "found list"),
    ],
)
def test_a_bad_pair_is_named_and_the_paper_keeps_the_others(tmp_path, entry, message):
    record = paper(pairs=(("One?", "1"), ("Two?", "2")))
    record["Q&A"].insert(1, entry)
    bad, found = read(tmp_path, [record], lines=True)
    assert isinstance(bad, BadRecord) and bad.field == "Q&A[1]" and message in bad.message and "left out" in bad.message
    assert found.pairs == [QAPair("One?", "1"), QAPair("Two?", "2")]


@pytest.mark.parametrize("second", ["10.1/a", "https://doi.org/10.1/A", "10.1/a.json"])
def test_a_second_record_of_one_doi_is_named_however_it_is_spelled(tmp_path, second):
    first, bad, last = read(tmp_path, [paper("10.1/a"), paper(second), paper("10.1/b")])
    assert isinstance(bad, RepeatedPaper) and bad.field == "doi" and "the same doi as record 1" in bad.message
    assert bad.paper.doi == second and bad.paper.pairs == [QAPair("Why?", "Because.")]
    assert (first.doi, last.doi) == ("10.1/a", "10.1/b")


def test_a_doi_of_an_unusable_record_is_still_free(tmp_path):
    bad, found = read(tmp_path, [{"doi": "10.1/a"}, paper("10.1/a")])
    assert isinstance(bad, BadRecord) and found.doi == "10.1/a"


def test_broken_json_ends_with_a_bad_record_and_keeps_what_was_before(tmp_path):
    path = tmp_path / "qas.json"
    path.write_text(json.dumps([paper()])[:-1] + ', {"doi": ')
    found, bad = read_qa_records(path)
    assert found.doi == "10.1/a" and isinstance(bad, BadRecord)


@pytest.mark.parametrize("content", [None, b"", b"doi,Q,A\n"])
def test_a_file_that_is_none_is_an_input_error(tmp_path, content):
    path = tmp_path / "qas.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="qas.json"):
        list(read_qa_records(path))


def test_sections_of_a_wrong_form_are_left_out(tmp_path):
    good = {"title": "Results", "start": 0, "end": 4}
    first, second = read(tmp_path, [paper(sections=[good]), paper("10.1/b", sections=[{**good, "end": 40}])])
    assert first.sections == [Section("Results", 0, 4)] and second.sections == []


def find(file: EvidenceFile, doi: str, txt: str = "One. Two."):
    return file.find(Paper(doi, txt, []))


def test_evidence_beside_the_output_is_found_in_any_order(tmp_path):
    path = tmp_path / "evidence.json"
    section = {"title": "Results", "start": 0, "end": 4}
    records = [{"doi": "10.1/A", "sections": [section], "journal": "J"}, 7, {"doi": "b"}, {"doi": "c", "license": "CC"}]
    path.write_text(json.dumps(records))
    file = EvidenceFile(path)
    assert [find(file, doi).where for doi in ("10.1/a", "b", "c")] == ["record 1", "record 3", "record 4"]
    assert [bad.record for bad in file.bad] == ["record 2"]
    file = EvidenceFile(path)
    assert find(file, "c").license == "CC" and find(file, "none").where == "" and find(file, "").where == ""
    found = find(file, "https://doi.org/10.1/A")  # records of others in between
    assert (found.sections, found.journal) == ([Section("Results", 0, 4)], "J")
    assert find(EvidenceFile(path), "10.1/a", "One").sections == []  # it would end outside the text
    assert find(EvidenceFile(tmp_path / "none.json"), "10.1/a").sections == []


def test_evidence_is_taken_where_it_fits_the_text(tmp_path):
    good, other = {"start": 0, "end": 4, "text": "One."}, {"start": 0, "end": 4, "text": "Two."}
    pairs = [
        {"Q": f"{number}?", "A": "A.", "evidence": spans}
        for number, spans in enumerate(([good, {**good, "start": 5, "end": 9, "text": "Two."}], [other], [], None))
    ]
    (tmp_path / "evidence.json").write_text(json.dumps([{"doi": "a", "pairs": pairs}]))
    found = find(EvidenceFile(tmp_path / "evidence.json"), "a")
    assert found.spans == {("0?", "A."): [(0, 4), (5, 9)], ("2?", "A."): []} and found.num_unfit == 2
    assert found.texts == {("0?", "A."): "One. Two.", ("1?", "A."): "Two."}
