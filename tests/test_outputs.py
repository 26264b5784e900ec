"""The files of a run, from a ledger written by hand: every number of the report is computed here by hand."""

import json
import os
import time
import tracemalloc

import pytest
from factory import answer_all, write_papers
from fakes import FakeEngine

from sciqag_lib.engines import Completion
from sciqag_lib.generation import outputs
from sciqag_lib.generation.outputs import list_pairs, list_reasons, show_report, write_outputs
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.generation.run import generate
from sciqag_lib.inference.forecast import Plan, format_seconds
from sciqag_lib.inference.ledger import Ledger
from sciqag_lib.inference.tally import Tally

TXT = "Zinc melts at 420 °C. Iron melts at 1,538 °C."


def make_pair(number: int, origin: str = "extracted", **more) -> dict:
    return {
        "question": f"Question {number}?",
        "answer": "Zinc melts at 420 °C.",
        "origin": origin,
        "evidence": [[0, 21]],
        "support": [],
        "numbers": [],
        **more,
    }


def make_line(name: str, status: str = "done", num_pairs: int = 2, **more) -> dict:
    """A ledger line as generation writes it; 3 pairs are asked."""
    paper = {
        "source": f"{name}.xml",
        "doi": f"10.1/{name}",
        "abstract": "",
        "keywords": ["zinc"],
        "txt": TXT,
        "title": name,
    }
    line = {
        "id": f"10.1/{name}",
        "status": status,
        "reason": "",
        "message": "",
        "position": 0,
        "asked": 3,
        "paper": paper,
        "prompt_tokens": 100,
        "new_tokens": 10,
        "started": 0.0,
        "ended": 1.0,
        "calls": [],
    }
    if status != "unfinished":
        line |= {
            "delivered": num_pairs,
            "missing": ["too_few_given"] * (3 - num_pairs),
            "rejected": {},
            "keywords": [],
            "input": f"prompt of {name}",
            "output": "Q1: ...",
            "pairs": [make_pair(n) for n in range(num_pairs)],
        }
    return line | more


def make_plan(*names: str, **more) -> Plan:
    plan = Plan("papers.json", 4096, item_ids=[f"10.1/{name}" for name in names])
    for key, value in more.items():
        setattr(plan, key, value)
    return plan


@pytest.fixture
def write(tmp_path):
    """write(plan, *lines) -> report, with the files in tmp_path"""

    def start(plan: Plan, *lines: dict, stopped: str = "") -> dict:
        with Ledger(tmp_path / "ledger.jsonl", {}) as ledger:
            for line in lines:
                ledger.append(line)
            return write_outputs(ledger, plan, tmp_path, stopped)

    return start


def read(folder, name):
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


# ---------------------------------------------------------------------------------------------------- the report


def test_every_number_of_the_report(write, tmp_path):
    plan = make_plan(
        "a", "b", "c", "d", "e", "f", duplicates=["record 8 is record 1"], bad_records=["p.json, record 9: x"]
    )
    report = write(
        plan,
        make_line(
            "a",
            prompt_tokens=100,
            new_tokens=50,
            started=0.0,
            ended=10.0,
            rejected={"duplicate": 2, "weak_question": 1},
        ),
        make_line("b", "unfinished", prompt_tokens=7000, new_tokens=9000, reason="budget", started=900.0, ended=990.0),
        make_line(
            "b", num_pairs=3, prompt_tokens=200, new_tokens=60, started=5.0, ended=12.0, rejected={"duplicate": 1}
        ),
        make_line(
            "c",
            "failed",
            num_pairs=0,
            reason="no_pairs",
            prompt_tokens=300,
            new_tokens=70,
            started=20.0,
            ended=24.0,
            missing=["reply_unreadable", "duplicate", "duplicate"],
            rejected={"duplicate": 4},
        ),
        make_line(
            "d",
            "unfinished",
            reason="engine_error",
            message="timed out",
            prompt_tokens=40,
            new_tokens=5,
            started=22.0,
            ended=23.0,
        ),
        {
            key: value
            for key, value in make_line(
                "e",
                "failed",
                reason="prompt_too_long",
                message="700 > 512",
                num_pairs=0,
                prompt_tokens=0,
                new_tokens=0,
                started=24.0,
                ended=26.0,
            ).items()
            if key not in ("delivered", "missing", "rejected", "pairs", "input", "output", "keywords")
        },
        make_line("elsewhere", prompt_tokens=10**6, started=0.0, ended=10**6),
        stopped="max_minutes 5 are over",
    )
    assert report == read(tmp_path, "report")
    assert {key: value for key, value in report.items() if key != "settings"} == {
        "file_path": "papers.json",
        "stopped": "max_minutes 5 are over",
        "papers": {
            "considered": 6,
            "done": 2,
            "failed": 2,
            "unfinished": 1,
            "not_asked": 1,
            "only_on_ledger": 1,
            "duplicates": 1,
            "not_usable": 1,
            "failed_by_reason": {"no_pairs": 1, "prompt_too_long": 1},
            "unfinished_by_reason": {"engine_error": 1},
        },
        # a 2 of 3, b 3 of 3, c 0 of 3, e 0 of 3; d is not finished and f was not asked
        "pairs": {
            "asked": 12,
            "delivered": 5,
            "missing": 7,
            "missing_by_reason": {"prompt_too_long": 3, "duplicate": 2, "too_few_given": 1, "reply_unreadable": 1},
            "rejected_by_reason": {"duplicate": 7, "weak_question": 1},
        },
        # 0 to 12 s and 20 to 26 s; 640 + 185 tokens in 18 s; 4 papers are finished
        "tokens": {"prompt": 640, "new": 185, "per_second": 45.8},
        "seconds": {"total": 18.0, "per_paper": 4.5},
        "not_done": [
            {"doi": "10.1/c", "status": "failed", "reason": "no_pairs", "message": ""},
            {"doi": "10.1/d", "status": "unfinished", "reason": "engine_error", "message": "timed out"},
            {"doi": "10.1/e", "status": "failed", "reason": "prompt_too_long", "message": "700 > 512"},
        ],
        "duplicates": ["record 8 is record 1"],
        "not_usable": ["p.json, record 9: x"],
    }
    assert sum(report["pairs"]["missing_by_reason"].values()) == report["pairs"]["missing"]
    assert list(report["pairs"]["missing_by_reason"])[0] == "prompt_too_long"  # the most frequent first


@pytest.mark.parametrize(
    "spans, seconds",
    [
        ([], 0),
        ([(0, 5)], 5),
        ([(0, 5), (5, 7)], 7),
        ([(0, 5), (7, 9)], 7),
        ([(0, 9), (2, 3)], 9),
        ([(2, 3), (0, 9)], 9),
        ([(0, 4), (2, 6), (1, 3)], 6),
        ([(10, 20), (0, 5), (4, 6)], 16),
        ([(0, 5), (0, 5)], 5),
        ([(1e9, 1e9 + 2)], 2),
    ],
)
def test_busy_seconds_count_overlapping_papers_once_and_pauses_never(spans, seconds):
    tally = Tally()
    for number, (start, end) in enumerate(spans):
        tally.add(make_line(str(number), started=float(start), ended=float(end)))
    assert tally.busy_seconds() == seconds


def test_an_empty_ledger_has_no_speed(write, capsys):
    report = write(make_plan("a", "b"))
    assert report["tokens"] == {"prompt": 0, "new": 0, "per_second": None}
    assert report["seconds"] == {"total": 0.0, "per_paper": None} and report["papers"]["not_asked"] == 2
    show_report(report)
    assert "None" not in capsys.readouterr().out


def test_a_run_without_a_finished_paper_shows_no_none(write, capsys):
    report = write(make_plan("a"), make_line("a", "unfinished", reason="budget", ended=3.0))
    assert report["seconds"] == {"total": 3.0, "per_paper": None}
    show_report(report)
    assert "None" not in capsys.readouterr().out


def test_the_speed_of_a_paper_that_two_runs_worked_on_counts_the_time_of_both(tmp_path):
    """29 of its 30 calls were answered in 100 seconds; the run that finishes it needs one more call and a moment."""
    recipe, path, out = make_recipe(n_qa=10, context_size=8192), write_papers(tmp_path / "p.json", 1), tmp_path / "out"
    calls = []

    def reply(request):
        time.sleep(0.01)
        calls.append(request.id)
        failed = len(calls) == 30
        return Completion(request.id, "" if failed else answer_all()(request), "error" if failed else "stop", 100, 10)

    def speed_apart(request):
        return Completion(request.id, "yes", "error") if request.id.startswith("speed#") else reply(request)

    generate(path, out, FakeEngine(speed_apart), recipe)
    head, line = (out / "ledger.jsonl").read_text().splitlines()
    first = json.loads(line)
    assert first["status"] == "unfinished"
    (out / "ledger.jsonl").write_text(f"{head}\n{json.dumps({**first, 'started': first['started'] - 100})}\n")
    report = generate(path, out, FakeEngine(speed_apart), recipe)
    assert report["papers"]["done"] == 1 and report["tokens"]["prompt"] == 3000
    # 3,300 tokens: in 100 seconds and a moment, or, were the calls of the first run left out, 110 in that moment.
    assert report["tokens"]["per_second"] < 12_000


# ------------------------------------------------------------------------------------------------------ the files


def test_files_hold_the_input_files_papers_in_its_order(write, tmp_path):
    write(
        make_plan("c", "a", "d", "b"),
        make_line("a"),
        make_line("b", "failed", num_pairs=0, reason="no_pairs"),
        make_line("other"),
        make_line("c"),
        make_line("d", "unfinished", reason="budget"),
    )
    assert [record["doi"] for record in read(tmp_path, "processed_output")] == ["10.1/c", "10.1/a"]
    assert [record["doi"] for record in read(tmp_path, "evidence")] == ["10.1/c", "10.1/a"]
    # what a failed paper's model said is worth reading, too
    assert [record["doi"] for record in read(tmp_path, "original_output")] == ["10.1/c", "10.1/a", "10.1/b"]


def test_records_in_full(write, tmp_path):
    numbers = [{"number": "420", "unit": "C", "found": True, "unit_found": True, "start": 14, "end": 17}]
    line = make_line("a", num_pairs=1, keywords=["of the model"])
    line["paper"] |= {
        "journal": "Metals",
        "license": "CC BY",
        "sections": [{"title": "Results", "start": 0, "end": 45}],
    }
    line["pairs"] = [make_pair(7, "generated", evidence=[[0, 21], [22, 45]], support=[0.75], numbers=numbers)]
    write(make_plan("a"), line)
    assert read(tmp_path, "original_output") == [{"doi": "10.1/a", "input": "prompt of a", "output": "Q1: ..."}]
    assert read(tmp_path, "processed_output") == [
        {
            "source": "a.xml",
            "doi": "10.1/a",
            "abstract": "",
            "keywords": ["of the model"],
            "txt": TXT,
            "title": "a",
            "num_Q&A": 1,
            "Q&A": [{"Q": "Question 7?", "A": "Zinc melts at 420 °C."}],
        }
    ]
    assert read(tmp_path, "evidence") == [
        {
            "doi": "10.1/a",
            "journal": "Metals",
            "license": "CC BY",
            "sections": [{"title": "Results", "start": 0, "end": 45}],
            "pairs": [
                {
                    "Q": "Question 7?",
                    "A": "Zinc melts at 420 °C.",
                    "origin": "generated",
                    "evidence": [
                        {"start": 0, "end": 21, "text": "Zinc melts at 420 °C."},
                        {"start": 22, "end": 45, "text": "Iron melts at 1,538 °C."},
                    ],
                    "support": [0.75],
                    "numbers": numbers,
                }
            ],
            "missing": ["too_few_given"] * 2,
        }
    ]
    text = (tmp_path / "processed_output.json").read_text(encoding="utf-8")
    assert "420 °C" in text and "\\u" not in text


@pytest.mark.parametrize("keywords", [["zinc", "iron"], "zinc, iron", [], ""])
def test_the_papers_keywords_keep_their_form_where_the_model_wrote_none(write, tmp_path, keywords):
    line = make_line("a")
    line["paper"]["keywords"] = keywords
    write(make_plan("a"), line)
    assert read(tmp_path, "processed_output")[0]["keywords"] == keywords


def test_files_without_a_record_are_empty_lists(write, tmp_path):
    write(make_plan("a"))
    for name in ("original_output", "processed_output", "evidence"):
        assert (tmp_path / f"{name}.json").read_text() == "[]\n"


def test_lists_of_faults_are_bounded_their_counts_are_not(write, monkeypatch):
    monkeypatch.setattr(outputs, "LISTED", 3)
    monkeypatch.setattr("sciqag_lib.inference.tally.LISTED", 3)
    lines = [make_line(str(number), "unfinished", reason="budget") for number in range(5)]
    report = write(make_plan(*"01234", duplicates=["d"] * 9, bad_records=["b"] * 8), *lines)
    assert [len(report[key]) for key in ("not_done", "duplicates", "not_usable")] == [3, 3, 3]
    assert report["papers"] | {"unfinished": 5, "duplicates": 9, "not_usable": 8} == report["papers"]


@pytest.mark.parametrize("fail_at", range(1, 5))
def test_a_failure_leaves_each_old_file_whole(write, tmp_path, monkeypatch, fail_at):
    """The disk fails at the first, second, ... file that is to be replaced."""
    write(make_plan("a"), make_line("a"))
    names = ("original_output", "processed_output", "evidence", "report")
    before = {name: (tmp_path / f"{name}.json").read_bytes() for name in names}
    real, calls = os.fsync, []

    def failing(descriptor):
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".tmp"):
            calls.append(descriptor)
            if len(calls) == fail_at:
                raise OSError(28, "No space left on device")
        real(descriptor)

    with Ledger(tmp_path / "ledger.jsonl", {}) as ledger:
        ledger.append(make_line("b"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with pytest.raises(OSError):
                write_outputs(ledger, make_plan("a", "b"), tmp_path)
        changed = [name for name in names if (tmp_path / f"{name}.json").read_bytes() != before[name]]
        for name in names:
            read(tmp_path, name)  # whole, whichever it is
        assert len(changed) == fail_at - 1 and "report" not in changed
        assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
        write_outputs(ledger, make_plan("a", "b"), tmp_path)
    assert [record["doi"] for record in read(tmp_path, "processed_output")] == ["10.1/a", "10.1/b"]


def test_a_failure_inside_a_record_replaces_nothing(write, tmp_path):
    write(make_plan("a"), make_line("a"))
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.json")}
    broken = make_line("b")
    del broken["paper"]["txt"]
    with pytest.raises(KeyError):
        write(make_plan("a", "b"), broken)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.json")} == before and len(before) == 4
    assert not list(tmp_path.glob(".*.tmp"))


def test_rebuilding_takes_no_more_memory_for_more_papers(tmp_path):
    def peak(num_papers: int) -> int:
        folder = tmp_path / str(num_papers)
        with Ledger(folder / "ledger.jsonl", {}) as ledger:
            for number in range(num_papers):
                line = make_line(str(number))
                line["paper"]["txt"] = f"{number:03d} " * 10_000
                ledger.append(line)
            tracemalloc.start()
            write_outputs(ledger, make_plan(*map(str, range(num_papers))), folder)
            measured = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return measured

    peak(5)
    assert peak(300) - peak(10) < 290 * 1500  # bytes; a paper's text alone has 40,000


# ------------------------------------------------------------------------------------------------- what is shown


def test_the_report_on_the_screen(write, capsys):
    report = write(
        make_plan("a", "b", "c", "d", bad_records=["p.json, record 9, field 'txt': it is empty"]),
        make_line("a", prompt_tokens=12_000, new_tokens=3_000, ended=10.0, rejected={"duplicate": 2}),
        make_line("b", "failed", num_pairs=0, reason="no_pairs"),
        make_line("c", "unfinished", reason="engine_error", message="timed out", prompt_tokens=0, new_tokens=0),
        make_line("z"),
        stopped="max_total_tokens 15,000 would be passed",
    )
    show_report(report)
    assert capsys.readouterr().out.splitlines() == [
        "papers: 4 considered, 1 done, 1 failed, 1 unfinished, 1 not asked, "
        "1 only on ledger, 0 duplicates, 1 not usable",
        "pairs: 6 asked, 2 delivered, 4 missing",
        "tokens: 12,100 prompt, 3,010 new",
        "note: failed: 10.1/b: no_pairs ",
        "note: unfinished: 10.1/c: engine_error timed out",
        "note: p.json, record 9, field 'txt': it is empty",
        "stopped: max_total_tokens 15,000 would be passed. Rerun with the same output_dir to resume",
    ]
    assert list_reasons(report).values.tolist() == [["missing", "too_few_given", 4], ["rejected", "duplicate", 2]]


def test_the_table_of_pairs(write, tmp_path):
    first = make_line("First")
    second = make_line("second", num_pairs=1)
    second["paper"]["title"] = ""
    second["pairs"] = [make_pair(5, "generated", support=[1.0, 0.5], evidence=[[22, 45]])]
    write(make_plan("First", "second", "third"), first, second, make_line("third"))
    assert list_pairs(tmp_path, num_papers=2).values.tolist() == [
        ["First", "Question 0?", "Zinc melts at 420 °C.", "", "0 to 21", "extracted"],
        ["First", "Question 1?", "Zinc melts at 420 °C.", "", "0 to 21", "extracted"],
        ["10.1/second", "Question 5?", "Zinc melts at 420 °C.", "1.00, 0.50", "22 to 45", "generated"],
    ]


def test_a_run_without_pairs_shows_none(write, tmp_path):
    write(make_plan("a"))
    assert list_pairs(tmp_path).empty


@pytest.mark.parametrize(
    "seconds, shown",
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "120 min"), (7200, "2.0 h"), (90_000, "25.0 h")],
)
def test_seconds_in_words(seconds, shown):
    assert format_seconds(seconds) == shown
