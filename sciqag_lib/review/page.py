"""A pair beside its evidence as a still page, HTML or text: what a notebook shows where nobody reviews.

Every text is escaped: a paper that holds HTML, scripts or markup is shown as it is written.
"""

from dataclasses import dataclass
from html import escape

from sciqag_lib.review.pairs import DIMENSIONS, Review, cut_text
from sciqag_lib.text.sentences import Span

LEFT_OUT = "[...]"
BORDER = "border-bottom: 1px solid #ccc; padding: 4px 10px; text-align: left; vertical-align: top"


@dataclass(frozen=True)
class StillPage:
    """Shown as HTML by a notebook, as text by print."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


def make_page(review: Review, place: int = 0) -> StillPage:
    """The pair at `place` with the lines of the paper that hold its evidence, and the levels of each dimension."""
    pair = review.pairs[place]
    lines = list(_cut_lines(pair.paper.txt, review.find_evidence(place)))
    head = f"{pair.paper.title or pair.doi} ({pair.doi}, pair {pair.number})"
    rows = [review.describe_dimension(name) for name in DIMENSIONS]
    return StillPage(
        _make_html(head, pair.question, pair.answer, lines, rows),
        _make_text(head, pair.question, pair.answer, lines, rows),
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


def _make_html(head: str, question: str, answer: str, lines: list, rows: list) -> str:
    paper = "".join(f"<p>{''.join(_mark(*piece) for piece in line) or LEFT_OUT}</p>\n" for line in lines)
    scores = "".join(f'<th style="{BORDER}">{level["score"]}</th>' for level in rows[0]["levels"])
    table = "".join(
        f'<tr><th style="{BORDER}">{escape(row["name"])}</th><td style="{BORDER}">{escape(row["shown"])}</td>'
        + "".join(f'<td style="{BORDER}">{escape(level["label"])}</td>' for level in row["levels"]) + "</tr>\n"
        for row in rows)  # fmt: skip
    # The classes keep MathJax off: what looks like LaTeX in a paper is text too.
    return (
        '<div class="tex2jax_ignore mathjax_ignore" style="max-width: 60em">\n'
        f"<h4>{escape(head)}</h4>\n<p><b>Question</b> {escape(question)}</p>\n"
        f"<p><b>Answer</b> {escape(answer)}</p>\n"
        f'<div style="border-left: 3px solid #ccc; padding-left: 14px">\n{paper}</div>\n<table>\n'
        f'<tr><th style="{BORDER}">dimension</th><th style="{BORDER}">shown by then</th>{scores}</tr>\n'
        f"{table}</table>\n</div>"
    )


def _mark(text: str, is_evidence: bool) -> str:
    shown = escape(text)
    return f'<mark style="background: #ffe082; color: #212121">{shown}</mark>' if is_evidence else shown


def _make_text(head: str, question: str, answer: str, lines: list, rows: list) -> str:
    paper = "\n".join(
        "".join(f">>{text}<<" if is_evidence else text for text, is_evidence in line) or LEFT_OUT for line in lines
    )
    levels = "\n".join(
        f"{row['name']} ({row['shown']}): {row['asks']}\n"
        + "\n".join(f"  {level['score']}: {level['label']}" for level in row["levels"])
        for row in rows
    )
    return f"{head}\nQ: {question}\nA: {answer}\n\n{paper}\n\n{levels}"
