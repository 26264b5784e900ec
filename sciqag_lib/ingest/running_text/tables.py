"""Tables as text: one row a line, cells joined by " | ".

Spans are repeated into every cell they cover, so that each column lines up and a row can be read alone; a cell
that spans the whole row (a subheading inside a table) is written once.

    strain | rate (1/h)
    wild type | 0.61
"""

from collections.abc import Callable, Iterable
from typing import Any

MAX_SPAN = 200  # a file may claim a span of a million


def format_table(rows: Iterable[Iterable[Any]], read_cell: Callable[[Any], str]) -> str:
    """The text of a table; `rows` hold cell elements with colspan, rowspan (JATS, HTML) or cols, rows (TEI)."""
    lines: list[str] = []
    hanging: dict[int, tuple[int, str]] = {}  # column -> rows still to fill, text: cells that span downwards
    for row in map(list, rows):
        cells = _place_row(row, hanging, read_cell)
        spans_row = len(set(cells)) == 1 and len(cells) > len(row)
        if spans_row or (cells and cells[0] and not any(cells[1:])):
            lines.append(cells[0])  # a subheading inside the table
        elif any(cells):
            lines.append(" | ".join(cells))
    return "\n".join(line for line in lines if line)


def _place_row(row: list[Any], hanging: dict[int, tuple[int, str]], read_cell: Callable[[Any], str]) -> list[str]:
    cells: list[str] = []

    def fill_hanging() -> None:
        while len(cells) in hanging:
            left, text = hanging.pop(len(cells))
            if left > 1:
                hanging[len(cells)] = (left - 1, text)
            cells.append(text)

    for cell in row:
        fill_hanging()
        text = read_cell(cell)
        width, height = _span(cell, "colspan", "cols"), _span(cell, "rowspan", "rows")
        for _ in range(width):
            if height > 1:
                hanging[len(cells)] = (height - 1, text)
            cells.append(text)
    fill_hanging()
    return cells


def _span(cell: Any, *names: str) -> int:
    value = next((cell.get(name) for name in names if cell.get(name)), "1")
    return max(1, min(int(value), MAX_SPAN)) if value.isascii() and value.isdigit() else 1
