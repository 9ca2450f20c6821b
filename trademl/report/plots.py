"""The figures of a report as SVG text that is the same for the same numbers.

Glyphs are outlines, so no font is needed to read them; the date, the namespaces and the document
type that matplotlib adds are removed, so nothing in the page points anywhere.
"""

import io
import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from trademl.report.inputs import ClusterRow, CoverageRow, HeatMap, StreamRow, WeightRow

INK = "#1b1f24"
MUTED = "#8a929c"
FAINT = "#d9dde2"
ACCENT = "#1f5a8c"
SHORT = "#a3472f"
SHADES = ("#9aa1a9", "#5b7f9e", "#7d9a7f", "#b08d57", "#8c7aa6", "#6a8f8c")

_STYLE: dict[str, Any] = {
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "figure.dpi": 100,
}

WIDTH = 6.3
"""Inches: at this width 8.5 points read well on a page and can still be read on a phone."""

Draw = Callable[[Axes], None]


def figure(name: str, width: float, height: float, draw: Draw) -> str:
    """Draws on fresh axes and returns the SVG element.

    Args:
        name: Salts the ids inside, so that two figures of one page never share one.
        width: Inches; the page scales it.
        height: Inches.
        draw: Fills the axes.
    """
    style: Any = {**_STYLE, "svg.hashsalt": f"trademl-{name}"}
    with mpl.rc_context(style):
        canvas = Figure(figsize=(width, height), layout="constrained")
        axes = canvas.add_subplot()
        draw(axes)
        buffer = io.StringIO()
        canvas.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue(), name)


def _inline(svg: str, name: str) -> str:
    """The bare element, scalable, described for screen readers, without any address in it."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\s(xmlns|xmlns:xlink)="[^"]*"', "", body)
    head = re.compile(r'<svg([^>]*?) width="[^"]*"|<svg([^>]*?) height="[^"]*"')
    body = head.sub(lambda match: f"<svg{match.group(1) or match.group(2) or ''}", body, count=1)
    body = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", body, count=1)
    return body.replace("<svg", f'<svg role="img" aria-label="{name}"', 1).strip()


def cumulative(dates: Sequence[date], streams: Sequence[StreamRow]) -> str:
    """Growth of one unit of capital, the primary portfolio in front."""

    def draw(axes: Axes) -> None:
        shades = iter(SHADES * (len(streams) // len(SHADES) + 1))
        ends = []
        for stream in sorted(streams, key=lambda row: row.is_primary):
            growth = np.cumprod(1.0 + stream.returns)
            color = ACCENT if stream.is_primary else next(shades)
            width = 2.0 if stream.is_primary else 1.0
            axes.plot(_days(dates), growth, color=color, lw=width)
            ends.append((float(growth[-1]), stream.name, color, stream.is_primary))
        axes.axhline(1.0, color=MUTED, lw=0.7)
        _date_axis(axes)
        _label_ends(axes, ends)
        axes.grid(axis="y")

    return figure("cumulative returns", WIDTH, 3.4, draw)


def _label_ends(axes: Axes, ends: list[tuple[float, str, str, bool]]) -> None:
    """Names beside the lines' ends, pushed apart so that none covers another."""
    low, high = axes.get_ylim()
    step = (high - low) * 0.055
    floor = low
    for value, name, color, is_primary in sorted(ends):
        place = max(value, floor)
        floor = place + step
        axes.annotate(
            f"{name} {value:.2f}",
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            color=color,
            va="center",
            fontsize=8.5,
            fontweight="bold" if is_primary else "normal",
            annotation_clip=False,
        )


def drawdown(dates: Sequence[date], stream: StreamRow) -> str:
    """Distance below the running peak of the primary portfolio."""

    def draw(axes: Axes) -> None:
        wealth = np.cumprod(1.0 + stream.returns)
        peak = np.maximum.accumulate(np.maximum(wealth, 1.0))
        depth = wealth / peak - 1.0
        axes.fill_between(_days(dates), depth, 0.0, color=SHORT, alpha=0.25, lw=0)
        axes.plot(_days(dates), depth, color=SHORT, lw=1.0)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        _date_axis(axes)
        axes.grid(axis="y")

    return figure("drawdown", WIDTH, 2.0, draw)


def _date_axis(axes: Axes) -> None:
    """Few ticks, each a month or a year, so that they never meet on a narrow page."""
    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)


def weights(rows: Sequence[WeightRow]) -> str:
    """Signed weight by symbol, heaviest at the top."""

    def draw(axes: Axes) -> None:
        names = [row.symbol for row in rows][::-1]
        values = [row.net for row in rows][::-1]
        colors = [ACCENT if value >= 0.0 else SHORT for value in values]
        _bars(axes, names, values, colors)

    return figure("weights", WIDTH, 0.6 + 0.23 * len(rows), draw)


def clusters(rows: Sequence[ClusterRow]) -> str:
    """Weight of each cluster beside the limit that applied to it."""

    def draw(axes: Axes) -> None:
        ordered = list(rows)[::-1]
        names = [f"{row.name} · {row.lead} · {row.n_assets}" for row in ordered]
        _bars(axes, names, [row.weight for row in ordered], [ACCENT] * len(ordered))
        for position, row in enumerate(ordered):
            axes.plot([row.limit] * 2, [position - 0.42, position + 0.42], color=INK, lw=1.4)

    return figure("clusters", WIDTH, 0.6 + 0.27 * len(rows), draw)


def _bars(axes: Axes, names: Sequence[str], values: Sequence[float], colors: Sequence[str]) -> None:
    places = np.arange(len(names))
    axes.barh(places, values, color=colors, height=0.66)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0.0, color=MUTED, lw=0.8)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_ylim(-0.7, len(names) - 0.3)


def coverage(rows: Sequence[CoverageRow]) -> str:
    """Share of GREEN partitions by table and year."""
    tables = sorted({row.table for row in rows})
    years = list(range(min(row.year for row in rows), max(row.year for row in rows) + 1))
    shares = np.full((len(tables), len(years)), np.nan)
    for row in rows:
        if row.expected:
            shares[tables.index(row.table), row.year - years[0]] = row.green / row.expected
    grid = HeatMap("coverage", tuple(tables), tuple(f"{year}" for year in years), shares, 0.8, 1.0)
    return heat_map(grid, height=0.9 + 0.32 * len(tables), color_map="OrRd_r")


def heat_map(grid: HeatMap, height: float | None = None, color_map: str = "RdBu_r") -> str:
    """A matrix as colored cells with its labels."""

    def draw(axes: Axes) -> None:
        colors = mpl.colormaps[color_map].with_extremes(bad="#f1f2f4")
        image = axes.imshow(
            np.ma.masked_invalid(grid.values),
            cmap=colors,
            vmin=grid.low,
            vmax=grid.high,
            aspect="auto",
            interpolation="none",
        )
        axes.set_xticks(
            range(len(grid.columns)), grid.columns, rotation=0 if _is_short(grid.columns) else 90
        )
        axes.set_yticks(range(len(grid.rows)), grid.rows)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = axes.figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0)

    tall = 1.2 + 0.2 * len(grid.rows) if height is None else height
    return figure(grid.title, WIDTH, tall, draw)


def _is_short(labels: Sequence[str]) -> bool:
    """Whether the labels fit side by side without being turned."""
    return sum(len(label) + 2 for label in labels) <= 60


def _days(dates: Sequence[date]) -> np.ndarray[tuple[int, ...], np.dtype[np.datetime64]]:
    return np.array(dates, dtype="datetime64[D]")
