"""Terrains: a world of tiles, one row for each kind, one column for each level of difficulty.

Stairs and slopes run along x and are as wide as their tile: up, a plateau, and down again. All is made of boxes but the
rough row, which is one height field. A kind has as many boxes at every level, so that a simulation may hold one tile of
each and change its shape. Heights are looked up in a grid made from the same shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

KINDS = ("rough", "slope", "stairs", "blocks", "flat")
BOXED = ("slope", "stairs", "blocks")
LEVELS = 8
TILE = 9.0  # m
CELL = 0.05  # m, resolution of the height grid
STEP_DEPTH = 0.30  # m
NUM_STEPS = 7
PLATEAU = 1.2  # m
ROUGH_CELL = 0.1  # m


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


def name(kind: str, level: int) -> str:
    """Return the terrain's name, as used in the context bank and by an operator."""
    if kind == "flat":
        return "flat"
    if kind == "stairs":
        return f"stairs_{round(100 * stair_rise(level))}cm"
    return f"{kind}_{level}"


@dataclass(frozen=True)
class Box:
    """A box: centre and half extents, m; pitch about y, rad."""

    center: tuple[float, float, float]
    half: tuple[float, float, float]
    pitch: float = 0.0


def stairs(rise: float, steps: int = NUM_STEPS, width: float = TILE) -> list[Box]:
    """Return stairs up, plateau and down along x, centred on the origin: nested boxes that all stand on the ground."""
    boxes = []
    for i in range(steps):
        half_length, half_height = PLATEAU / 2 + (steps - 1 - i) * STEP_DEPTH, (i + 1) * rise / 2
        boxes.append(Box((0.0, 0.0, half_height), (half_length, width / 2, half_height)))
    return boxes


def slope(angle: float, length: float = 3.0) -> list[Box]:
    """Return a ramp up, a plateau and a ramp down along x, centred on the origin; `length` is a ramp's, m."""
    run, top, thick = length * np.cos(angle), length * np.sin(angle), 0.1
    boxes = [Box((0.0, 0.0, top / 2), (PLATEAU / 2, TILE / 2, top / 2))]
    for side in (-1.0, 1.0):
        x = side * (PLATEAU / 2 + run / 2) - side * thick * np.sin(angle)
        z = top / 2 - thick * np.cos(angle)
        boxes.append(Box((x, 0.0, z), (length / 2, TILE / 2, thick), side * angle))
    return boxes


def blocks(height: float, rng: np.random.Generator, count: int = 6) -> list[Box]:
    """Return low boxes strewn over a tile, none at its ends, where robots start."""
    boxes = []
    for _ in range(count):
        half = rng.uniform([0.3, 0.3], [1.0, 1.2])
        top = height * rng.uniform(0.4, 1.0)
        x, y = rng.uniform([-2.0, -3.0], [2.0, 3.0])
        boxes.append(Box((x, y, top / 2), (half[0], half[1], top / 2)))
    return boxes


def box_heights(boxes: list[Box], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the height of the boxes' upper surface over flat ground at points x, y (any one shape), m."""
    height = np.zeros(np.shape(x))
    for box in boxes:
        (cx, cy, cz), (hx, hy, hz) = box.center, box.half
        # The upper face runs through centre + hz along the box's normal.
        ox, oz = cx + hz * np.sin(box.pitch), cz + hz * np.cos(box.pitch)
        inside = (np.abs(x - ox) <= hx * np.cos(box.pitch) + 1e-9) & (np.abs(y - cy) <= hy + 1e-9)
        height = np.where(inside, np.maximum(height, oz - (x - ox) * np.tan(box.pitch)), height)
    return height


@dataclass
class TerrainWorld:
    """All tiles on one plane: boxes and one height field to build, and a grid of heights to look up.

    Attributes:
        seed: of the rough ground and the blocks.
        tiles: the boxes of every boxed (kind, level), relative to the tile's centre.
        rough: heights of the rough row, (rows y, columns x), m, cell `ROUGH_CELL`.
        heights: (columns x, rows y) heights over the whole world, m, cell `CELL`.
    """

    seed: int = 0
    tiles: dict[tuple[str, int], list[Box]] = field(init=False)
    rough: np.ndarray = field(init=False)
    heights: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.tiles = {}
        for level in range(LEVELS):
            self.tiles["slope", level] = slope(slope_angle(level))
            self.tiles["stairs", level] = stairs(stair_rise(level))
            self.tiles["blocks", level] = blocks(block_height(level), rng)
        self.rough = _rough_heights(rng)
        self.heights = self._grid()

    @property
    def size(self) -> tuple[float, float]:
        """Extent along x and y, m; the world's corner is the origin."""
        return LEVELS * TILE, len(KINDS) * TILE

    def _grid(self) -> np.ndarray:
        width, depth = self.size
        x = (np.arange(round(width / CELL)) + 0.5) * CELL
        y = (np.arange(round(depth / CELL)) + 0.5) * CELL
        heights = np.zeros((len(x), len(y)), dtype=np.float32)
        cells = round(TILE / CELL)
        local = np.meshgrid(x[:cells] - TILE / 2, y[:cells] - TILE / 2, indexing="ij")
        for (kind, level), boxes in self.tiles.items():
            row = KINDS.index(kind)
            heights[level * cells : (level + 1) * cells, row * cells : (row + 1) * cells] = box_heights(boxes, *local)
        columns, rows = (x / ROUGH_CELL).astype(int), (y[:cells] / ROUGH_CELL).astype(int)
        row = KINDS.index("rough")
        heights[:, row * cells : (row + 1) * cells] = self.rough[np.ix_(rows, columns)].T
        return heights


def _rough_heights(rng: np.random.Generator) -> np.ndarray:
    """Return noise whose height grows from tile to tile and ends at each tile's rim, (rows y, columns x), m."""
    cells = round(TILE / ROUGH_CELL)
    noise = rng.random((cells + 1, LEVELS * cells + 1))
    amplitude = np.repeat([rough_amplitude(level) for level in range(LEVELS)], cells)
    across = np.minimum(np.arange(cells + 1), np.arange(cells + 1)[::-1])
    along = np.arange(LEVELS * cells + 1) % cells
    along = np.minimum(along, cells - along)
    rim = np.minimum(across[:, None], along[None, :]) / 5.0
    return noise * np.append(amplitude, amplitude[-1]) * np.clip(rim, 0.0, 1.0)


def tile_center(kind: str, level: int) -> tuple[float, float]:
    """Return the centre of a tile, world frame, m."""
    return (level + 0.5) * TILE, (KINDS.index(kind) + 0.5) * TILE
