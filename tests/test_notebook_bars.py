"""Progress bars of other libraries inside a kernel: text, and none at all where TQDM_DISABLE says so."""

import nbformat
import pytest
from nbclient import NotebookClient

CODE = """import sciqag_lib
from tqdm.auto import tqdm
list(tqdm(range(3), desc="loading"))
print("done")"""


@pytest.mark.parametrize("quiet", [False, True])
def test_no_bar_becomes_a_widget(quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    if quiet:
        monkeypatch.setenv("TQDM_DISABLE", "1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    assert [output.output_type for output in outputs] == ["stream"] * len(outputs)  # no display_data
    shown = {name: "".join(output.text for output in outputs if output.name == name) for name in ("stdout", "stderr")}
    assert shown["stdout"] == "done\n" and ("loading" in shown["stderr"]) is not quiet
