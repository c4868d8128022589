"""The shapes that terrains are made of: boxes on flat ground, and height fields.

A shape is centred on the origin of its tile. Nothing lies below z = 0, where a plane is everywhere: what goes down, as
a gap or an inverted pyramid, is sunk in ground that is raised around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TILE = 9.0  # m, side of a tile
PLATEAU = 1.2  # m, level ground in the middle of a tile
STEP_DEPTH = 0.30  # m
NUM_STEPS = 7
RAMP = 3.0  # m, length of a slope
INNER_RAMP = 2.5  # m, length of a slope down into the tile, which leaves room for a robot on the rim
PIT = 0.4  # m, how deep it goes down between stepping stones and in gaps
GAPS = 3  # on either side of the plateau
GAP_SPACING = 0.5  # m of ground between two gaps
STONE_SPACING = 0.5  # m between the centres of two stones
STONES = (8, 9)  # along x and y
FIELD_CELL = 0.1  # m, resolution of a height field
WAVELENGTH = 1.5  # m


@dataclass(frozen=True)
class Box:
    """A box: centre and half extents, m; pitch about y, rad."""

    center: tuple[float, float, float]
    half: tuple[float, float, float]
    pitch: float = 0.0


def block(low: tuple[float, float], high: tuple[float, float], height: float) -> Box:
    """Return an upright box on the ground between two corners (x, y), m."""
    (x0, y0), (x1, y1) = low, high
    return Box(((x0 + x1) / 2, (y0 + y1) / 2, height / 2), ((x1 - x0) / 2, (y1 - y0) / 2, height / 2))


def stairs(rise: float, steps: int = NUM_STEPS, width: float = TILE) -> list[Box]:
    """Return stairs up, plateau and down along x: nested boxes that all stand on the ground."""
    boxes = []
    for i in range(steps):
        half_length, half_height = PLATEAU / 2 + (steps - 1 - i) * STEP_DEPTH, (i + 1) * rise / 2
        boxes.append(Box((0.0, 0.0, half_height), (half_length, width / 2, half_height)))
    return boxes


def pyramid(rise: float) -> list[Box]:
    """Return a square pyramid of steps on all four sides, with a plateau on top."""
    boxes = []
    for i in range(NUM_STEPS):
        half = PLATEAU / 2 + (NUM_STEPS - 1 - i) * STEP_DEPTH
        boxes.append(block((-half, -half), (half, half), (i + 1) * rise))
    return boxes


def inverted_pyramid(rise: float) -> list[Box]:
    """Return steps up, on all four sides, from a floor in the middle to a rim that reaches the tile's edge."""
    boxes, edge = [], TILE / 2
    for i in range(NUM_STEPS):
        inner, height = PLATEAU / 2 + i * STEP_DEPTH, (i + 1) * rise
        boxes += [block((-edge, -edge), (-inner, edge), height), block((inner, -edge), (edge, edge), height)]
        boxes += [block((-inner, -edge), (inner, -inner), height), block((-inner, inner), (inner, edge), height)]
    return boxes


def slope(angle: float, length: float = RAMP) -> list[Box]:
    """Return a ramp up, a plateau and a ramp down along x; `length` is a ramp's, m."""
    top = length * np.sin(angle)
    boxes = [block((-PLATEAU / 2, -TILE / 2), (PLATEAU / 2, TILE / 2), top)]
    return boxes + [_ramp(side, side * angle, length) for side in (-1.0, 1.0)]


def inverted_slope(angle: float) -> list[Box]:
    """Return a rim, a ramp down, a floor, a ramp up and a rim along x."""
    start, top = PLATEAU / 2 + INNER_RAMP * np.cos(angle), INNER_RAMP * np.sin(angle)
    rims = [
        block((-TILE / 2, -TILE / 2), (-start, TILE / 2), top),
        block((start, -TILE / 2), (TILE / 2, TILE / 2), top),
    ]
    return rims + [_ramp(side, -side * angle, INNER_RAMP) for side in (-1.0, 1.0)]


def _ramp(side: float, pitch: float, length: float) -> Box:
    """Return a ramp on one side (-1 or 1) of the plateau, whose lower end touches the ground."""
    thick = 0.1
    x = side * (PLATEAU / 2 + length * np.cos(pitch) / 2) - thick * np.sin(pitch)
    z = length * np.sin(abs(pitch)) / 2 - thick * np.cos(pitch)
    return Box((x, 0.0, z), (length / 2, TILE / 2, thick), pitch)


def blocks(height: float, rng: np.random.Generator, count: int = 6) -> list[Box]:
    """Return low boxes strewn over a tile, none at its ends, where robots start."""
    boxes = []
    for _ in range(count):
        half = rng.uniform([0.3, 0.3], [1.0, 1.2])
        top = height * rng.uniform(0.4, 1.0)
        x, y = rng.uniform([-2.0, -3.0], [2.0, 3.0])
        boxes.append(Box((x, y, top / 2), (half[0], half[1], top / 2)))
    return boxes


def gaps(width: float) -> list[Box]:
    """Return raised ground with gaps across x on either side of the plateau."""
    edge, boxes = TILE / 2, [block((-PLATEAU / 2, -TILE / 2), (PLATEAU / 2, TILE / 2), PIT)]
    starts = [PLATEAU / 2 + i * (width + GAP_SPACING) + width for i in range(GAPS)]
    for i, start in enumerate(starts):
        end = edge if i == GAPS - 1 else start + GAP_SPACING
        boxes += [block((start, -edge), (end, edge), PIT), block((-end, -edge), (-start, edge), PIT)]
    return boxes


def stepping_stones(gap: float, rng: np.random.Generator) -> list[Box]:
    """Return stones of uneven height, `gap` apart, in a pit; every second row is shifted by half a stone's spacing."""
    edge, half, shift = TILE / 2, (STONE_SPACING - gap) / 2, STONE_SPACING / 4
    x, y = np.array(STONES) * STONE_SPACING / 2
    far, wide = x + gap / 2, y + shift + gap / 2
    boxes = [block((-edge, -edge), (-far, edge), PIT), block((far, -edge), (edge, edge), PIT)]
    boxes += [block((-far, -edge), (far, -wide), PIT), block((-far, wide), (far, edge), PIT)]
    for i in range(STONES[0]):
        for j in range(STONES[1]):
            cx, cy = (i + 0.5) * STONE_SPACING - x, (j + 0.5) * STONE_SPACING - y + shift * (-1) ** i
            height = PIT + rng.uniform(-0.1, 0.1) * gap
            boxes.append(block((cx - half, cy - half), (cx + half, cy + half), height))
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


def rough(amplitudes: list[float], rng: np.random.Generator) -> np.ndarray:
    """Return noise for a row of tiles, one of each amplitude, m, which ends at each tile's rim.

    Returns:
        Heights (rows y, columns x), m, at the corners of cells of `FIELD_CELL`.
    """
    cells = round(TILE / FIELD_CELL)
    noise = rng.random((cells + 1, len(amplitudes) * cells + 1))
    return noise * _amplitude(amplitudes) * _rim(len(amplitudes), 0.5)


def waves(heights: list[float]) -> np.ndarray:
    """Return crossing waves for a row of tiles, one of each height from trough to crest, m; see `rough`."""
    cells = round(TILE / FIELD_CELL)
    angle = 2 * np.pi * FIELD_CELL / WAVELENGTH * np.arange(len(heights) * cells + 1)
    crossing = (2.0 - np.cos(angle[None, :]) - np.cos(angle[: cells + 1, None])) / 4
    return crossing * _amplitude(heights) * _rim(len(heights), 1.0)


def _amplitude(levels: list[float]) -> np.ndarray:
    amplitude = np.repeat(levels, round(TILE / FIELD_CELL))
    return np.append(amplitude, amplitude[-1])


def _rim(tiles: int, width: float) -> np.ndarray:
    """Return a factor that falls to zero over `width`, m, at the rim of each of the tiles of a row."""
    cells = round(TILE / FIELD_CELL)
    across = np.minimum(np.arange(cells + 1), np.arange(cells + 1)[::-1])
    along = np.arange(tiles * cells + 1) % cells
    along = np.minimum(along, cells - along)
    return np.clip(np.minimum(across[:, None], along[None, :]) * FIELD_CELL / width, 0.0, 1.0)
