"""Figures of a build: which categories its pairs come from, and how many each filter let through.

    save_figure(draw_split_donut(report.list_categories()), figures, "categories_split")
    save_figure(draw_field_donut(read_categories().values()), figures, "categories_published")
    save_figure(draw_funnel(report), figures, "filters")

All return a matplotlib Figure, which outside a notebook the caller closes. A field has one hue, its categories have
shades of it; a ring goes round clockwise from the top, in the order of the categories.
"""

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sciqag_lib.dataset.report import BuildReport
from sciqag_lib.figure_style import BLUE, ORANGE, PALETTE, TWO_COLUMNS, label_rows, new_figure
from sciqag_lib.records.categories import Category

if TYPE_CHECKING:  # pyplot takes a second to import
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIELD_COLORS = (ORANGE, BLUE, *PALETTE[2:])
PALEST = 0.62  # of a shade: this much white
HEIGHT = 4.55  # inches, for which the frame and the gap are measured
FRAME = (2.82, 1.71)  # half of what is shown, in radii of the outer ring
TOP, SIDE, LABEL_GAP = 1.46, 1.19, 0.195  # where labels end above and below, begin beside, and how far they are apart
EDGE = {"edgecolor": "white", "linewidth": 0.6}


def draw_split_donut(categories: Iterable[Category], title: str = "Pairs by category") -> "Figure":
    """Two rings: the shares of the categories in train (inner) and in test (outer), with the numbers of pairs."""
    found = [category for category in categories if category.train + category.test]
    trains, tests = [category.train for category in found], [category.test for category in found]
    with new_figure(title, TWO_COLUMNS, HEIGHT) as (figure, axes):
        colors = shade_categories(found)
        _draw_ring(axes, trains, 0.68, 0.27, colors)
        _draw_ring(axes, tests, 1.0, 0.3, colors)
        text = f"inner ring: train\n{sum(trains):,} pairs\n\nouter ring: test\n{sum(tests):,} pairs"
        axes.text(0, 0, text, ha="center", va="center", fontsize=6)
        _label_ring(axes, tests, [_label(category, f"{category.train:,} | {category.test:,}") for category in found])
        absent = [f"{category.name} ({category.train:,})" for category in found if not category.test]
        if absent:
            axes.text(
                0,
                -FRAME[1],
                "in train alone: " + textwrap.fill(", ".join(absent), 120),
                ha="center",
                va="bottom",
                fontsize=6.5,
                in_layout=False,
            )
    return figure


def draw_field_donut(categories: Iterable[Category], title: str = "Papers by field and category") -> "Figure":
    """Nested rings: the fields (inner) and their categories (outer), by papers."""
    given = [category for category in categories if category.papers]
    fields = {category.field: 0 for category in given}
    for category in given:
        fields[category.field] += category.papers
    found = [category for field in fields for category in given if category.field == field]
    with new_figure(title, TWO_COLUMNS, HEIGHT) as (figure, axes):
        _draw_ring(axes, list(fields.values()), 0.68, 0.42, color_fields(list(fields)))
        _draw_ring(axes, [category.papers for category in found], 1.0, 0.3, shade_categories(found))
        axes.text(0, 0, f"{sum(fields.values()):,}\npapers", ha="center", va="center")
        for (name, papers), angle in zip(fields.items(), middle_angles(list(fields.values()))):
            _name_field(axes, name or "no field", papers, papers / sum(fields.values()), angle)
        _label_ring(
            axes,
            [category.papers for category in found],
            [_label(category, f"{category.papers:,}") for category in found],
        )
    return figure


def draw_funnel(report: BuildReport) -> "Figure":
    """Bars of the pairs that are left after each filter, train and test; a filter that dropped none is left out."""
    steps = report.list_steps()
    names = [name for name, _, _ in steps]
    train, test = (np.array([step[place] for step in steps], float) for place in (1, 2))
    with new_figure("Pairs left after each filter", TWO_COLUMNS, 1.0 + 0.25 * len(steps)) as (figure, axes):
        places = np.arange(len(steps))
        axes.barh(places, train, color=BLUE, height=0.7, label="train")
        axes.barh(places, test, left=train, color=ORANGE, height=0.7, label="test")
        for place, (left, right) in enumerate(zip(train, test)):
            lost = (train + test)[place - 1] - left - right if place else 0
            text = f"{left:,.0f} + {right:,.0f}" + (f"   (\u2212{lost:,.0f})" if lost else "")
            axes.text(left + right + 0.01 * (train + test).max(), place, text, va="center")
        label_rows(axes, names)
        axes.set(xlim=(0, 1.3 * max(1, (train + test).max())), xlabel="pairs")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def color_fields(fields: Sequence[str]) -> list[str]:
    """A colour for each; what has no field is grey."""
    named = list(dict.fromkeys(field for field in fields if field))
    return [FIELD_COLORS[named.index(field) % len(FIELD_COLORS)] if field else "#808080" for field in fields]


def shade_categories(categories: Sequence[Category]) -> list[tuple[float, ...]]:
    """The colour of its field, paler from one category to the next."""
    from matplotlib.colors import to_rgb

    sizes = {
        field: sum(category.field == field for category in categories)
        for field in {category.field for category in categories}
    }
    seen: dict[str, int] = {}
    shades = []
    for category, color in zip(categories, color_fields([category.field for category in categories])):
        number = seen[category.field] = seen.get(category.field, -1) + 1
        white = PALEST * number / max(1, sizes[category.field] - 1)
        shades.append(tuple(white + (1 - white) * part for part in to_rgb(color)))
    return shades


def middle_angles(values: Sequence[float]) -> list[float]:
    """In radians: where the middle of each sector lies, clockwise from the top."""
    total, ends = sum(values) or 1, np.cumsum(values)
    return [math.pi / 2 - 2 * math.pi * (end - value / 2) / total for end, value in zip(ends, values)]


def spread_labels(heights: Sequence[float], gap: float, end: float) -> list[float]:
    """Ascending `heights` moved as little as it takes to be `gap` apart within -end to end."""
    gap = min(gap, 2 * end / max(1, len(heights) - 1))
    moved = list(heights)
    for place in range(len(moved)):
        lowest = -end if place == 0 else moved[place - 1] + gap
        moved[place] = max(moved[place], lowest)
    for place in reversed(range(len(moved))):
        highest = end if place == len(moved) - 1 else moved[place + 1] - gap
        moved[place] = min(moved[place], highest)
    return moved


def _draw_ring(axes: "Axes", values: Sequence[float], radius: float, width: float, colors: Sequence[object]) -> None:
    if sum(values):
        axes.pie(
            values, radius=radius, colors=colors, startangle=90, counterclock=False, wedgeprops={"width": width, **EDGE}
        )


def _name_field(axes: "Axes", name: str, papers: int, share: float, angle: float) -> None:
    """Written into its sector; a narrow one has its name alone, along the radius, and a very narrow one none."""
    if share < 0.025:
        return
    narrow = share < 0.1
    turned = math.degrees(angle) - (180 if math.cos(angle) < 0 else 0) if narrow else 0
    text = name.replace(" & ", "\n& ") if narrow else f"{name}\n{papers:,}".replace("Materials ", "Materials\n")
    axes.text(
        0.475 * math.cos(angle),
        0.475 * math.sin(angle),
        text,
        ha="center",
        va="center",
        color="white",
        rotation=turned,
        fontsize=5 if narrow else 6,
        fontweight="bold",
    )


def _label(category: Category, numbers: str) -> str:
    """The field and the rest of the name in two lines, where the name begins with its field."""
    rest = category.name.removeprefix(f"{category.field}, ")
    first = f"{category.field},\n" if rest != category.name else ""
    return f"{first}{rest}  {numbers}"


def _label_ring(axes: "Axes", values: Sequence[float], texts: Sequence[str]) -> None:
    """A label beside the outer ring for each of its sectors, with a line to it; the frame that has room for them."""
    angles = middle_angles(values)
    for side in (1, -1):
        places = sorted(
            (place for place, angle in enumerate(angles) if values[place] and (math.cos(angle) >= 0) == (side > 0)),
            key=lambda place: math.sin(angles[place]),
        )
        heights = spread_labels([TOP * math.sin(angles[place]) for place in places], LABEL_GAP, TOP)
        for place, height in zip(places, heights):
            x, y = math.cos(angles[place]), math.sin(angles[place])
            axes.plot(
                [x, 1.05 * x, 0.97 * side * SIDE],
                [y, 1.05 * y, height],
                color="#808080",
                linewidth=0.5,
                solid_joinstyle="round",
            )
            axes.text(
                side * SIDE,
                height,
                texts[place],
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=6.5,
                linespacing=1.05,
                in_layout=False,
            )
    axes.set(xlim=(-FRAME[0], FRAME[0]), ylim=(-FRAME[1], FRAME[1]), aspect="equal")
    axes.axis("off")
