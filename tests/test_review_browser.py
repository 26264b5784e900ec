"""The review in a real browser: Chromium against a JupyterLab server on loopback, worked with the keyboard.

Needs Debian's `chromium` package, or another Chromium on the path; skipped where there is none. No browser is
downloaded: playwright only drives the one that is installed.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import papermill
import psutil
import pytest

from sciqag_lib.review.pairs import DIMENSIONS, open_review

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no browser is installed: apt-get install chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -r requirements.txt")

HOSTILE = "<script>window.broken = 1</script><img src=x onerror='window.broken = 2'> **bold** $x^2$ \\(y\\)"
FACT = "Sample {} was heated to 40{} K."
FILLER = "The 𝛼 phase of alloy {} was left aside, since it is of no use for the question that is asked here."
NUM_LINES = 2000  # together with what follows a paper of 200,000 characters


def write_paper(folder: Path) -> None:
    """One long paper, full of markup, with three pairs, and their evidence far down in it."""
    lines = [f"Heating. {HOSTILE}", "Methods", *(FILLER.format(number) for number in range(NUM_LINES))]
    for number in range(3):
        lines.insert(500 * (number + 1), FACT.format(number, number))
    txt = "\n".join(lines)
    pairs = [
        {"Q": f"How hot was sample {number}? {HOSTILE}", "A": f"{FACT.format(number, number)} {HOSTILE}"}
        for number in range(3)
    ]
    record = {"doi": "10.1/a", "txt": txt, "title": f"Heat {HOSTILE}", "keywords": [], "num_Q&A": 3, "Q&A": pairs}
    evidence = []
    for number, pair in enumerate(pairs):
        text = FACT.format(number, number)
        start = txt.index(text)
        evidence.append({**pair, "evidence": [{"start": start, "end": start + len(text), "text": text}]})
    (folder / "qas.json").write_text(json.dumps([record]), encoding="utf-8")
    (folder / "evidence.json").write_text(json.dumps([{"doi": "10.1/a", "pairs": evidence}]), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the notebook, its parameters set: Anna's reviews, and the sample that nobody reviews."""
    folder = tmp_path_factory.mktemp("lab")
    write_paper(folder)
    for name, rater in (("review", "Anna"), ("killed", "Anna"), ("sample", None)):
        parameters = {"file_path": str(folder / "qas.json"), "output_dir": str(folder / name), "rater": rater}
        path = str(folder / f"{name}.ipynb")
        papermill.execute_notebook(
            ROOT / "notebooks" / "08_review.ipynb", path, parameters, prepare_only=True, progress_bar=False
        )
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs = []
        nbformat.write(notebook, path)
    return folder


@pytest.fixture(scope="module")
def lab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab server on that folder."""
    token = secrets.token_hex(16)
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "run",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
    }
    environment = os.environ | {name: str(folder / place) for name, place in folders.items()}
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--ip=127.0.0.1",
        "--ServerApp.port=0",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder}",
        "--expose-app-in-browser",
        *(["--allow-root"] if os.getuid() == 0 else []),
    ]
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield f"{wait_for_address(folder, server)}lab/tree/{{}}?reset&token={token}"
    finally:
        server.terminate()
        server.wait(20)


def wait_for_address(folder: Path, server: subprocess.Popen) -> str:
    for _ in range(300):
        found = list((folder / "run").glob("jpserver-*.json"))
        if found and found[0].stat().st_size:
            return json.loads(found[0].read_text())["url"]
        assert server.poll() is None, (folder / "lab.log").read_text()
        time.sleep(0.1)
    raise AssertionError("JupyterLab did not start: " + (folder / "lab.log").read_text())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.getuid() == 0 else []  # Chromium's sandbox is not for root
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*options, "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1500, "height": 1050})
    page.set_default_timeout(30_000)
    yield page
    page.close()


def run_notebook(page: Any, address: str) -> None:
    page.goto(address)
    wait_for_kernel(page)
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")


def wait_for_kernel(page: Any) -> None:
    page.wait_for_function(
        "() => { const kernel = window.jupyterapp?.shell?.currentWidget?.context?.sessionContext"
        "?.session?.kernel;"
        "return kernel?.connectionStatus === 'connected' && kernel.status === 'idle'; }"
    )


class Reviewer:
    """A person at the keyboard of an open review, whose output_dir is `folder`."""

    def __init__(self, page: Any, folder: Path) -> None:
        self.page, self.folder = page, folder
        page.wait_for_function("() => document.querySelector('.sciqag-question')?.textContent")
        page.wait_for_function("() => document.activeElement.className.includes('sciqag-review')")
        page.wait_for_timeout(1200)  # until the page has settled where its review is

    def press(self, keys: str, until: str = "") -> None:
        """Press keys one after the other; `until` is "pair dimension" that is current afterwards."""
        for key in keys.split():
            self.page.keyboard.press(key)
        if until:
            self.page.wait_for_function(
                "now => { const { place, current } = document.querySelector('.sciqag-review')"
                ".dataset; return `${place} ${current}` === now; }",
                arg=until,
            )

    @property
    def steps(self) -> list[tuple[Any, ...]]:
        """Number of the pair in the paper, and what was given: from the file, with nothing in between."""
        path = self.folder / "raters" / "Anna.jsonl"
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        keys = ("dimension", "score", "skipped", "comment")
        return [(record["pair"], *(record[key] for key in keys if key in record)) for record in records]

    def text(self, name: str) -> str:
        return self.page.locator(f".sciqag-{name}").first.text_content()

    def evaluate(self, script: str) -> Any:
        return self.page.evaluate(script)


def kill_kernels(folder: Path) -> None:
    """All those of this folder's own server: their connection files lie in its runtime folder."""
    kernels = [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(part.startswith(str(folder / "run")) for part in process.info["cmdline"] or ())
    ]
    assert kernels
    for kernel in kernels:
        kernel.kill()


def order_of(folder: Path) -> list[int]:
    return [pair.number for pair in open_review(folder / "qas.json").pairs]


def check_inert(page: Any) -> None:
    assert page.evaluate("() => window.broken") is None
    made = ".jp-OutputArea-output :is(script, img:not([src^='data:']), b, strong, mjx-container, .MathJax)"
    found = page.evaluate(f'() => [...document.querySelectorAll("{made}")].map((one) => one.outerHTML)')
    assert [one for one in found if one not in ("<b>Question</b>", "<b>Answer</b>")] == []


def test_a_review_by_keyboard(lab: str, page: Any, folder: Path) -> None:
    run_notebook(page, lab.format("review.ipynb"))
    anna, (first, second, third) = Reviewer(page, folder / "review"), order_of(folder)
    cells = (
        "() => { const { widgets, mode } = window.jupyterapp.shell.currentWidget.content; return [mode, ...widgets"
        ".map(({ model }) => `${model.id} ${model.type} ${model.executionCount}`)].join(); }"
    )
    before = anna.evaluate(cells)
    assert (anna.text("count"), anna.text("question")) == ("Pair 1 of 3", f"How hot was sample {first}? {HOSTILE}")
    assert "Heat" not in anna.text("paper") and anna.text("answer") == "shown when relevance is scored"

    anna.press("3", until="0 relevance")
    assert anna.steps == [(first, "agnosticism", 3)]
    assert anna.text("title") == f"Heat {HOSTILE}" and HOSTILE in anna.text("paper")
    anna.press("2", until="0 completeness")
    assert anna.steps[1:] == [(first, "relevance", 2)]
    assert anna.text("answer") == f"{FACT.format(first, first)} {HOSTILE}"
    page.wait_for_selector(".sciqag-evidence")
    assert page.locator(".sciqag-evidence").all_text_contents() == [FACT.format(first, first)]
    assert anna.evaluate(
        "() => { const [mark, pane] = ['.sciqag-evidence', '.sciqag-paper'].map((name) => document"
        ".querySelector(name).getBoundingClientRect());"
        "return mark.top > pane.top && mark.bottom < pane.bottom; }"
    ), "evidence is out of sight"
    page.screenshot(path=folder / "review.png")
    check_inert(page)

    anna.press("c")
    page.keyboard.type("1 unit, b dd")
    anna.press("Enter")
    page.wait_for_function("() => document.querySelector('.sciqag-comment').textContent")
    assert anna.steps[2:] == [(first, "comment", "1 unit, b dd")[::2]]
    anna.press("c")
    page.keyboard.type("3")
    anna.press("Escape")
    anna.press("1 3 2", until="1 agnosticism")
    assert anna.steps[3:] == [(first, "completeness", 1), (first, "accuracy", 3), (first, "reasonableness", 2)]
    assert "1 scored, 0 skipped" in anna.text("progress") and "Heat" not in page.locator(".sciqag-paper").inner_text()
    anna.press("Backspace", until="0 reasonableness")
    anna.press("b", until="0 accuracy")
    anna.press("1", until="1 agnosticism")
    anna.press("s", until="2 agnosticism")
    assert anna.steps[6:] == [(first, "accuracy", 1), (second, True)]
    anna.press("ArrowLeft", until="1 agnosticism")
    anna.press("ArrowRight", until="2 agnosticism")
    anna.press("1", until="2 relevance")
    anna.press("k", until="2 agnosticism")
    anna.press("j", until="2 relevance")

    anna.evaluate("() => document.querySelector('.sciqag-review').closest('.jp-WindowedPanel-outer').scrollTo(0, 0)")
    page.wait_for_timeout(300)
    anna.press("3")
    page.wait_for_function("() => document.querySelector('.sciqag-notice').textContent.includes('out of sight')")
    assert len(anna.steps) == 9, "scored a question that was scrolled away"

    anna.press("d d a x v z m y 0 9 Enter Shift+Enter Escape Shift+M Space PageDown ? Escape l l e e")
    anna.press("1", until="2 completeness")
    assert anna.steps[8:] == [(third, "agnosticism", 1), (third, "relevance", 1)]
    assert anna.evaluate(cells) == before, "a command of JupyterLab's was run"
    strike = (
        "options => document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, cancelable:"
        "true, ...options }))"
    )
    page.evaluate(strike, {"key": "2", "repeat": True})  # a key held down
    page.evaluate(strike, {"key": "é", "code": "Digit2"})  # the same key of a French keyboard
    anna.press("2 2", until="2 ")
    assert anna.steps[10:] == [(third, name, 2) for name in DIMENSIONS[2:]]
    assert anna.text("count") == "All done" and "Every pair is scored or skipped" in anna.text("notice")
    check_inert(page)
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    stored = (folder / "review.ipynb").read_text(encoding="utf-8")
    assert "widget-view+json" in stored and "heated to" not in stored and "1 unit" not in stored


def test_a_review_outlives_its_kernel(lab: str, page: Any, folder: Path) -> None:
    run_notebook(page, lab.format("killed.ipynb"))
    anna, first = Reviewer(page, folder / "killed"), order_of(folder)[0]
    anna.press("3", until="0 relevance")
    kill_kernels(folder)
    anna.press("2")
    page.wait_for_selector(".sciqag-grave")
    assert "No answer from the kernel" in anna.text("notice")
    assert anna.steps == [(first, "agnosticism", 3)]
    page.click(".jp-Dialog button.jp-mod-accept")  # "the kernel has died, it is restarted"
    wait_for_kernel(page)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_selector(".sciqag-grave", state="detached")
    anna = Reviewer(page, folder / "killed")
    anna.press("2", until="0 completeness")
    assert anna.steps == [(first, "agnosticism", 3), (first, "relevance", 2)]


def test_the_sample_is_inert(lab: str, page: Any) -> None:
    run_notebook(page, lab.format("sample.ipynb"))
    page.wait_for_selector("mark")
    page.wait_for_selector(".jp-OutputArea-output:has-text('nobody has scored a pair yet')")
    page.wait_for_timeout(1000)  # MathJax comes late where it comes
    assert HOSTILE in page.locator(".jp-OutputArea-output:has(mark)").text_content()
    check_inert(page)
