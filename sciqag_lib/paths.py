"""Where files lie: the repository's root, files that an installed package carries, and writing without half files.

resolve_path("data/papers")  # below the repository's root, whatever the working folder is
resolve_path("package://allofplos/starter_corpus")  # a folder of an installed package, which is not imported
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from sciqag_lib.errors import InputError

REPO_ROOT = Path(__file__).resolve().parents[1]
PACKAGE_SCHEME = "package://"


def resolve_path(path: str | Path) -> Path:
    """The absolute path of a parameter: relative ones start at REPO_ROOT, `package://name/sub/path` in a package.

    Paths below runs/ start at the folder that the environment variable SCIQAG_RUNS names, where it names one: on
    another disk, or for tests, which must neither use nor touch the results of earlier runs.
    InputError: the package is not installed, or it has no such file. A plain path need not exist, it may be an
    output.
    """
    text = str(path)
    if text.startswith(PACKAGE_SCHEME):
        return _resolve_in_package(text)
    path = Path(text).expanduser()
    if path.parts[:1] == ("runs",) and os.environ.get("SCIQAG_RUNS"):
        return Path(os.environ["SCIQAG_RUNS"], *path.parts[1:]).resolve()
    return (REPO_ROOT / path).resolve()


def _resolve_in_package(text: str) -> Path:
    name, _, inside = text.removeprefix(PACKAGE_SCHEME).partition("/")
    if not name.isidentifier():
        raise InputError(f"{text}: expected package://name/path with the name it is imported by, found {name!r}")
    spec = find_spec(name)  # of a top-level module: finds its folder without running its code
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise InputError(f"{text}: no package {name!r} is installed here; install it (pip install {name}) or change it")
    root = Path(folders[0]).resolve()
    found = (root / inside).resolve()
    if not found.is_relative_to(root):
        raise InputError(f"{text}: leads out of the package; give a path inside {name}")
    if not found.exists():
        raise InputError(
            f"{text}: the package {name} is installed but has no {inside!r}; look into {root} for the name"
        )
    return found


@contextmanager
def write_atomic(path: str | Path, binary: bool = False, durable: bool = True) -> Iterator[IO[Any]]:
    """A UTF-8 text file, or a binary one, that appears under `path` whole or not at all; the folder is made where
    it is missing.

    What is written goes to a temporary file in the same folder, is flushed to the disk and renamed over `path` when the
    block ends; where the block raises, the temporary file is removed and an older `path` stays as it was. What can
    be made again, a cache, need not be `durable`: it then does not wait for the disk.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    os.close(handle)  # opened anew below, so that the file that is handed out knows its name
    try:
        form: dict[str, Any] = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8", "newline": "\n"}
        with open(temporary, **form) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_current_umask())  # mkstemp makes it readable by its owner alone
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and not error.filename:  # a full disk does not say which file it failed
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    if durable:
        sync_path(path.parent)


def _current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def sync_path(path: Path) -> None:
    """Flush a file to the disk, or a folder, so that a rename in it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if path.is_file():  # not every file system can flush a folder, and its files are on the disk already
            raise
    finally:
        os.close(descriptor)
