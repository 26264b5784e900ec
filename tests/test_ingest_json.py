"""Published JSON, streamed: what is read, what is refused, and where."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.records.papers import CHUNK_BYTES, Paper, Section, paper_record, read_papers_json, read_records

GOOD = {"source": "a.xml", "doi": "10.1000/a", "abstract": "A.", "keywords": ["k"], "txt": "Text é.", "title": "T"}


def write(path: Path, content: object) -> Path:
    data = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode("utf-8")
    path.write_bytes(data)
    return path


def read_one_bad(path: Path) -> BadRecord:
    found = list(read_papers_json(path))
    assert len(found) == 1 and isinstance(found[0], BadRecord), found
    return found[0]


def test_list_and_lines_hold_the_same_papers(tmp_path: Path) -> None:
    records = [GOOD, {**GOOD, "doi": "10.1000/b", "journal": "J", "Q&A": [{"Q": "?", "A": "!"}]}]
    lines = "\n".join(json.dumps(record) for record in records).encode()
    as_list = list(read_papers_json(write(tmp_path / "a.json", records)))
    assert as_list == list(read_papers_json(write(tmp_path / "b.json", lines)))
    assert as_list == list(read_papers_json(write(tmp_path / "c.jsonl", b"\n\n" + lines + b"\n")))
    assert as_list == list(read_papers_json(write(tmp_path / "d.json", b"\xef\xbb\xbf" + json.dumps(records).encode())))
    assert [paper.doi for paper in as_list] == ["10.1000/a", "10.1000/b"]
    assert as_list[1].journal == "J" and as_list[0].txt == "Text é."


def test_one_record_over_several_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", json.dumps(GOOD, indent=2).encode())
    assert [paper.doi for paper in read_papers_json(path)] == ["10.1000/a"]


def test_record_keeps_the_published_order_and_comes_back() -> None:
    paper = Paper("10.1000/a", "Intro\nText", "one, two", sections=[Section("Intro", 0, 10)])
    record = paper_record(paper)
    assert list(record) == ["source", "doi", "abstract", "keywords", "txt", "title", "sections"]
    assert record["abstract"] == "" and record["keywords"] == "one, two"
    assert list(paper_record(Paper("d", "t", [], journal="J")))[-1] == "journal"


def test_sections_survive_the_file(tmp_path: Path) -> None:
    paper = Paper("10.1000/a", "Intro\nText", ["k"], sections=[Section("Intro", 0, 10)])
    assert list(read_papers_json(write(tmp_path / "a.json", [paper_record(paper)]))) == [paper]


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"doi": None}, "doi", "missing"),
        ({"doi": 7}, "doi", "found int '7'"),
        ({"txt": " \n"}, "txt", "empty"),
        ({"txt": ["a"]}, "txt", "found list"),
        ({"keywords": None}, "keywords", "missing"),
        ({"keywords": ["a", 3]}, "keywords", "item 2: int 3"),
        ({"keywords": {"a": 1}}, "keywords", "found dict"),
        ({"title": 5}, "title", "found int"),
        ({"abstract": "\ud800"}, "abstract", "surrogate"),
        ({"sections": [{"title": "A", "start": 0, "end": 99}]}, "sections", "offsets inside txt"),
        ({"sections": [{"title": "A"}]}, "sections", "offsets inside txt"),
    ],
)
def test_wrong_field_is_named_and_the_rest_goes_on(tmp_path: Path, change: dict, field: str, message: str) -> None:
    lines = "\n".join(json.dumps(record) for record in ({**GOOD, **change}, GOOD)).encode()
    bad, paper = read_papers_json(write(tmp_path / "a.jsonl", lines))
    assert isinstance(bad, BadRecord) and (bad.record, bad.field) == ("line 1", field)
    assert message in bad.message and bad.file.endswith("a.jsonl")
    assert isinstance(paper, Paper)


def test_missing_key_and_empty_optional_keys(tmp_path: Path) -> None:
    bad = read_one_bad(write(tmp_path / "a.json", [{"doi": "10.1000/a", "keywords": "k"}]))
    assert (bad.record, bad.field) == ("record 1", "txt")
    (paper,) = read_papers_json(write(tmp_path / "b.json", [{"txt": "t", "title": None}]), required=("txt",))
    assert paper == Paper("", "t", [])


@pytest.mark.parametrize(
    ("data", "good", "place"),
    [
        (b'[{"a":1},\n{"a":2},\n{"a":3 x}]', 2, "record 3"),
        (b'[{"a":1},\n{"a":2', 1, "record 2: broken JSON in lines 2 to 2 (after byte 16)"),
        (b'[{"a":"\xc3\xa9\xc3\xa9","b":"\xff"}]', 0, "record 1: broken JSON in lines 1 to 1 (after byte 0)"),
        (b'\xef\xbb\xbf[{"a":1 x', 0, "record 1: broken JSON in lines 1 to 1 (after byte 3)"),
        (b'[{"a":NaN}]', 0, "record 1: broken JSON in lines 1 to 1 (after byte 0)"),
        (b'[{"a":' + b"[" * 100_000, 0, "nested more than 50 deep"),
    ],
)
def test_broken_list_gives_what_stands_before_and_the_place(tmp_path: Path, data: bytes, good: int, place: str) -> None:
    *records, (where, bad) = read_records(write(tmp_path / "a.json", data))
    assert len(records) == good and where == f"record {good + 1}"
    assert isinstance(bad, BadRecord) and place in str(bad)


def test_break_far_into_a_long_file(tmp_path: Path) -> None:
    record = json.dumps({**GOOD, "txt": "é" * 50_000})
    data = ("[" + ",\n".join([record] * 9) + ",\n{]").encode()
    *papers, bad = read_papers_json(write(tmp_path / "a.json", data))
    assert len(papers) == 9 and bad.record == "record 10"
    last = len(data) // CHUNK_BYTES * CHUNK_BYTES
    assert f"lines {1 + data[:last].count(10)} to 10 (after byte {last})" in bad.message


def test_broken_lines_are_single(tmp_path: Path) -> None:
    data = b'{"a":1}\n{"b":3 x}\n{"c":"\xff"}\n[3]\n' + b"[" * 9000 + b'\n{"d":4}'
    found = dict(read_records(write(tmp_path / "a.jsonl", data)))
    assert [isinstance(item, dict) for item in found.values()] == [True, False, False, False, False, True]
    assert "column 8" in found["line 2"].message
    assert "byte 24" in found["line 3"].message  # 8 + 10 bytes before the line, 6 in it
    assert "found list [3]" in found["line 4"].message


@pytest.mark.parametrize("data", [b"", b"  \n", b"hello", b'"text"'])
def test_neither_form_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match=r"a\.json: expected a JSON list"):
        list(read_records(write(tmp_path / "a.json", data)))
    with pytest.raises(InputError, match="cannot be read"):
        list(read_records(tmp_path / "none.json"))


def test_items_that_are_no_records(tmp_path: Path) -> None:
    found = [record for _, record in read_records(write(tmp_path / "a.json", b'[1, [2, {"a": 3}], {"b": 4}]'))]
    assert [type(record) for record in found] == [BadRecord, BadRecord, dict] and found[2] == {"b": 4}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    max_leaves=8,
)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(data=st.binary() | st.lists(JSON).map(lambda value: json.dumps(value).encode()), cut=st.integers(0, 30))
def test_any_bytes_are_read_or_refused(tmp_path: Path, data: bytes, cut: int) -> None:
    path = write(tmp_path / "a.json", data[: len(data) - cut] if cut < len(data) else data)
    try:
        for item in read_papers_json(path):
            assert isinstance(item, (Paper, BadRecord))
    except InputError as error:
        assert "a.json" in str(error)


@FUZZ
@given(records=st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4), max_size=5), size=st.integers(1, 40))
def test_streamed_records_equal_json_loads(tmp_path: Path, records: list[dict], size: int) -> None:
    path = write(tmp_path / "a.json", json.dumps(records).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sciqag_lib.records.papers.CHUNK_BYTES", size)
        assert [record for _, record in read_records(path)] == records
