"""How all figures look, and how they are saved: sizes, colours, layout, bytes.

with new_figure(title, ONE_COLUMN, 2.9) as (figure, axes):
    axes.plot(...)
save_figure(figure, output_dir, "name")
"""

import math
import re
import textwrap
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sciqag_lib.paths import write_atomic

if TYPE_CHECKING:  # pyplot takes a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ONE_COLUMN, TWO_COLUMNS = 3.4, 7.0  # inches
DPI = 200  # of saved pixels
BLUE, ORANGE, LIGHT = "#0072B2", "#D55E00", "#C8C8C8"  # Okabe and Ito's: told apart by all kinds of colour vision
RED = "#E00000"
PALETTE = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito's, for up to six series
STYLE = {
    "text.parse_math": False,  # a title may hold a lone "$"
    "hatch.linewidth": 0.4,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.0,
    "pdf.fonttype": 42,  # publishers refuse Type 3 fonts
}


def save_figure(figure: "Figure | None", folder: str | Path, name: str) -> list[Path]:
    """Write `name`.png (200 dpi) and `name`.pdf into a folder and return their paths; no half file appears.

    The same figure gives the same bytes: no date and no program is written into them. ValueError: a name of other
    characters than ASCII letters, digits, "_", "-" and, not in first place, ".". A figure of None writes nothing.
    """
    import matplotlib.pyplot as plt

    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise ValueError(f'name: expected letters, digits, "_", "-" and "." (not first), found {name!r}')
    if figure is None:
        return []
    unsigned = {"png": {"Software": None}, "pdf": {"Creator": None, "Producer": None, "CreationDate": None}}
    paths = [Path(folder) / f"{name}.{kind}" for kind in unsigned]
    with plt.style.context(["default", STYLE]):
        for path, (kind, metadata) in zip(paths, unsigned.items()):
            with write_atomic(path, binary=True) as file:
                figure.savefig(file, format=kind, dpi=DPI, metadata=metadata)
    return paths


@contextmanager
def new_figure(
    title: str, width: float, height: float, scale: float = 1.0, ncols: int = 1, layout: str = "constrained"
) -> Iterator[tuple["Figure", Any]]:
    """A figure and its axes in this module's style, whatever the caller's; text is `scale` times as large."""
    import matplotlib.pyplot as plt

    sizes = {"font.size": 7, "axes.labelsize": 7, "axes.titlesize": 7.5, "figure.titlesize": 8,
             "legend.fontsize": 6.5}  # fmt: skip
    style = STYLE | {key: size * scale for key, size in sizes.items()}
    with plt.style.context(["default", style]):
        figure, axes = plt.subplots(1, ncols, figsize=(width, height), layout=layout)
        try:
            figure.suptitle(_fit_title(title, width * 72 * 0.94, 8 * scale, max_lines=1 if scale > 1 else 2))
            yield figure, axes
            _fix_layout(figure, 6.5 * scale)
        except BaseException:
            plt.close(figure)
            raise


def _fix_layout(figure: "Figure", tick_size: float) -> None:
    """Place everything once and for all, so that no later drawing, in another style or resolution, moves it."""
    shown_dpi = figure.dpi
    for axes in figure.axes:
        axes.tick_params(labelsize=tick_size)  # else the style at drawing time decides how many ticks have room
    figure.set_dpi(DPI)
    for _ in range(2):  # labels find their place only after ticks and legends have theirs
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    figure.set_dpi(shown_dpi)


def _fit_title(title: str, width: float, size: float, max_lines: int) -> str:
    """A title in lines of at most `width` points, cut with an ellipsis; what the font lacks becomes a square."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    glyphs = font.get_charmap()
    text = "".join(char if ord(char) in glyphs else "\u25a1" for char in " ".join(title.split()))
    if not text:
        return ""
    font.set_size(size, 72)
    font.set_text(text)
    average = font.get_width_height()[0] / 64 / len(text)
    chars = max(10, int(0.95 * width / average))  # 0.95: a line of wider letters than the average
    return "\n".join(textwrap.wrap(text, chars, max_lines=max_lines, placeholder=" \u2026"))


# What several figures draw alike -------------------------------------------------------------------------------------


def draw_interval(
    axes: "Axes", place: float, mean: float, low: float, high: float, color: str = BLUE, hollow: bool = False
) -> None:
    """A dot at the mean on a line over its interval, in row `place`; what is nan is left out."""
    if not math.isnan(low):
        axes.plot([low, high], [place, place], color=color, linewidth=1.6)
    if not math.isnan(mean):
        axes.plot([mean], [place], "o", color=color, markersize=4, markerfacecolor="white" if hollow else color)


def label_rows(axes: "Axes", labels: Sequence[str], num_rows: int | None = None) -> None:
    """Rows from the top with a label each, a light line through each value of the x axis."""
    num_rows = len(labels) if num_rows is None else num_rows
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(max(1, num_rows) - 0.5, -0.5)
    axes.grid(axis="x", color=LIGHT, linewidth=0.4)
    axes.set_axisbelow(True)


def center_zero(axes: "Axes", values: Iterable[float], least: float) -> None:
    """An x axis as long on both sides of 0, over all `values`, and at least from -`least` to `least`."""
    reach = 1.1 * max([least, *(abs(value) for value in values if math.isfinite(value))])
    axes.set_xlim(-reach, reach)
    axes.axvline(0, color="black", linewidth=0.7, zorder=0)


def add_legend(figure: "Figure", colors: Mapping[str, str], names: Mapping[str, str], used: Container[str]) -> None:
    """A legend below the panels: of the series that are used, in the order of `colors`."""
    from matplotlib.patches import Patch

    handles = [Patch(color=color, label=names[key]) for key, color in colors.items() if key in used]
    figure.legend(handles=handles, loc="outside lower center", ncols=max(1, len(handles)))


def say(axes: "Axes", text: str, height: float = 0.5) -> None:
    """Words in the middle of empty axes, at this share of their height."""
    axes.text(0.5, height, text, transform=axes.transAxes, ha="center")


def count_things(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"
