"""A pair beside its evidence as a still page of HTML: what a notebook shows where nobody reviews.

Every text is escaped: a paper that holds HTML, scripts or markup is shown as it is written.
"""

from html import escape
from typing import TYPE_CHECKING, Any

from sciqag_lib.review.pairs import DIMENSIONS, Review, cut_text
from sciqag_lib.text.sentences import Span

if TYPE_CHECKING:
    from IPython.display import HTML

LEFT_OUT = "[...]"
BORDER = "border-bottom: 1px solid #ccc; padding: 4px 10px; text-align: left; vertical-align: top"


def make_page(review: Review, place: int = 0) -> "HTML":
    """The pair at `place` with the lines of the paper that hold its evidence, and the levels of each dimension."""
    from IPython.display import HTML

    pair = review.pairs[place]
    head = f"{pair.paper.title or pair.doi} ({pair.doi}, pair {pair.number})"
    lines = _cut_lines(pair.paper.txt, review.find_evidence(place))
    paper = "".join(f"<p>{''.join(_mark(*piece) for piece in line) or LEFT_OUT}</p>\n" for line in lines)
    # The classes keep MathJax off: what looks like LaTeX in a paper is text too.
    return HTML(
        '<div class="tex2jax_ignore mathjax_ignore" style="max-width: 60em">\n'
        f"<h4>{escape(head)}</h4>\n<p><b>Question</b> {escape(pair.question)}</p>\n"
        f"<p><b>Answer</b> {escape(pair.answer)}</p>\n"
        f'<div style="border-left: 3px solid #ccc; padding-left: 14px">\n{paper}</div>\n'
        f"{_make_table([review.describe_dimension(name) for name in DIMENSIONS])}\n</div>"
    )


def _cut_lines(txt: str, spans: list[Span]) -> list[list[tuple[str, bool]]]:
    """The lines that hold evidence, each in pieces that are evidence or not; [] where lines are left out."""
    lines: list[list[tuple[str, bool]]] = []
    start = 0
    for line in txt.split("\n"):
        end = start + len(line)
        inside = [(max(a, start) - start, min(b, end) - start) for a, b in spans if a < end and b > start]
        if inside:
            lines.append(list(cut_text(line, inside)))
        elif line.strip() and (not lines or lines[-1]):
            lines.append([])
        start = end + 1
    return lines


def _make_table(rows: list[dict[str, Any]]) -> str:
    scores = "".join(f'<th style="{BORDER}">{level["score"]}</th>' for level in rows[0]["levels"])
    table = "".join(
        f'<tr><th style="{BORDER}">{escape(row["name"])}</th><td style="{BORDER}">{escape(row["shown"])}</td>'
        + "".join(f'<td style="{BORDER}">{escape(level["label"])}</td>' for level in row["levels"]) + "</tr>\n"
        for row in rows)  # fmt: skip
    head = f'<tr><th style="{BORDER}">dimension</th><th style="{BORDER}">shown by then</th>{scores}</tr>'
    return f"<table>\n{head}\n{table}</table>"


def _mark(text: str, is_evidence: bool) -> str:
    shown = escape(text)
    return f'<mark style="background: #ffe082; color: #212121">{shown}</mark>' if is_evidence else shown
