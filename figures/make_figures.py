"""The committed figures that no notebook draws: python figures/make_figures.py (part of `make figures`).

The pipeline as a picture (files, notebooks and scripts, from papers to a dataset, a model and its benchmark), and the
published SciQAG-24D by category and by field.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from sciqag_lib.dataset.figures import draw_field_donut, draw_split_donut
from sciqag_lib.figure_style import BLUE, TWO_COLUMNS, new_figure, save_figure
from sciqag_lib.records.categories import read_categories

if TYPE_CHECKING:  # pyplot takes a second to import
    from matplotlib.figure import Figure

COLORS = {
    "file": ("#F2F2F2", "#555555"),
    "notebook": ("#CFE3F1", BLUE),
    "part of it": ("white", BLUE),
    "script": ("#DDEFE6", "#009E73"),
}
BOXES = [  # text, left, bottom, width, height, kind; 100 units are 7 inches
    ("paper files:\nJATS, TEI,\nPDF, HTML,\ntext, JSON", 0, 50, 14, 15, "file"),
    ("01 prepare\npapers", 18, 53, 13, 9, "notebook"),
    ("papers\n.json", 35, 53, 11, 9, "file"),
    ("02 inference", 50, 47.5, 26, 20, "notebook"),
    ("engine", 51.5, 54, 11, 4.5, "part of it"),
    ("checks", 63.5, 54, 11, 4.5, "part of it"),
    ("grounding", 51.5, 48.5, 11, 4.5, "part of it"),
    ("ledger", 63.5, 48.5, 11, 4.5, "part of it"),
    ("evidence.json", 81, 59.5, 19, 7, "file"),
    ("processed_output\n.json", 81, 48.5, 19, 8, "file"),
    ("03 question similarity", 50, 36.5, 26, 6, "notebook"),
    ("04 sentence coverage", 50, 28, 26, 6, "notebook"),
    ("figures (PNG, PDF),\ntables\n(Parquet, CSV)", 24, 28, 19, 14.5, "file"),
    ("05 evaluation\n(RACAR)", 57, 14.5, 19, 8, "notebook"),
    ("08 review\n(people)", 83, 14.5, 15, 8, "notebook"),
    ("scores, checks\n(a row a pair)", 30, 14.5, 19, 8, "file"),
    ("06 build dataset", 0, 14.5, 22, 8, "notebook"),
    ("train, test,\nexports", 3, 1.5, 16, 8, "file"),
    ("train.py", 30, 1.5, 14, 8, "script"),
    ("a model", 55, 1.5, 14, 8, "file"),
    ("07 benchmark", 80, 1.5, 18, 8, "notebook"),
]
ARROWS = [  # corners
    [(14, 57.5), (18, 57.5)],
    [(31, 57.5), (35, 57.5)],
    [(46, 57.5), (50, 57.5)],
    [(76, 63), (81, 63)],
    [(76, 52.5), (81, 52.5)],
    [(90.5, 48.5), (90.5, 39.5), (76, 39.5)],
    [(90.5, 39.5), (90.5, 31), (76, 31)],
    [(90.5, 31), (90.5, 22.5)],
    [(90.5, 25.5), (66.5, 25.5), (66.5, 22.5)],
    [(50, 39.5), (43, 39.5)],
    [(50, 31), (43, 31)],
    [(76, 18.5), (83, 18.5)],
    [(57, 18.5), (49, 18.5)],
    [(30, 18.5), (22, 18.5)],
    [(11, 14.5), (11, 9.5)],
    [(19, 5.5), (30, 5.5)],
    [(44, 5.5), (55, 5.5)],
    [(69, 5.5), (80, 5.5)],
]


def draw_pipeline() -> "Figure":
    """The pipeline's files, notebooks and scripts, from paper files to a judged dataset and a model trained on it."""
    from matplotlib.patches import FancyBboxPatch, Patch

    line = {"color": "black", "linewidth": 0.8}
    head = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 7}
    with new_figure("SciQAG: from papers to a dataset, and to a model trained on it", TWO_COLUMNS, 4.3) as (
        figure,
        axes,
    ):
        for text, left, bottom, width, height, kind in BOXES:
            face, edge = COLORS[kind]
            axes.add_patch(FancyBboxPatch((left, bottom), width, height, "round,pad=0,rounding_size=1",
                                          facecolor=face, edgecolor=edge, linewidth=0.8))  # fmt: skip
            above = 4.5 if text.startswith("02") else height / 2  # its parts stand below its name
            axes.text(left + width / 2, bottom + height - above, text, ha="center", va="center", fontsize=6.5)
        for *corners, end in ARROWS:
            axes.plot(*zip(*corners), **line)
            axes.annotate("", end, corners[-1], arrowprops=line | head)
        keys = [Patch(facecolor=face, edgecolor=edge, label=kind) for kind, (face, edge) in COLORS.items()]
        axes.legend(handles=keys, loc=(0.0, 0.42), frameon=False)
        axes.set(xlim=(-0.5, 100.5), ylim=(0, 68.5))
        axes.set_axis_off()
    return figure


def main() -> None:
    folder, rows = Path(__file__).parent, list(read_categories().values())
    title = "SciQAG-24D as published: "
    save_figure(draw_pipeline(), folder, "pipeline")
    save_figure(draw_split_donut(rows, title + "pairs by category"), folder, "sciqag_24d_split")
    save_figure(draw_field_donut(rows, title + "papers by field and category"), folder, "sciqag_24d_fields")


if __name__ == "__main__":
    main()
