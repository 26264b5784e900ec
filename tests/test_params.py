"""Every committed params file: it says what it needs and how it is run, and passes run.py's own check."""

import re
from pathlib import Path

import pytest

from sciqag_lib.params import check_params, load_params

ROOT = Path(__file__).resolve().parents[1]
# train.*.yaml are arguments of train.py, not parameters of notebooks.
PARAMS = [path for path in sorted((ROOT / "params").glob("*.yaml")) if not path.name.startswith("train.")]
HARDWARE = re.compile(r"\b(CPU|GPU|GPUs|cores?|server)\b")


def check_header(text: str, name: str) -> list[str]:
    """What the comment that opens a params file does not say."""
    header = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        header.append(line.lstrip("# "))
    comment = "\n".join(header)
    missing = [] if HARDWARE.search(comment) else ["the hardware assumed"]
    return missing + ([] if f"python -m sciqag_lib.run params/{name}" in comment else ["the launch command"])


def test_the_demo_is_there() -> None:
    assert ROOT / "params" / "demo.yaml" in PARAMS


@pytest.mark.parametrize("path", PARAMS, ids=lambda path: path.name)
def test_params_file(path: Path) -> None:
    assert check_header(path.read_text(encoding="utf-8"), path.name) == []
    params = load_params(path)
    steps = check_params(params, path)
    takes_seed = any("seed" in step.known for step in steps)
    assert not takes_seed or any(key.rpartition(".")[2] == "seed" for key in params), "no seed"


def test_check_header() -> None:
    good = "# Two CPU cores.\n# python -m sciqag_lib.run params/a.yaml\nseed: 1\n"
    assert check_header(good, "a.yaml") == []
    assert check_header(good, "b.yaml") == ["the launch command"]
    assert check_header(good.replace("CPU cores", "papers"), "a.yaml") == ["the hardware assumed"]
    assert check_header("seed: 1\n" + good, "a.yaml") == ["the hardware assumed", "the launch command"]
