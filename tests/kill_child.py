"""One run that can be told where to die: python kill_child.py PAPERS OUTPUT_DIR URL [POINT NUMBER WHEN]

POINT is "write", "fsync" or "rename"; at its NUMBER-th call (from 1) the process gets SIGKILL, WHEN is "before" it,
"after" it or, for a write, "inside": half of the bytes are written.
"""

import os
import signal
import sys

from sciqag_lib.engines import open_engine
from sciqag_lib.generation.recipe import make_recipe
from sciqag_lib.generation.run import generate


def die_at(point: str, number: int, when: str) -> None:
    name = {"write": "write", "fsync": "fsync", "rename": "replace"}[point]
    real, calls = getattr(os, name), [0]

    def deadly(*arguments):
        calls[0] += 1
        if calls[0] == number and when == "inside":
            real(arguments[0], arguments[1][: len(arguments[1]) // 2])
        if calls[0] != number or when == "after":
            result = real(*arguments)
        if calls[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(os, name, deadly)


def main(papers: str, output_dir: str, url: str, *point: str) -> None:
    recipe = make_recipe(strategy="whole_paper", n_qa=3, context_size=8192)
    with open_engine("openai", "small", 8192, base_url=url, concurrency=2) as engine:
        if point:
            die_at(point[0], int(point[1]), point[2])
        generate(papers, output_dir, engine, recipe)


if __name__ == "__main__":
    main(*sys.argv[1:])
