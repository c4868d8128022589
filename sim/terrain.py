"""Terrains: a world of tiles, one row for each kind, one column for each level of difficulty.

Most kinds are made of boxes, as many at every level, so that a simulation may hold one tile and change its shape; rough
ground and waves are a height field for the whole row. Heights are looked up in a grid made from the same shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from sim import shapes
from sim.shapes import FIELD_CELL, NUM_STEPS, PLATEAU, RAMP, STEP_DEPTH, TILE, Box, box_heights

LEVELS = 8
CELL = 0.05  # m, resolution of the height grid


def stair_rise(level: int) -> float:
    """Return the rise of a step, m: 3 cm to 17 cm."""
    return 0.03 + 0.02 * level


def slope_angle(level: int) -> float:
    """Return the inclination of the ramps, rad: 0.06 to 0.41."""
    return 0.06 + 0.05 * level


def rough_amplitude(level: int) -> float:
    """Return the largest height of the rough ground, m: 2 cm to 9 cm."""
    return 0.02 + 0.01 * level


def block_height(level: int) -> float:
    """Return the largest height of a discrete block, m: 3 cm to 17 cm."""
    return 0.03 + 0.02 * level


def gap_width(level: int) -> float:
    """Return the width of a gap, m: 5 cm to 40 cm."""
    return 0.05 + 0.05 * level


def stone_gap(level: int) -> float:
    """Return the distance between stepping stones, m: 4 cm to 25 cm."""
    return 0.04 + 0.03 * level


def wave_height(level: int) -> float:
    """Return the height of waves from trough to crest, m: 4 cm to 32 cm."""
    return 0.04 + 0.04 * level


_STAIRS_REACH = PLATEAU / 2 + (NUM_STEPS - 1) * STEP_DEPTH


@dataclass(frozen=True)
class Kind:
    """One kind of terrain.

    Attributes:
        summary: what it looks like.
        measure: what grows with the level.
        value: that measure at a level, m or rad.
        unit: of the measure.
        boxes: the boxes of a tile whose measure is given; None if there are none.
        field: heights of the whole row whose measures are given, (rows y, columns x); None if there are none.
        start: where robots start: `anywhere`, in the `centre`, `before` it along x, or `along` x: before it or on the
            plateau. Robots that start before it or along x face along x, the others in any direction.
        reach: how far it extends along x from its tile's centre at a level, m.
        kin: the kind whose context stands for this one in a context bank that does not know it.
    """

    summary: str
    measure: str = ""
    value: Callable[[int], float] = lambda level: 0.0
    unit: Literal["m", "rad"] = "m"
    boxes: Callable[[float, np.random.Generator], list[Box]] | None = None
    field: Callable[[list[float], np.random.Generator], np.ndarray] | None = None
    start: Literal["anywhere", "centre", "before", "along"] = "anywhere"
    reach: Callable[[int], float] = lambda level: 0.0
    kin: str | None = None


# The order is that of the rows of the world and of what was trained on it: new kinds go to the end.
TERRAINS: dict[str, Kind] = {
    "rough": Kind("random bumps", "largest height", rough_amplitude, field=shapes.rough),
    "slope": Kind(
        "ramp up, plateau, ramp down",
        "inclination",
        slope_angle,
        "rad",
        boxes=lambda angle, rng: shapes.slope(angle),
        start="along",
        reach=lambda level: PLATEAU / 2 + RAMP * float(np.cos(slope_angle(level))),
    ),
    "stairs": Kind(
        f"{NUM_STEPS} steps up, plateau, {NUM_STEPS} steps down",
        "rise of a step",
        stair_rise,
        boxes=lambda rise, rng: shapes.stairs(rise),
        start="along",
        reach=lambda level: _STAIRS_REACH,
    ),
    "blocks": Kind(
        "low blocks strewn about",
        "largest height",
        block_height,
        boxes=shapes.blocks,
        start="before",
        reach=lambda level: 2.6,
    ),
    "flat": Kind("level ground"),
    "pyramid_stairs": Kind(
        f"pyramid of {NUM_STEPS} steps, down from its top to all sides",
        "rise of a step",
        stair_rise,
        boxes=lambda rise, rng: shapes.pyramid(rise),
        start="centre",
        reach=lambda level: _STAIRS_REACH,
        kin="stairs",
    ),
    "pyramid_stairs_inv": Kind(
        f"inverted pyramid of {NUM_STEPS} steps, up from its floor to all sides",
        "rise of a step",
        stair_rise,
        boxes=lambda rise, rng: shapes.inverted_pyramid(rise),
        start="centre",
        reach=lambda level: _STAIRS_REACH,
        kin="stairs",
    ),
    "slope_inv": Kind(
        "ramp down, floor, ramp up",
        "inclination",
        slope_angle,
        "rad",
        boxes=lambda angle, rng: shapes.inverted_slope(angle),
        start="along",
        reach=lambda level: PLATEAU / 2 + shapes.INNER_RAMP * float(np.cos(slope_angle(level))),
        kin="slope",
    ),
    "stepping_stones": Kind(
        f"stones {100 * shapes.STONE_SPACING:.0f} cm from centre to centre, over a pit",
        "distance between stones",
        stone_gap,
        boxes=shapes.stepping_stones,
        start="before",
        reach=lambda level: (shapes.STONES[0] * shapes.STONE_SPACING + stone_gap(level)) / 2,
        kin="blocks",
    ),
    "gaps": Kind(
        f"plateau with {shapes.GAPS} gaps on either side",
        "width of a gap",
        gap_width,
        boxes=lambda width, rng: shapes.gaps(width),
        start="along",
        reach=lambda level: PLATEAU / 2 + shapes.GAPS * (gap_width(level) + shapes.GAP_SPACING) - shapes.GAP_SPACING,
        kin="flat",
    ),
    "waves": Kind(
        "crossing waves",
        "height from trough to crest",
        wave_height,
        field=lambda heights, rng: shapes.waves(heights),
        kin="rough",
    ),
}
KINDS = tuple(TERRAINS)
BOXED = tuple(kind for kind, ground in TERRAINS.items() if ground.boxes)


def name(kind: str, level: int) -> str:
    """Return the terrain's name, as used in the context bank and by an operator."""
    if kind == "flat":
        return "flat"
    if kind == "stairs":
        return f"stairs_{round(100 * stair_rise(level))}cm"
    return f"{kind}_{level}"


def measure(kind: str, level: int) -> str:
    """Return what a kind's measure is at a level, with its unit."""
    ground = TERRAINS[kind]
    value = ground.value(level)
    return f"{value:.2f} rad" if ground.unit == "rad" else f"{100 * value:.0f} cm"


def tile_center(kind: str, level: int) -> tuple[float, float]:
    """Return the centre of a tile, world frame, m."""
    return (level + 0.5) * TILE, (KINDS.index(kind) + 0.5) * TILE


def used_kinds(shares: dict[str, float]) -> tuple[str, ...]:
    """Return the kinds that have a share of the robots, in the order of `KINDS`.

    Raises:
        ValueError: if a kind does not exist, a share is negative, or there is none.
    """
    check_kinds(shares)
    wrong = next((kind for kind, share in shares.items() if share < 0.0), None)
    if wrong is not None or not sum(shares.values()):
        raise ValueError(f"terrain shares: {wrong or 'all'} of them must not be {'negative' if wrong else 'zero'}")
    return tuple(kind for kind in KINDS if shares.get(kind, 0.0) > 0.0)


def check_kinds(kinds: Iterable[str]) -> None:
    """Check that there are such kinds.

    Raises:
        ValueError: if one does not exist.
    """
    for kind in kinds:
        if kind not in TERRAINS:
            raise ValueError(f"there is no terrain '{kind}': choose of {', '.join(KINDS)}")


@dataclass
class TerrainWorld:
    """The tiles of some kinds on one plane: shapes to build, and a grid of heights to look up.

    Every tile lies where it lies in the world of all kinds; the rows of kinds that are not held are flat.

    Attributes:
        seed: of all that is random.
        kinds: the kinds that are held, by default all.
        tiles: the boxes of every (kind, level) that is made of boxes, relative to the tile's centre.
        fields: heights of every row that is a height field, (rows y, columns x), m, cell `shapes.FIELD_CELL`.
        heights: (columns x, rows y) heights over the whole world, m, cell `CELL`.
    """

    seed: int = 0
    kinds: tuple[str, ...] = KINDS
    tiles: dict[tuple[str, int], list[Box]] = field(init=False)
    fields: dict[str, np.ndarray] = field(init=False)
    heights: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        check_kinds(self.kinds)
        self.tiles, self.fields = {}, {}
        drawn = np.random.default_rng(self.seed)  # blocks, then rough ground, whatever is held: what was trained on
        block_tiles = [shapes.blocks(block_height(level), drawn) for level in range(LEVELS)]
        for kind in self.kinds:
            ground, rng = TERRAINS[kind], np.random.default_rng([self.seed, KINDS.index(kind)])
            values = [ground.value(level) for level in range(LEVELS)]
            if ground.boxes:
                made = block_tiles if kind == "blocks" else [ground.boxes(value, rng) for value in values]
                self.tiles |= {(kind, level): boxes for level, boxes in enumerate(made)}
            if ground.field:
                self.fields[kind] = ground.field(values, drawn if kind == "rough" else rng)
        self.heights = self._grid()

    @property
    def size(self) -> tuple[float, float]:
        """Extent along x and y, m; the world's corner is the origin."""
        return LEVELS * TILE, len(KINDS) * TILE

    def tile_heights(self, kind: str, level: int, cell: float = CELL) -> np.ndarray:
        """Return the heights in the middle of the cells of a tile, (cells along x, cells along y), m."""
        center = (np.arange(round(TILE / cell)) + 0.5) * cell
        if kind in self.fields:
            return _interpolate(self.fields[kind], level * TILE + center[:, None], center[None, :])
        local = np.meshgrid(center - TILE / 2, center - TILE / 2, indexing="ij")
        return box_heights(self.tiles.get((kind, level), []), *local)

    def _grid(self) -> np.ndarray:
        cells = round(TILE / CELL)
        heights = np.zeros((LEVELS * cells, len(KINDS) * cells), dtype=np.float32)
        for kind in self.kinds:
            rows = slice(KINDS.index(kind) * cells, (KINDS.index(kind) + 1) * cells)
            heights[:, rows] = np.concatenate([self.tile_heights(kind, level) for level in range(LEVELS)])
        return heights


def _interpolate(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the heights at x, y, m, of a field (rows y, columns x) of triangles, cut as MuJoCo cuts its cells."""
    column, row = x / FIELD_CELL, y / FIELD_CELL
    i, j = column.astype(int), row.astype(int)
    a, b = column - i, row - j
    corner, right, up, across = values[j, i], values[j, i + 1], values[j + 1, i], values[j + 1, i + 1]
    below = corner + a * (right - corner) + b * (across - right)
    return np.where(a > b, below, corner + b * (up - corner) + a * (across - up))
