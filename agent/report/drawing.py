"""How plots are drawn: as vector pictures in the page's own colours, each with its data.

Colours are placeholders that the page replaces by its own, so that one picture serves light,
dark and paper; arms differ by dash and marker as well, so that grey serves too.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.measure.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID = "#010203", "#040506"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8f6b00", "#56b4e9", "#7f3fbf", "#777777")
DASHES = (
    "-",
    (0, (6, 2)),
    (0, (3, 1.5)),
    (0, (6, 2, 1, 2)),
    (0, (1, 1)),
    (0, (8, 1, 1, 1)),
    "-",
    "-",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HALF, WIDE = 5.4, 11.6
"""Inches. The page scales them alike, so that letters are of one size."""

LEGEND = 7.5
FEW = 3
ROW = 9
"""Points from one row of `below` to the next."""
STYLE: Any = {
    "figure.dpi": 72, "svg.fonttype": "none", "svg.hashsalt": "errata", "font.family": "sans-serif",
    "font.size": 8.5, "axes.titlesize": 9, "axes.labelsize": 8.5, "legend.fontsize": LEGEND,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.edgecolor": INK, "legend.frameon": False,
    "text.parse_math": False,  # a name with a dollar is a name
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """One picture of the report."""

    name: str
    """P1, P2, ..."""
    title: str
    """What it shows."""
    caption: str
    """Definition of everything drawn."""
    wide: bool
    """Over the whole width of the page."""
    svg: str
    """Markup with ids of its own and colours as CSS variables."""
    csv: str
    """Its data, with a header line."""


@dataclass(frozen=True)
class Missing:
    """A picture that the data do not give."""

    name: str
    """P1, P2, ..."""
    reason: str
    """Why."""


Rows = list[dict[str, Any]]


def axes_for(
    count: int, *, wide: bool = False, rows_below: int = 0
) -> tuple[Figure, Sequence[Axes]]:
    """A figure of so many panels: half as wide as the page, or as wide with one scale of y and at
    most four in a row; with room for rows of numbers."""
    from matplotlib.figure import Figure

    columns = min(count, 4)
    lines = -(-count // columns)
    height = 3.1 * lines + ROW / 72 * rows_below
    figure = Figure(figsize=(WIDE if wide else HALF, height), layout="constrained")
    axes = figure.subplots(lines, columns, sharey=wide, squeeze=False).ravel().tolist()
    for extra in axes[count:]:
        extra.remove()
    for ax in axes[:count]:
        ax.grid(color=GRID, lw=0.4)
        ax.set_axisbelow(True)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    return figure, axes[:count]


def legend(figure: Figure, ax: Axes) -> None:
    """Of one panel: in it where few lines leave room, else under the figure."""
    lines, names = ax.get_legend_handles_labels()
    if len(names) <= FEW:
        ax.legend()
    else:
        figure.legend(lines, names, loc="outside lower center", ncols=2)


def in_steps(ax: Axes) -> None:
    """There is no half of a step."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))


def style(i: int) -> dict[str, Any]:
    """Colour, dashes and marker of the arm with this number."""
    # After eight arms the same colours come with other dashes and markers.
    return {"ls": DASHES[(i + i // 8) % 8], **marks(i), "ms": 4}


def marks(i: int) -> dict[str, Any]:
    """Colour and marker alone."""
    return {"color": SERIES[i % 8], "marker": MARKERS[(i + i // 8) % 8], "ms": 4.5}


def below(ax: Axes, row: int, counts: Sequence[tuple[float, int]]) -> None:
    """A row of numbers under the steps they belong to, behind the marker of its arm."""
    from matplotlib.transforms import ScaledTranslation

    down = -38 - ROW * row
    for x, n in counts:
        ax.annotate(f"{n:,}", (x, 0), (0, down), xycoords=("data", "axes fraction"), ha="center",
                    textcoords="offset points", va="center", fontsize=6.5, annotation_clip=False)  # fmt: skip
    moved = ScaledTranslation(-12 / 72, down / 72, ax.figure.dpi_scale_trans)
    ax.plot([0], [0], transform=ax.transAxes + moved, clip_on=False, **marks(row))


def errorbars(ax: Axes, x: Any, estimates: Sequence[Estimate], i: int, label: str) -> None:
    """A line through estimates, with their intervals."""
    y, low, high = (np.array([value_of(e, p) for e in estimates]) for p in ("value", "low", "high"))
    ax.errorbar(x, y, yerr=bars(y, low, high), label=label, capsize=2, lw=1.2, **style(i))


def bars(y: Any, low: Any, high: Any) -> Any:
    """Lengths of error bars; none where an end is not known."""
    return np.nan_to_num(np.array([np.maximum(y - low, 0), np.maximum(high - y, 0)]))


def value_of(e: Estimate | None, part: str = "value") -> float:
    """A part of an estimate, NaN where it is not known."""
    value = None if e is None else getattr(e, part)
    return float("nan") if value is None else float(value)


def columns(name: str, e: Estimate) -> dict[str, Any]:
    """An estimate as three columns of data."""
    return {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}


def plot(name: str, title: str, caption: str, figure: Figure, rows: Rows) -> Plot:
    """A figure and its rows of data as they go into the page."""
    wide = bool(figure.get_figwidth() == WIDE)
    return Plot(name, title, caption, wide, _svg(figure, name), _csv(rows))


def _svg(figure: Figure, name: str) -> str:
    page = io.StringIO()
    # Laid out once and for all; saving would do it twice.
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")
    figure.savefig(page, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = page.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Ids must be unique in the page that holds all pictures.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", text)
    text = text.replace(INK, "currentColor").replace(GRID, "var(--grid)")
    for i, colour in enumerate(SERIES):
        text = text.replace(colour, f"var(--s{i})")
    return re.sub(r'\b(width|height)="[\d.]+pt"', "", text, count=2)


def _csv(rows: Rows) -> str:
    page = io.StringIO()
    names = list(dict.fromkeys(k for row in rows for k in row))
    writer = csv.DictWriter(page, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return page.getvalue()
