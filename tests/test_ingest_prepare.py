"""Folders in, papers.json and a report out: what is kept, skipped, refused, and that one bad file stops nothing."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.ingest import PreparedPaper, Skipped, find_files, prepare_papers, read_papers, read_report
from sciqag_lib.ingest.keywords import _drop_near_copies, find_candidates, find_phrases
from sciqag_lib.records.papers import Paper, read_papers_json

ROOT = Path(__file__).resolve().parents[1]
PAPERS = ROOT / "data" / "papers"
BODY = "The pools warmed by 4.6 °C at noon. " * 10


def jats(
    doi: str = "", title: str = "On limpets", kind: str = "research-article", body: str = BODY, keywords: str = "limpet"
) -> str:
    identifier = f'<article-id pub-id-type="doi">{doi}</article-id>' if doi else ""
    words = f"<kwd-group><kwd>{keywords}</kwd></kwd-group>" if keywords else ""
    front = (
        f"<front><article-meta>{identifier}<title-group><article-title>{title}</article-title>"
        f"</title-group>{words}</article-meta></front>"
    )
    return (
        f'<article article-type="{kind}">{front}<body><sec><title>Results</title><p>{body}</p></sec></body></article>'
    )


def write(folder: Path, **files: object) -> Path:
    """Files from keyword arguments: a_xml="..." is a.xml."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else str(content).encode("utf-8")
        (folder / ".".join(name.rsplit("_", 1))).write_bytes(data)
    return folder


def reasons(folder: Path) -> dict[str, str]:
    """File name -> why it gave no paper, "" where it gave one."""
    found = {}
    for item in read_papers(folder):
        if isinstance(item, PreparedPaper):
            found[item.paper.source] = ""
        else:
            found[item.file if isinstance(item, BadRecord) else item.source] = (
                getattr(item, "message", "") or item.reason
            )
    return found


def test_the_sample_papers(tmp_path: Path) -> None:
    report = prepare_papers(PAPERS, tmp_path, extract=False)
    papers = list(read_papers_json(report.papers_path))
    assert [(paper.source, paper.doi) for paper in papers[1:]] == [
        ("copper_electrode.html", "10.5555/sciqag.sample.3"),
        ("tidal_pools.xml", "10.5555/sciqag.sample.1"),
    ]
    digest = hashlib.sha256(papers[0].txt.encode()).hexdigest()[:16]
    assert papers[0].doi == f"sha256:{digest}" and report.hashed_dois == 1
    assert "crystallises." in papers[0].txt and "15 | 36 | 8.3 | 0.52" in papers[0].txt
    for paper in papers:
        assert "Invented J M" not in paper.txt and "hank" not in paper.txt and "Abstract" not in paper.txt
        assert len(paper.sections) >= 9 and 700 < len(paper.txt.split()) < 1500
        assert all(line == line.strip() and line for line in paper.txt.split("\n"))


def test_files_are_as_promised(tmp_path: Path) -> None:
    license = "<permissions><license><p>Creative Commons Attribution License</p></license></permissions>"
    paper = jats("10.1000/b", "Café").replace("</title-group>", f"</title-group>{license}")
    folder = write(tmp_path / "in", b_xml=paper, a_txt=b"\xff", c_xml=jats("10.1000/c", "Erratum: x"))
    report = prepare_papers(folder, tmp_path / "out")
    raw = (tmp_path / "out" / "papers.json").read_text(encoding="utf-8")
    (record,) = json.loads(raw)
    assert "Café" in raw and list(record)[:6] == ["source", "doi", "abstract", "keywords", "txt", "title"]
    assert record["keywords"] == ["limpet"] and record["sections"] == [
        {"title": "Results", "start": 0, "end": len(record["txt"])}
    ]
    written = read_report(report.report_path)
    (row,) = written["papers"]
    assert row["license"] == "CC BY"
    assert (row["source"], row["doi_origin"], row["characters"], row["keywords"]) == (
        "b.xml",
        "paper",
        len(record["txt"]),
        "paper",
    )
    assert written["num_papers"] == 1 and written["num_files"] == 3
    assert written["bad"][0]["file"] == "a.txt" and written["skipped"][0]["source"] == "c.xml"
    assert sorted(os.listdir(tmp_path / "out")) == ["papers.json", "prepare_report.json"]
    assert "bad a.txt: not valid utf-8 at byte 0" in str(report)


def test_what_is_no_paper_is_skipped_with_its_reason(tmp_path: Path) -> None:
    found = reasons(
        write(
            tmp_path / "in",
            a_xml=jats("10.1000/a"),
            b_xml=jats("10.1000/b", kind="correction"),
            c_xml=jats("10.1000/c", kind="editorial"),
            d_xml=jats("10.1000/d", "Retraction: On limpets"),
            e_xml=jats("10.1000/e", body="Short."),
            f_xml=jats("https://doi.org/10.1000/A"),
            g_xml=jats("10.1000/g", kind="retraction"),
            h_xml=jats("10.1000/h", "Correction of errors in limpet counts"),
            i_png=b"\x89PNG",
            j_json=json.dumps([{"doi": "10.1000-a.json", "txt": BODY, "keywords": "k"}]),
            k_xml=jats("10.1000/k", kind="letter"),
        )
    )
    assert {name for name, reason in found.items() if not reason} == {"a.xml", "h.xml", "k.xml"}
    assert found["b.xml"] == "a correction" and found["c.xml"] == "an editorial" and found["g.xml"] == "a retraction"
    assert "notice (retraction)" in found["d.xml"] and "no body: 6 characters" in found["e.xml"]
    assert found["j.json"] == "a duplicate: a.xml has the same DOI" and "type .png" in found["i.png"]


def test_a_doi_written_as_a_link_is_one(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", a_xml=jats("https://doi.org/10.1000/A"), b_xml=jats("10.1000/a"))
    first, second = read_papers(folder)
    assert first.paper.doi == "10.1000/A" and first.doi_origin == "paper"
    assert isinstance(second, Skipped) and "duplicate" in second.reason


def test_the_same_text_without_doi_is_a_duplicate(tmp_path: Path) -> None:
    first, second = read_papers(write(tmp_path / "in", a_xml=jats(), b_xml=jats()))
    assert first.paper.doi.startswith("sha256:") and first.doi_origin == "hash of the text"
    assert isinstance(second, Skipped) and "duplicate: a.xml" in second.reason


@pytest.mark.parametrize("doi", ["../../etc/passwd", "../", "10.1000", "{doi}"])
def test_a_doi_that_is_none_is_replaced_and_noted(tmp_path: Path, doi: str) -> None:
    (item,) = read_papers(write(tmp_path / "in", a_xml=jats(doi)))
    assert item.paper.doi.startswith("sha256:") and repr(doi) in item.notes[0]
    prepare_papers(tmp_path / "in", tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]


def test_bad_files_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;">]><article>&y;</article>'
    found = reasons(
        write(
            tmp_path / "in",
            a_xml="<article><p>",
            b_xml=bomb,
            c_pdf=b"%PDF-1.4 broken",
            d_json='[{"doi": 1}',
            e_json='[{"doi": "10.1000/e", "keywords": "k"}]',
            f_txt=b"abc \xff\xfe",
            g_html=b"<p>\xff",
            h_xml="<book/>",
            i_json="hello",
            z_xml=jats("10.1000/z"),
            y_txt="",
        )
    )
    assert found["z.xml"] == ""
    assert "broken XML at line 1" in found["a.xml"] and "declares its own entities (x, y)" in found["b.xml"]
    assert "cannot be read" in found["c.pdf"] or "no text" in found["c.pdf"]
    assert "broken JSON in lines 1 to 1" in found["d.json"] and "the key is missing" in found["e.json"]
    assert "at byte 4" in found["f.txt"] and "at byte 3" in found["g.html"]
    assert (
        "found <book>" in found["h.xml"] and "expected a JSON list" in found["i.json"] and "no body" in found["y.txt"]
    )


def test_published_records_keep_their_text_and_doi(tmp_path: Path) -> None:
    txt = "1.A {{template}} {0} %s\n\n" + BODY + "\n"
    records = [
        {"doi": "10.1016-j.ab.json", "txt": txt, "keywords": "a, b"},
        {"txt": txt + "x", "keywords": []},
        {"doi": "10.1000/c", "txt": " "},
    ]
    first, second, third = read_papers(write(tmp_path / "in", a_json=json.dumps(records)))
    assert first.paper == Paper("10.1016-j.ab.json", txt, "a, b", source="a.json")
    assert second.keywords_origin == "extracted" and second.doi_origin == "hash of the text"
    assert isinstance(third, BadRecord) and (third.record, third.field) == ("record 3", "txt")


def test_templates_in_a_paper_are_text(tmp_path: Path) -> None:
    body = BODY + "{% raw %}{{ 7*7 }} {doi} %(x)s ${HOME} &lt;b&gt;"
    (item,) = read_papers(write(tmp_path / "in", a_xml=jats("10.1000/a", body=body)))
    assert item.paper.txt.endswith("{% raw %}{{ 7*7 }} {doi} %(x)s ${HOME} <b>")


def test_a_paper_of_two_megabytes(tmp_path: Path) -> None:
    body = "</p><p>".join([BODY * 20] * 300)
    (item,) = read_papers(write(tmp_path / "in", a_xml=jats("10.1000/a", body=body)))
    assert len(item.paper.txt) > 2_000_000


def test_no_papers_at_all(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", a_xml="<article")
    with pytest.raises(InputError, match="(?s)no papers in .*1 files, none of them usable.*bad a.xml: broken XML"):
        prepare_papers(folder, tmp_path / "out")
    assert not (tmp_path / "out" / "papers.json").exists()
    assert read_report(tmp_path / "out" / "prepare_report.json")["papers"] == []
    for path in (tmp_path / "none", []):
        with pytest.raises(InputError, match="give the path|empty list"):
            prepare_papers(path, tmp_path / "out")
    with pytest.raises(InputError, match="no papers"):
        prepare_papers(write(tmp_path / "empty"), tmp_path / "out")


def test_files_are_found_once_in_order_below_every_path(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", b_xml="1", a_xml="2")
    write(folder / "sub", c_xml="3", __init___py="")
    write(folder / ".hidden", d_xml="4")
    assert [name for name, _ in find_files([folder, folder / "a.xml"])] == ["a.xml", "b.xml", "sub/c.xml"]
    assert [name for name, _ in find_files(str(folder / "b.xml"))] == ["b.xml"]


def test_a_failed_run_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "in", a_xml=jats("10.1000/a"))
    prepare_papers(folder, tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in os.listdir(tmp_path / "out")}
    write(folder, b_xml=jats("10.1000/b"))
    monkeypatch.setattr("sciqag_lib.ingest.prepare._write_pair", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare_papers(folder, tmp_path / "out")
    assert {name: (tmp_path / "out" / name).read_bytes() for name in os.listdir(tmp_path / "out")} == before


def test_phrases_stop_at_stop_words_and_punctuation() -> None:
    text = "Rice husk ash, and the fired clay of bricks. Clay bricks"
    assert find_phrases(text) == [
        "Rice",
        "husk",
        "Rice husk",
        "husk ash",
        "Rice husk ash",
        "fired",
        "clay",
        "fired clay",
        "bricks",
        "Clay",
        "bricks",
        "Clay bricks",
    ]


def test_candidates_are_what_the_text_repeats() -> None:
    body = "Rice husk ash holds silica. " * 3 + "Rapidly fired bricks melt once. " + "DNA repair needs DNA repair. " * 2
    found = find_candidates("Rice husk ash in bricks", body)
    assert "rice husk ash" in found and found["dna repair"] == "DNA repair"
    assert "husk" not in found and "husk ash" not in found  # always part of the longer phrase
    assert "rapidly fired bricks" not in found  # written once


def test_near_copies_of_a_keyword_go() -> None:
    words = ["Raman spectroscopy", "Raman spectroscopic", "gene profile", "gene profiles", "asthma", "mild asthma"]
    assert _drop_near_copies(words) == ["Raman spectroscopy", "gene profile", "asthma", "mild asthma"]


def test_keywords_of_a_paper_without_any(tmp_path: Path) -> None:
    report = prepare_papers(PAPERS / "clay_bricks.txt", tmp_path)
    (paper,) = read_papers_json(report.papers_path)
    words = [word.lower() for word in paper.keywords]
    assert 8 <= len(words) <= 15 and len(set(words)) == len(words)
    assert all(word in f"{paper.title} {paper.abstract} {paper.txt}".lower() for word in words)
    assert any("rice husk ash" in word for word in words) and any("thermal conductivity" in word for word in words)
    assert report.keywords == {"extracted": 1}


def test_import_is_light() -> None:
    code = (
        "import sys, sciqag_lib.ingest; print([m for m in ('torch', 'sentence_transformers', 'keybert', "
        "'pdfminer', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert found.stdout.strip() == "[]"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.sampled_from([path.read_bytes() for path in sorted(PAPERS.iterdir())]),
    suffix=st.sampled_from(["xml", "html", "txt", "json", "pdf", "md"]),
    cuts=st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 300), st.binary(max_size=8)), max_size=4),
)
def test_mutilated_files_never_surprise(tmp_path: Path, base: bytes, suffix: str, cuts: list) -> None:
    for start, length, patch in cuts:
        base = base[:start] + patch + base[start + length :]
    (tmp_path / f"a.{suffix}").write_bytes(base)
    for item in read_papers(tmp_path / f"a.{suffix}"):
        assert isinstance(item, (PreparedPaper, Skipped, BadRecord))
        if isinstance(item, PreparedPaper):
            json.dumps(item.paper.txt, ensure_ascii=False).encode("utf-8")
