"""A benchmark run that can be told where to die: python benchmark_kill_child.py TEST OUTPUT_DIR URL [POINT NUMBER WHEN]

See kill_child.py for POINT, NUMBER and WHEN.
"""

import sys

from sciqag_lib.benchmark.answers import answer_file, make_answering
from sciqag_lib.benchmark.judging import judge_answers, make_car_judging
from sciqag_lib.benchmark.report import write_benchmark
from sciqag_lib.engines import open_engine
from tests.kill_child import die_at


def main(test: str, output_dir: str, url: str, *point: str) -> None:
    if point:
        die_at(point[0], int(point[1]), point[2])
    with open_engine("openai", "small", 8192, base_url=url, concurrency=2) as engine:
        answer_file(test, output_dir, engine, make_answering())
        judge_answers(output_dir, engine, make_car_judging())
    write_benchmark(output_dir)


if __name__ == "__main__":
    main(*sys.argv[1:])
