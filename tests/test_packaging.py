"""The environment: licences of everything that is installed, pins that agree, light imports, the commands' files."""

import ast
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def read_requirements(name: str) -> list[Requirement]:
    lines = (re.split(" #| --hash", line)[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def read_without_dependencies() -> list[Requirement]:
    return read_requirements("requirements-nodeps.txt") + read_requirements("requirements-hashed.txt")


# Licences ------------------------------------------------------------------------------------------------------------

COPYLEFT = re.compile(r"\b[AL]?GPL|GNU (Affero |Lesser |Library )?General Public", re.IGNORECASE)
HARMLESS = re.compile(r"[AL]?GPL[\w.+-]* WITH GCC-exception[\w.-]*", re.IGNORECASE)  # the runtime in compiled wheels
# Distributions whose metadata say nothing of a licence, or the wrong thing, and why they may be used.
EXCEPTIONS = {"cuda-toolkit": "a list of dependencies without files of its own; each of them names NVIDIA's licence"}


def is_copyleft(licence: str) -> bool:
    """Whether a licence leaves no choice but GPL, LGPL or AGPL. `A OR B` is a choice, unless an AND stands beside."""
    licence = HARMLESS.sub("", licence)
    choices = [licence] if re.search(r"\bAND\b", licence) else re.split(r"\sOR\s", licence)
    return all(COPYLEFT.search(choice) for choice in choices)


def read_licences(fields: metadata.PackageMetadata) -> list[str]:
    """What a distribution says of its licence: the expression alone where it has one, else all that it has."""
    if fields.get("License-Expression"):
        return [fields["License-Expression"]]
    # Some put the whole text into License, with those of bundled libraries after it; the first line is its name.
    first_line = next((line.strip() for line in (fields.get("License") or "").splitlines() if line.strip()), "")
    classifiers = [value for value in fields.get_all("Classifier") or [] if value.startswith("License")]
    return [licence for licence in (first_line, *classifiers) if licence not in ("", "UNKNOWN")]


def collect_distributions(roots: list[Requirement], with_dependencies: bool = True) -> dict[str, metadata.Distribution]:
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    queue = [(root, extra) for root in roots for extra in ("", *root.extras)]
    while queue:
        requirement, extra = queue.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found[name] = metadata.distribution(name)
        for text in found[name].requires or [] if with_dependencies else []:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                queue += [(needed, wanted) for wanted in ("", *needed.extras)]
    return found


def test_nothing_installed_is_copyleft() -> None:
    everything = collect_distributions(read_requirements("requirements.txt"))
    everything |= collect_distributions(read_without_dependencies(), with_dependencies=False)
    assert len(everything) > 100  # the closure, not the list
    refused = {name: found for name, d in everything.items() for found in [read_licences(d.metadata)]
               if name not in EXCEPTIONS and (not found or any(map(is_copyleft, found)))}  # fmt: skip
    assert refused == {}


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("MIT", False),
        ("LGPLv3", True),
        ("AGPL-3.0-only", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("License :: OSI Approved :: GNU Lesser General Public License v2 (LGPLv2)", True),
        ("MPL-1.1 OR GPL-2.0-only OR LGPL-2.1-or-later", False),
        ("GPL-2.0-only OR LGPL-2.1-or-later", True),
        ("MIT AND LGPL-2.1-or-later", True),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", False),
    ],
)
def test_is_copyleft(licence: str, expected: bool) -> None:
    assert is_copyleft(licence) is expected


def test_the_licence_is_apache() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text and "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
    assert (ROOT / "NOTICE").read_text().startswith("SciQAG\n")


# Pins ----------------------------------------------------------------------------------------------------------------


NAMES = ["requirements.txt", "requirements-nodeps.txt", "requirements-hashed.txt", "requirements-gpu.txt"]


@pytest.mark.parametrize("name", NAMES)
def test_every_requirement_is_pinned(name: str) -> None:
    for requirement in read_requirements(name):
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], f"{name}: {requirement}"


def test_every_hashed_requirement_has_one_hash() -> None:
    lines = [line for line in (ROOT / "requirements-hashed.txt").read_text().splitlines() if not line.startswith("#")]
    assert lines and all(re.fullmatch(r"\S+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)


def test_the_pins_are_what_is_installed() -> None:
    for requirement in read_requirements("requirements.txt") + read_without_dependencies():
        installed = metadata.version(requirement.name)
        assert requirement.specifier.contains(installed), f"{requirement} is pinned, {installed} is installed"


def test_conda_and_pip_have_the_same_pins() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip_lines = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert sorted(pip_lines) == sorted(map(str, read_requirements("requirements.txt")))
    python = next(entry for entry in environment["dependencies"] if str(entry).startswith("python="))
    assert python in ("python=3.11", "python=3.12")


def test_every_import_is_a_requirement() -> None:
    requirements = read_requirements("requirements.txt") + read_without_dependencies()
    pinned = {canonicalize_name(requirement.name) for requirement in requirements}
    owners = metadata.packages_distributions()
    own = {
        "sciqag_lib",
        "train",
        "conftest",
        *(path.stem for path in (ROOT / "tests").glob("*.py")),
        "tests",
        "benchmarks",
        "figures",
    }
    own |= {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    for place, name in iterate_imports():
        if name not in sys.stdlib_module_names and name not in own:
            assert pinned & set(map(canonicalize_name, owners.get(name, []))), f"{place} imports {name}, not pinned"


def iterate_imports() -> list[tuple[str, str]]:
    """(file, top-level module) of every import of the project, in its notebooks too."""
    sources = [(path, path.read_text()) for folder in ("sciqag_lib", "tests", "benchmarks")
               for path in sorted((ROOT / folder).rglob("*.py"))]  # fmt: skip
    sources.append((ROOT / "train.py", (ROOT / "train.py").read_text()))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        sources += [(path, cell.source) for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    found = []
    for path, source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                found += [(path.name, alias.name.split(".")[0]) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.append((path.name, node.module.split(".")[0]))
    return found


# Light imports -------------------------------------------------------------------------------------------------------

HEAVY = ("torch", "transformers", "sentence_transformers", "sklearn", "pandas", "matplotlib", "papermill", "deepspeed",
         "spacy", "lemminflect")  # fmt: skip
IMPORT_ALL = f"""
import importlib, pkgutil, sys
import sciqag_lib
names = ["sciqag_lib", *(m.name for m in pkgutil.walk_packages(sciqag_lib.__path__, "sciqag_lib."))]
for name in names:
    before = set(sys.modules)
    importlib.import_module(name)
    heavy = [module for module in {HEAVY} if module in sys.modules and module not in before]
    if heavy:
        print(name, *heavy)
print(len(names), "modules")
"""


def test_no_module_imports_heavy_packages() -> None:
    result = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert result.returncode == 0, result.stderr
    *heavy, count = result.stdout.splitlines()
    # What is made of them, imported where it is used, and what is imported when training begins.
    allowed = {
        "sciqag_lib.engines.int8",
        "sciqag_lib.engines.loading",
        "sciqag_lib.engines.transformers",
        *(f"sciqag_lib.training.{name}" for name in ("attention", "machine", "model", "monitor", "summary", "trainer")),
    }
    assert {line.split()[0] for line in heavy} <= allowed
    assert int(count.split()[0]) > 10


# Commands ------------------------------------------------------------------------------------------------------------


def run_make(*arguments: str) -> subprocess.CompletedProcess:
    # Without the variables of a make that runs the tests, which would have it print the folders it enters.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
    return subprocess.run(["make", *arguments], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60)


def test_make_installs_torch_first_and_only_once(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    lines = run_make("--dry-run", "demo", f"VENV={venv}", "TORCH_INDEX=https://example.org/cpu").stdout.splitlines()
    installs = [line for line in lines if "pip install" in line]
    assert "--index-url https://example.org/cpu" in installs[0] and "torch==" in installs[0]
    assert "-r requirements.txt" in installs[1] and "--no-deps -r requirements-nodeps.txt" in installs[2]
    assert installs[3].endswith("--no-deps --require-hashes -r requirements-hashed.txt")
    assert "--no-deps" in installs[4] and installs[4].endswith("-e .")
    assert lines[-1].endswith("-m sciqag_lib.run params/demo.yaml")
    venv.mkdir()
    (venv / ".installed").touch()
    again = run_make("--dry-run", "demo", f"VENV={venv}").stdout
    assert "pip install" not in again and "sciqag_lib.run params/demo.yaml" in again


def test_make_test_is_strict_about_notebooks_and_skips_the_slow(tmp_path: Path) -> None:
    command = run_make("--dry-run", "test", f"VENV={tmp_path}").stdout.splitlines()[-1]
    assert "--nbval " in command and "--nbval-current-env" in command and command.endswith("notebooks tests")
    assert '-m "not slow and not gpu"' in command
    assert '-m "slow and not gpu"' in run_make("--dry-run", "test-slow", f"VENV={tmp_path}").stdout.splitlines()[-1]


def test_make_names_a_python_it_cannot_use(tmp_path: Path) -> None:
    result = run_make("demo", "PYTHON=/no/python", f"VENV={tmp_path}/venv")
    assert result.returncode != 0
    assert "expected Python 3.11 or 3.12" in result.stdout + result.stderr


def test_ci_runs_the_same_tests() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111, "not executable"
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash" and lines[-1] == "make test"
    assert "set -euo pipefail" in lines
