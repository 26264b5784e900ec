"""Replies and sentences of other kinds than English plain text: LaTeX in JSON, other scripts, captions."""

import json
import time
from pathlib import Path

import pytest

from sciqag_lib.generation.parsing import parse_reply
from sciqag_lib.inference.judge import find_entries
from sciqag_lib.inference.latex_escapes import escape_latex

CASES = Path(__file__).parent / "cases"


def read_answer(answer: str) -> str:
    """What parse_reply makes of an answer whose JSON spelling is `answer`."""
    reply = parse_reply('{"pairs": [{"question": "How fast is the river?", "answer": "' + answer + '"}]}')
    assert reply.problems == []
    return reply.pairs[0].answer


def test_single_backslashes_of_a_json_reply_are_kept() -> None:
    reply = parse_reply((CASES / "latex_reply.txt").read_text(encoding="utf-8"))
    assert reply.problems == []
    assert [pair.answer for pair in reply.pairs] == [
        r"The ratio is 3 \times 10^{4} at \rho = 2, \nu = 5 and \theta = 1, with \text{pH} 7, \beta = 1 and "
        r"\frac{a}{b} \neq 0."
    ]


def test_line_breaks_and_tabs_of_a_json_reply_are_kept() -> None:
    reply = parse_reply((CASES / "json_newline.txt").read_text(encoding="utf-8"))
    assert [pair.answer for pair in reply.pairs] == ["First it settles.\nThen it is buried.\tBoth take a year."]


@pytest.mark.parametrize(
    "answer",
    [
        r"At \tau = 3 and \tilde{x}, \nabla T is \notin A.",
        r"\rho is low, \rm{m} and \rightarrow it falls.",
        r"A \bar{x}, \bf{b}, \forall x, \upsilon, \uparrow and \underline{x}.",
        r"It is 5\,\% at \Delta T, \{a\} and \mu m.",
        r"So \(x \ne y\) and $x\to\infty$ and $a \ni b$.",
        r"The viscosity \nu of silt is low.",
        r"The energy h\nu is high, E = h\nu.",
        r"As x \to 0 and y \to \infty, a \ne b and c \neg d hold.",
        r"The slope is \tan\theta or \tan x or \tan(x).",
        r"In ($\nu$) and (\nu, \tau) it is \textbf{high} \text {pH}.",
        r"3\times10^5 \triangleq \nu_{max} \neq\nu^2.",
        r"$2\nu = 5$ and $\top$ hold.",
    ],
)
def test_commands_with_one_backslash_stay_as_written(answer: str) -> None:
    assert read_answer(answer) == answer
    assert read_answer(answer.replace("\\", r"\\")) == answer


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (r"It settles.\nThen it is buried.", "It settles.\nThen it is buried."),
        (r"Two:\n\n- silt\n- sand", "Two:\n\n- silt\n- sand"),
        (r"a\tBoth\tThe\ttable\ttext\ttime", "a\tBoth\tThe\ttable\ttext\ttime"),
        (r"Silt.\r\nSand.\r\nreeds", "Silt.\r\nSand.\r\nreeds"),
        (r"Silt.\nnext\nnote\nrho\nonly\ntested", "Silt.\nnext\nnote\nrho\nonly\ntested"),
        (r"First.\nu is its speed.", "First.\nu is its speed."),
        (r"v = 3 m/s\nu = 5 m/s", "v = 3 m/s\nu = 5 m/s"),
        (r"where:\n\nu is its speed", "where:\n\nu is its speed"),
        (r"Areia\ne silte", "Areia\ne silte"),
        (r"a) silt\nb) sand\ne) reeds\ni) mud", "a) silt\nb) sand\ne) reeds\ni) mud"),
        (r"Silt \tan experiment", "Silt \tan experiment"),
        (r"It costs $5 and\ne costs $6.", "It costs $5 and\ne costs $6."),
        (r"At \\alpha and \\tau it rises \nu is low", "At \\alpha and \\tau it rises \nu is low"),
        (r"A \u0394 and \/ and \"b\" and \\ here", 'A \u0394 and / and "b" and \\ here'),
        (r"3 \times 10 at \\alpha.\nThen \\theta.", "3 \\times 10 at \\alpha.\nThen \\theta."),
        (r"A \\\\ b \\\times c", r"A \\ b \\times c"),
    ],
)
def test_line_breaks_tabs_and_doubled_backslashes(answer: str, wanted: str) -> None:
    assert read_answer(answer) == wanted


def test_keywords_and_judges_read_latex_alike() -> None:
    reply = parse_reply(r'{"keywords": ["\theta-phase", "\alpha"], "qa": [{"Q": "Is \tau low?", "A": "Yes."}]}')
    assert (reply.keywords, reply.pairs[0].question) == ([r"\theta-phase", r"\alpha"], r"Is \tau low?")
    found = find_entries(r'{"scores": [{"score": 3, "reasons": "Names \alpha and \times.\nGood."}]}', {"score"})
    assert found == [{"score": 3, "reasons": "Names \\alpha and \\times.\nGood."}]


def test_escapes_take_linear_time() -> None:
    for part in ("$\\nu", "\\(\\ne ", "\\n\\nu ", "\\\\", "\\[", "$ $a "):
        begin = time.perf_counter()
        escape_latex(part * 50_000)
        assert time.perf_counter() - begin < 3


def test_strict_json_comes_through_as_a_json_parser_reads_it() -> None:
    text = '\\alpha\\nu \\times 3.\nThen\tthe\nriver; \\text{pH}\n\n- silt \\\\ "x" / \u00e9 \U0001f9ea\r\n'
    assert json.loads(escape_latex(json.dumps({"A": text})))["A"] == text
