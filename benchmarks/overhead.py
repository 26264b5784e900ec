"""What the pipeline itself costs: against the raw engine, with an engine that costs nothing, in memory, to import.

    python benchmarks/overhead.py

1. The requests of a real run (llama.cpp, evidence_first) are recorded and sent again to the bare engine, in turns, the
   first of a turn now one side and now the other; ratio = wall time of the run over that of the bare engine, median.
2. An engine that answers at once: seconds of our own work per 1,000 pairs.
3. Peak memory above the imported process for 10 and for 1,000 papers of 50 kB, the JSON files rebuilt.
4. `import sciqag_lib`.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from factory import answer_all, make_record, write_papers
from fakes import FakeEngine

from sciqag_lib.engines import complete, open_engine
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.generation.run import generate

TURNS = 6
STRATEGIES = ("whole_paper", "passages", "evidence_first")


def compare_with_raw() -> None:
    """evidence_first on the sample papers: the complete run against its own requests on the bare engine.

    What the run asks only for its forecast is its own cost, and is not sent to the bare engine.
    """
    from sciqag_lib.ingest import prepare_papers
    from sciqag_lib.paths import resolve_path

    with tempfile.TemporaryDirectory() as folder, open_engine("llama_cpp") as engine:
        prepare_papers([resolve_path("data/papers")], folder, extract=False)
        requests, submit = [], engine.submit
        engine.submit = lambda request: (requests.append(request), submit(request))

        def run_pipeline(turn: int) -> float:
            started = time.perf_counter()
            generate(Path(folder) / "papers.json", Path(folder) / f"out{turn}", engine, make_recipe())
            return time.perf_counter() - started

        def run_raw() -> float:
            started = time.perf_counter()
            sum(1 for _ in complete(engine, wanted))
            return time.perf_counter() - started

        run_pipeline(0)  # warms up, and tells what is asked
        wanted = [request for request in requests if not request.id.startswith("speed#")]
        ratios = []
        for turn in range(1, TURNS + 1):
            if turn % 2:  # neither side is always the first
                pipeline, raw = run_pipeline(turn), run_raw()
            else:
                raw, pipeline = run_raw(), run_pipeline(turn)
            ratios.append(pipeline / raw)
            print(f"turn {turn}: pipeline {pipeline:.2f} s, its {len(wanted)} requests raw {raw:.2f} s", flush=True)
    print(f"pipeline over raw engine: median {statistics.median(ratios):.3f}, all {[round(r, 3) for r in ratios]}")


def measure_own_work() -> None:
    with tempfile.TemporaryDirectory() as folder:
        papers = write_papers(Path(folder) / "papers.json", 100, num_facts=400)
        for strategy in STRATEGIES:
            engine = FakeEngine(answer_all(), context_size=12888)
            started = time.perf_counter()
            report = generate(papers, Path(folder) / strategy, engine, make_recipe(strategy, context_size=12888))
            seconds = time.perf_counter() - started
            pairs = report["pairs"]["delivered"]
            print(f"{strategy}: {1000 * seconds / pairs:.2f} s per 1,000 pairs ({pairs} pairs, 100 papers of 42 kB)")


def run_in_memory(num_papers: int, strategy: str) -> None:
    """In a process of its own: kB of peak memory above what the imports took."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "papers.json"
        with path.open("w") as file:
            for number in range(num_papers):
                file.write(("[" if number == 0 else ",") + json.dumps(make_record(number, num_facts=480)))
            file.write("]")
        engine = FakeEngine(answer_all(), context_size=12888)
        engine.requests = _Forgetful()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from what the imports take
        before = read_peak()
        generate(path, Path(folder) / "out", engine, make_recipe(strategy, context_size=12888))
        print(read_peak() - before)


def read_peak() -> int:
    """kB; Linux only. getrusage's maximum also counts the process that this one was started from."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1])


class _Forgetful(list):
    """The fake engine remembers its requests for tests; here that would be the memory measured."""

    def append(self, item: object) -> None:
        pass


def compare_memory() -> None:
    for strategy in STRATEGIES:
        peaks = {}
        for num_papers in (10, 1000):
            command = [sys.executable, __file__, "--memory", str(num_papers), strategy]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            peaks[num_papers] = int(output.splitlines()[-1])
        print(
            f"{strategy}: peak above the imported process {peaks[10] / 1024:.1f} MB for 10 papers of 50 kB, "
            f"{peaks[1000] / 1024:.1f} MB for 1,000: {peaks[1000] / peaks[10] - 1:+.1%}"
        )


def measure_import() -> None:
    """Against an empty interpreter, whose start is in both."""
    times = {"pass": [], "import sciqag_lib": []}
    for _ in range(5):
        for code, seconds in times.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            seconds.append(time.perf_counter() - started)
    empty, full = (statistics.median(seconds) for seconds in times.values())
    print(f"import sciqag_lib: {full - empty:.3f} s above an empty interpreter's {empty:.3f} s")


def main() -> None:
    if sys.argv[1:2] == ["--memory"]:
        run_in_memory(int(sys.argv[2]), sys.argv[3])
        return
    measure_import()
    measure_own_work()
    compare_memory()
    compare_with_raw()


if __name__ == "__main__":
    main()
