"""Paths of parameters, and files that are whole or not there."""

import os
import sys
from pathlib import Path

import pytest

from sciqag_lib.errors import InputError
from sciqag_lib.paths import REPO_ROOT, resolve_path, write_atomic


def test_relative_paths_start_at_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_path("data/papers") == REPO_ROOT / "data" / "papers"
    assert resolve_path(tmp_path / "x") == tmp_path / "x"
    assert (REPO_ROOT / "sciqag_lib").is_dir()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that must not be imported, on the path."""
    folder = tmp_path / "carrier_pkg"
    (folder / "files").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "files" / "a.xml").write_text("<a/>")
    (tmp_path / "secret.txt").write_text("outside")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "carrier_pkg"


def test_package_files_are_found_without_import(package: str) -> None:
    assert resolve_path(f"package://{package}/files/a.xml").read_text() == "<a/>"
    assert package not in sys.modules


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("package://no_such_package/x", "no package 'no_such_package'"),
        ("package://carrier_pkg/none.xml", "no 'none.xml'"),
        ("package://carrier_pkg/../secret.txt", "out of the package"),
        ("package://../x", "expected package://name/path"),
    ],
)
def test_package_paths_that_lead_nowhere(package: str, path: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_path(path)


def test_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    with write_atomic(path) as file:
        file.write("é\n")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == "é\n".encode()
    with pytest.raises(ZeroDivisionError), write_atomic(path) as file:
        file.write("half")
        raise ZeroDivisionError
    assert path.read_bytes() == "é\n".encode()
    assert os.listdir(path.parent) == ["a.json"]


def test_file_is_readable_by_others_as_usual(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with write_atomic(tmp_path / "atomic"):
        pass
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_runs_lie_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SCIQAG_RUNS", str(tmp_path))
    assert resolve_path("runs/demo/x.json") == tmp_path / "demo" / "x.json"
    assert resolve_path("data/runs") == REPO_ROOT / "data" / "runs"
    monkeypatch.delenv("SCIQAG_RUNS")
    assert resolve_path("runs/demo") == REPO_ROOT / "runs" / "demo"
