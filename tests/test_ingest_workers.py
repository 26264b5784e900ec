"""01 on several processes: the same bytes, one bad file or killed worker costs nothing else."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest
import worker_tasks

from sciqag_lib.errors import BadRecord, InputError
from sciqag_lib.ingest import prepare, prepare_papers, read_report
from sciqag_lib.ingest.readers import read_files
from sciqag_lib.ingest.workers import WorkerDied, Workers, count_cores

BODY = "The limpets of the upper shore were counted every week from May to October at the same six places. "


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ["PYTHONPATH"]]))


def give_up(task: object, death: WorkerDied) -> str:
    return f"gave up {task}: {death}"


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [1, 3])
def test_results_come_in_the_order_of_the_tasks(number: int) -> None:
    with Workers(number) as workers:
        pairs = list(workers.map(worker_tasks.square, range(20), give_up, str))
    assert pairs == [(task, task * task) for task in range(20)] and workers.deaths == [] and children() == []


def test_each_worker_is_a_process_of_its_own_that_serves_many_tasks() -> None:
    with Workers(2) as workers:
        processes = [process for _, process in workers.map(worker_tasks.find_process, range(8), give_up, str)]
    assert len(set(processes)) == 2 and os.getpid() not in processes
    assert set(dict(Workers(1).map(worker_tasks.find_process, [0], give_up, str)).values()) == {os.getpid()}


def test_only_a_few_tasks_are_taken_ahead() -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    with Workers(2) as workers:
        results = workers.map(worker_tasks.square, tasks(), give_up, str)
        assert next(results) == (0, 0) and len(taken) <= 5
        list(results)
    assert len(taken) == 100


@pytest.mark.parametrize("number", [1, 2])
def test_what_a_task_raises_is_raised_here_and_what_it_prints_breaks_nothing(number: int) -> None:
    with Workers(number) as workers:
        results = workers.map(worker_tasks.refuse, range(6), give_up, str)
        assert [next(results) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
        with pytest.raises(ValueError, match="no 3"):
            next(results)


def test_a_killed_worker_is_named_and_its_task_done_again(tmp_path: Path) -> None:
    tasks = [tmp_path / name for name in ("a", "killer", "b", "c")]
    with Workers(2) as workers:
        results = list(workers.map(worker_tasks.die_once, tasks, give_up, lambda task: task.name))
    assert [result for _, result in results] == ["a", "killer", "b", "c"]
    assert workers.deaths == ["killer: signal SIGKILL"] and children() == []


def test_a_task_that_two_workers_die_of_is_given_up_and_the_others_go_on() -> None:
    with Workers(2) as workers:
        results = list(workers.map(worker_tasks.die_always, ["a", "killer", "b", "c", "d"], give_up, str))
    assert [result for _, result in results] == ["a", "gave up killer: exit code 7", "b", "c", "d"]
    assert workers.deaths == ["killer: exit code 7"] * 2


def test_closing_ends_the_workers_in_the_middle_of_their_tasks() -> None:
    started = time.monotonic()
    with Workers(2) as workers:
        results = workers.map(worker_tasks.wait_long, range(5), give_up, str)
        threading.Timer(1.0, workers.close).start()
        with pytest.raises((WorkerDied, CancelledError, RuntimeError)):  # killed, never begun, or refused
            next(results)
    assert time.monotonic() - started < 30 and children() == []


# Papers --------------------------------------------------------------------------------------------------------------


def write_papers(folder: Path, number: int) -> None:
    for place in range(number):
        text = f"Limpets of shore {place}\n\n1. Introduction\n\n" + BODY * 3 + f"Shore {place} had {place} limpets."
        (folder / f"{place:02d}.txt").write_text(text)
    (folder / "05.xml").write_text("<article>")
    (folder / "07.json").write_text(
        json.dumps([{"doi": f"10.1000/{n}", "txt": BODY * 4} for n in range(3)] + [{"doi": "x"}])
    )
    (folder / "08.txt").write_bytes(b"\xff\xfa" * 200)
    (folder / "09.txt").write_text((folder / "02.txt").read_text())  # the same text: a duplicate
    (folder / "10.docx").write_bytes(b"PK")


def test_the_output_has_the_same_bytes_whatever_the_number_of_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "BYTES_PER_WORKER", 100)
    monkeypatch.setattr(prepare, "BATCH_PAPERS", 4)
    (tmp_path / "in").mkdir()
    write_papers(tmp_path / "in", 20)
    reports = {number: prepare_papers(tmp_path / "in", tmp_path / str(number), workers=number) for number in (1, 2)}
    for name in ("papers.json", "prepare_report.json"):
        assert len({(tmp_path / str(number) / name).read_bytes() for number in reports}) == 1
    report = reports[2]
    assert (report.num_papers, len(report.skipped), len(report.bad)) == (21, 2, 3) and report.keywords[
        "extracted"
    ] == 21
    sources = [row["source"] for row in read_report(report.report_path)["papers"]]
    assert sources == sorted(sources) and children() == []


def test_a_file_that_kills_its_reader_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    write_papers(tmp_path, 4)
    killed: set[int] = set()

    def kill_readers() -> None:  # as the kernel does when memory ends, while a file is read that never ends
        while len(killed) < 2:
            for child in children():
                if any(file.path.endswith("pipe.txt") for file in _open_files(child)):
                    killed.add(child.pid)
                    os.kill(child.pid, signal.SIGKILL)
            time.sleep(0.05)

    os.mkfifo(tmp_path / "pipe.txt")
    writer = os.open(tmp_path / "pipe.txt", os.O_RDWR)
    thread = threading.Thread(target=kill_readers, daemon=True)
    thread.start()
    names = sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".txt")
    with Workers(2) as workers:
        items = list(read_files([(name, tmp_path) for name in names], workers))
    os.close(writer)
    bad = [item for item in items if isinstance(item, BadRecord) and item.file == "pipe.txt"]
    assert len(bad) == 1 and "two workers died reading it (signal SIGKILL)" in bad[0].message
    assert len(items) == len(names) and workers.deaths == ["pipe.txt: signal SIGKILL"] * 2


def _open_files(process: psutil.Process) -> list:
    links = []
    for link in Path(f"/proc/{process.pid}/fd").glob("*"):
        try:
            links.append(type("File", (), {"path": os.readlink(link)}))
        except OSError:
            continue
    return links


def test_a_fault_of_a_reader_is_a_bad_record_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_papers(tmp_path, 3)
    from sciqag_lib.ingest import readers

    whole = readers.read_documents

    def read(data: bytes, suffix: str, grobid_url: str | None = None) -> list:
        if b"shore 1" in data:
            raise RecursionError("too deep")
        return whole(data, suffix, grobid_url)

    monkeypatch.setattr(readers, "read_documents", read)
    report = prepare_papers(tmp_path, tmp_path / "out", extract=False, workers=1)
    bad = next(item for item in report.bad if item.file == "01.txt")
    assert "RecursionError: too deep" in bad.message and report.num_papers == 5


def test_workers_that_die_over_keywords_cost_the_keywords_only(tmp_path: Path) -> None:
    papers = prepare._make_batches(item for item in _read(tmp_path))
    batch = next(papers)
    assert prepare._leave_out_keywords(batch, WorkerDied("signal SIGKILL")) == [[], []]
    assert "two workers died of these 2 papers (signal SIGKILL)" in batch[0].notes[-1]


def _read(folder: Path) -> Iterator:
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(f"Limpets {name}\n\n1. Introduction\n\n" + BODY * 4 + name)
    return read_files([("a.txt", folder), ("b.txt", folder)], Workers(1))


@pytest.mark.parametrize("workers", [0, -1])
def test_a_number_of_workers_that_is_none_is_refused(tmp_path: Path, workers: int) -> None:
    with pytest.raises(InputError, match="workers: expected None or a whole number above 0"):
        prepare_papers(tmp_path, tmp_path / "out", workers=workers)
    assert count_cores() >= 1
