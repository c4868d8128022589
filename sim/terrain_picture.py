"""Draws terrains, all levels of a kind in a row: seen from above, and from the side."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.shapes import TILE
from sim.terrain import KINDS, LEVELS, TERRAINS, TerrainWorld, check_kinds, measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DPI = 90
CELL = 0.03  # m, of the maps
STRIDE = TILE + 0.7  # m from one tile to the next
INCH = 0.133  # for a metre
HIGHEST = 1.25  # m, of the colours
SKYLINE = 1.65  # m, of the side views
LABEL, ROW = 1.95, 1.94  # inch: left of a row, and from one row to the next
ENLARGED = 2.0  # times that heights are enlarged in the side views
COLORS = ("#c9d3d8", "#dfe3cf", "#e6d9a9", "#d9ad73", "#b5764a", "#7f4a35")  # from the ground up
INK, GRAY, EARTH, SKY, ROBOT = "#1f2933", "#5f6b76", "#a58a67", "#f2f5f7", "#c0392b"
DRAWN = tuple(kind for kind in KINDS if TERRAINS[kind].measure)


def draw(path: Path, kinds: tuple[str, ...] = DRAWN, seed: int = 0) -> None:
    """Write a picture of all levels of the kinds; the file's ending gives its format.

    Raises:
        ValueError: if a kind does not exist, there is none, or the format is unknown.
    """
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm
    from matplotlib.figure import Figure

    check_kinds(kinds)
    if not kinds:
        raise ValueError("no terrain to draw: name a kind")
    world = TerrainWorld(seed, tuple(kinds))
    across = (LEVELS * STRIDE - (STRIDE - TILE)) * INCH
    width, height = LABEL + across + 0.15, len(kinds) * ROW + 0.6
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    colors, norm = LinearSegmentedColormap.from_list("ground", COLORS), PowerNorm(0.6, 0.0, HIGHEST)

    def axes(left: float, bottom: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, bottom / height, wide / width, high / height))

    for i, kind in enumerate(kinds):
        bottom, side = height - (i + 1) * ROW, SKYLINE * ENLARGED * INCH
        _label(axes(0.12, bottom, LABEL - 0.4, ROW), kind)
        _maps(axes(LABEL, bottom + side + 0.06, across, TILE * INCH), world, kind, colors, norm)
        _sides(axes(LABEL, bottom, across, side), world, kind)
    _legend(figure, axes(LABEL, 0.32, 2 * TILE * INCH, 0.09), colors, norm)
    partial = path.with_name(f".{path.name}")
    try:
        figure.savefig(partial, pil_kwargs={"optimize": True} if path.suffix == ".png" else None)
    except ValueError as error:
        raise ValueError(f"cannot write {path}: {error}") from error
    os.replace(partial, path)


def _levels(kind: str) -> range:
    return range(LEVELS if TERRAINS[kind].measure else 1)


def _label(axes: Axes, kind: str) -> None:
    axes.axis("off")
    ground = TERRAINS[kind]
    axes.text(0.0, 0.9, kind, fontsize=10.5, fontweight="bold", color=INK, va="top", transform=axes.transAxes)
    lines = textwrap.wrap(ground.summary, 27)
    if ground.measure:
        lines += ["", *textwrap.wrap(f"level: {ground.measure}", 27)]
    axes.text(0.0, 0.79, "\n".join(lines), fontsize=8, color=GRAY, va="top", linespacing=1.35, transform=axes.transAxes)


def _maps(axes: Axes, world: TerrainWorld, kind: str, colors: Any, norm: Any) -> None:
    from matplotlib.colors import LightSource

    light = LightSource(azdeg=315, altdeg=45)
    for level in _levels(kind):
        heights = world.tile_heights(kind, level, CELL).T
        shade = light.hillshade(heights[::-1], vert_exag=1.5, dx=CELL, dy=CELL)[..., None]
        lit = colors(norm(heights[::-1]))[..., :3] * np.clip(0.62 + 0.54 * shade, 0.0, 1.08)
        left = level * STRIDE
        axes.imshow(np.clip(lit, 0.0, 1.0), extent=(left, left + TILE, 0.0, TILE), interpolation="lanczos")
        text = f"{level}: {measure(kind, level)}" if TERRAINS[kind].measure else ""
        axes.text(left + TILE / 2, TILE + 0.35, text, ha="center", fontsize=8, color=INK)
    axes.set_xlim(0.0, LEVELS * STRIDE - (STRIDE - TILE)), axes.set_ylim(0.0, TILE)
    axes.axis("off")


def _sides(axes: Axes, world: TerrainWorld, kind: str) -> None:
    for level in _levels(kind):
        heights, left = world.tile_heights(kind, level, CELL), level * STRIDE
        heights = heights[:, heights.shape[1] // 2 + 3]
        x = (np.arange(len(heights)) + 0.5) * CELL
        axes.fill_between([left, left + TILE], -0.08, SKYLINE, color=SKY, linewidth=0)
        axes.fill_between(left + x, -0.08, heights, color=EARTH, linewidth=0)
        start = TERRAINS[kind].start
        spot = TILE / 2 - (TERRAINS[kind].reach(level) + 0.7 if start in ("before", "along") else 0.0)
        _robot(axes, left + spot, heights[int((spot - 0.2) / CELL) : int((spot + 0.2) / CELL)].max())
    for height in (0.0, 1.0):
        axes.text(-0.35, height, f"{height:g} m", fontsize=6.5, color=GRAY, ha="right", va="center")
        axes.plot([-0.25, 0.0], [height, height], color=GRAY, linewidth=0.7, clip_on=False)
    axes.set_xlim(0.0, LEVELS * STRIDE - (STRIDE - TILE)), axes.set_ylim(-0.08, SKYLINE)
    axes.axis("off")


def _robot(axes: Axes, x: float, ground: float) -> None:
    """Draw a robot as large as Go1: a trunk and two legs."""
    axes.fill_between([x - 0.27, x + 0.27], ground + 0.25, ground + 0.36, color=ROBOT, linewidth=0)
    for hip in (x - 0.19, x + 0.19):
        axes.plot([hip, hip - 0.09, hip], [ground + 0.27, ground + 0.14, ground], color=ROBOT, linewidth=0.8)


def _legend(figure: Any, axes: Axes, colors: Any, norm: Any) -> None:
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(norm, colors), cax=axes, orientation="horizontal")
    bar.set_ticks([0.0, 0.1, 0.2, 0.4, 0.8, 1.2])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7.5, length=2, color=GRAY, labelcolor=GRAY)
    note = (
        f"height, m.    Tiles of {TILE:g} m × {TILE:g} m; below each, its middle from the side, heights enlarged "
        f"{ENLARGED:g} times, and a robot where it may start."
    )
    axes.text(1.04, 0.5, note, fontsize=8, color=GRAY, va="center", transform=axes.transAxes)
