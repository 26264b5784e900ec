"""The house has one direction: a package imports what lies below it, and nothing beside or above."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "sciqag_lib"
FLOORS = [  # from the ground
    {"errors"},
    {"paths"},
    {"tables", "figure_style", "params"},
    {"records", "text"},
    {"engines"},
    {"metrics"},
    {"inference"},
    {"ingest", "checks", "question_writer"},
    {"generation", "analysis", "racar", "tasks"},
    {"dataset", "agreement", "benchmark", "training"},
    {"review", "long_context", "downstream"},
    {"run"},
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
ONLY = {"engines": {"errors", "paths"}, "metrics": {"errors", "engines", "text"}, "text": {"errors", "paths"}}


def list_arrows() -> list[tuple[str, str, str]]:
    """(file, its room, the room it imports) for every import of the library, those inside functions too."""
    arrows = []
    for path in sorted(LIBRARY.rglob("*.py")):
        inside = path.relative_to(LIBRARY)
        room = inside.parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else names
            arrows += [(str(inside), room, name.split(".")[1]) for name in names if name.startswith("sciqag_lib.")]
            if names == ["sciqag_lib"] and isinstance(node, ast.ImportFrom):
                arrows += [(str(inside), room, alias.name) for alias in node.names]
    return arrows


def test_imports_only_go_down() -> None:
    arrows = list_arrows()
    assert len(arrows) > 300
    wrong = {(file, there) for file, here, there in arrows if here != there and FLOOR_OF[here] <= FLOOR_OF[there]}
    assert wrong == set()


def test_engines_know_nothing_of_papers_and_metrics_nothing_of_files() -> None:
    wrong = {(file, there) for file, here, there in list_arrows() if here in ONLY and there not in ONLY[here] | {here}}
    assert wrong == set()


def test_every_module_has_a_room_and_every_room_says_what_goes_in_and_out() -> None:
    rooms = {path.stem for path in LIBRARY.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} == set(FLOOR_OF)
    assert len(list(LIBRARY.glob("*.py"))) <= 15
    for path in LIBRARY.glob("*/__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_the_library_knows_no_script_and_no_notebook() -> None:
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = (node.module or "") if isinstance(node, ast.ImportFrom) else ""
            assert module.split(".")[0] not in ("train", "tests", "benchmarks", "figures"), path
