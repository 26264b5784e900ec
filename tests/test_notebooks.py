"""House rules of the committed notebooks. That their outputs are true is for nbval to say (`make test`)."""

import ast
import re
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FOLDERS = "home|root|work|tmp|Users|usr|mnt|opt|var|private|content"
MACHINE_PATH = re.compile(rf"(?<![\w.~])/(?:{FOLDERS})/|\b[A-Z]:\\\\?Users")
MAX_LINES = 15


def check_notebook(path: Path) -> list[str]:
    """Everything about a notebook that breaks a rule, one line each; [] where nothing does."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    problems = check_metadata(notebook)
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) == 1:
        problems += check_parameters(path, tagged[0].source)
    else:
        problems.append(f"expected one cell tagged parameters, found {len(tagged)}")
    for number, cell in enumerate(code, start=1):
        problems += [f"cell {number}: {problem}" for problem in check_cell(cell, number)]
    if not any(cell.outputs for cell in code):
        problems.append("no outputs: run it before it is committed")
    texts = [cell.source for cell in notebook.cells] + [text for cell in code for text in read_outputs(cell)]
    problems += [f"the path of a machine: {match[0]}" for text in texts for match in MACHINE_PATH.finditer(text)]
    return problems


def check_metadata(notebook: nbformat.NotebookNode) -> list[str]:
    kernel = notebook.metadata.get("kernelspec", {})
    problems = []
    if (kernel.get("name"), kernel.get("display_name")) != ("python3", "Python 3 (ipykernel)"):
        problems.append(f"expected the kernelspec python3, Python 3 (ipykernel), found {dict(kernel)}")
    if not notebook.cells or not notebook.cells[0].source.startswith("# "):
        problems.append("expected a title in the first cell")
    problems += [f"metadata.{key}: strip it" for key in ("papermill", "widgets") if key in notebook.metadata]
    if "version" in notebook.metadata.get("language_info", {}):
        problems.append("metadata.language_info.version: strip it")
    return problems


def check_parameters(path: Path, source: str) -> list[str]:
    """One literal a line with its help, and papermill, which reads the cell by a pattern, finds every name."""
    statements = ast.parse(source).body
    names, problems = [], []
    for statement in statements:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if not isinstance(statement, (ast.Assign, ast.AnnAssign)) or not isinstance(target, ast.Name):
            problems.append(f"parameters: expected `name = literal`, found {ast.unparse(statement)}")
            continue
        names.append(target.id)
        try:
            ast.literal_eval(statement.value)
        except ValueError:
            problems.append(f"parameters: {target.id}: expected a literal, found {ast.unparse(statement.value)}")
        if statement.end_lineno != statement.lineno or "  # " not in source.splitlines()[statement.lineno - 1]:
            problems.append(f"parameters: {target.id}: expected one line with `  # help` at its end")
    found = list(papermill.inspect_notebook(str(path)))
    return problems + ([] if found == names else [f"parameters: papermill finds {found}, the cell has {names}"])


def check_cell(cell: nbformat.NotebookNode, number: int) -> list[str]:
    problems = []
    is_parameters = "parameters" in cell.metadata.get("tags", [])  # one line each, as many as it needs
    if len(cell.source.splitlines()) > MAX_LINES and not is_parameters:
        problems.append(f"{len(cell.source.splitlines())} lines, {MAX_LINES} at most")
    if "raises-exception" in cell.metadata.get("tags", []):
        problems.append("the tag raises-exception makes papermill fail")
    if "tqdm.auto" in cell.source or "tqdm.notebook" in cell.source:
        problems.append("tqdm.auto leaves dead widgets; use tqdm")
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if any(isinstance(node, definitions) for node in ast.walk(ast.parse(cell.source))):
        problems.append("def or class: it belongs into sciqag_lib")
    if cell.execution_count != number:
        problems.append(f"execution count {cell.execution_count}: run all cells in order")
    if any(output.output_type == "error" for output in cell.outputs):
        problems.append("an error is stored")
    if set(cell.metadata) & {"papermill", "execution"}:
        problems.append("metadata of its execution: strip it")
    return problems


def read_outputs(cell: nbformat.NotebookNode) -> list[str]:
    texts = [output.get("text", "") for output in cell.outputs]
    return texts + [str(value) for output in cell.outputs for kind, value in output.get("data", {}).items()
                    if kind.startswith("text/") or kind.endswith("json")]  # fmt: skip


def test_there_are_notebooks() -> None:
    assert {"01_prepare_papers", "02_inference"} <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path: Path) -> None:
    assert check_notebook(path) == []


# The rules themselves ------------------------------------------------------------------------------------------------

GOOD = "seed: int = 42  # every random choice\nlimit: Optional[int] = None  # papers; None means all"


def write_notebook(path: Path, parameters: str = GOOD, code: str = "print(seed)", **changes: Any) -> Path:
    stream = nbformat.v4.new_output("stream", name="stdout", text=changes.get("output", "42\n"))
    metadata = {"tags": ["parameters"]}
    cells = [
        nbformat.v4.new_markdown_cell(changes.get("title", "# Small")),
        nbformat.v4.new_code_cell(parameters, metadata=metadata, execution_count=1),
        nbformat.v4.new_code_cell(
            code, metadata={"tags": changes.get("tags", [])}, execution_count=changes.get("count", 2),
            outputs=changes.get("outputs", [stream]),
        ),
    ]  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=cells)
    kernel = {"name": changes.get("kernel", "python3"), "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, **changes.get("metadata", {})})
    nbformat.write(notebook, path)
    return path


def test_a_good_notebook_passes(tmp_path: Path) -> None:
    assert check_notebook(write_notebook(tmp_path / "good.ipynb")) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel": "sciqag"}, "kernelspec"),
        ({"title": "Small"}, "title"),
        ({"metadata": {"papermill": {}}}, "metadata.papermill"),
        ({"metadata": {"language_info": {"version": "3.11"}}}, "language_info.version"),
        ({"parameters": "a: int | None = None  # missed by papermill"}, "papermill finds"),
        ({"parameters": "a = 1; b = 2  # two"}, "papermill finds"),
        ({"parameters": "a = 1 + len('x')  # no literal"}, "expected a literal"),
        ({"parameters": "a = 1"}, "help"),
        ({"parameters": "import os"}, "expected `name = literal`"),
        ({"code": "def f():\n    pass"}, "def or class"),
        ({"code": "class A:\n    pass"}, "def or class"),
        ({"code": "\n".join(["x = 1"] * 16)}, "16 lines"),
        ({"code": "from tqdm.auto import tqdm"}, "tqdm"),
        ({"tags": ["raises-exception"]}, "raises-exception"),
        ({"tags": ["parameters"]}, "found 2"),
        ({"count": 7}, "execution count 7"),
        ({"count": None}, "execution count None"),
        ({"outputs": []}, "no outputs"),
        ({"outputs": [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]}, "an error is stored"),
        ({"code": "open('/home/me/x')"}, "/home/"),
        ({"output": "wrote /tmp/abc/x.json\n"}, "/tmp/"),
        ({"outputs": [nbformat.v4.new_output("display_data", data={"text/html": "<a href='/root/x'>"})]}, "/root/"),
    ],
)
def test_each_rule_bites(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    problems = check_notebook(write_notebook(tmp_path / "bad.ipynb", **changes))
    assert any(message in problem for problem in problems), problems


def test_addresses_are_no_machine_paths(tmp_path: Path) -> None:
    output = "https://example.org/home/x data/tmp/x ratio 5/opt/2\n"
    assert check_notebook(write_notebook(tmp_path / "good.ipynb", output=output)) == []
