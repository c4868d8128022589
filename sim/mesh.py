"""The terrain as triangles, for engines that take nothing else: boxes and height fields, over a plane at height 0."""

from __future__ import annotations

import itertools

import numpy as np

from sim.shapes import FIELD_CELL, TILE, Box
from sim.terrain import KINDS, TerrainWorld, tile_center

# Corners of a unit box and its twelve triangles, counterclockwise seen from outside.
CORNERS = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
FACES = np.array(
    [
        *((0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)),
        *((2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)),
    ]
)


def box(shape: Box) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices (8, 3), m, and triangles (12, 3) of a box."""
    cos, sin = np.cos(shape.pitch), np.sin(shape.pitch)
    turn = np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    return (CORNERS * shape.half) @ turn.T + shape.center, FACES


def field(heights: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices and triangles of a field of heights, (rows y, columns x), m, its corner at the origin."""
    rows, columns = heights.shape
    x, y = np.meshgrid(np.arange(columns) * cell, np.arange(rows) * cell)
    vertices = np.stack([x, y, heights], axis=-1).reshape(-1, 3)
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    right, up = corner + 1, corner + columns
    return vertices, np.concatenate([np.stack([corner, right, up + 1], 1), np.stack([corner, up + 1, up], 1)])


def triangles(world: TerrainWorld) -> tuple[np.ndarray, np.ndarray]:
    """Return the vertices (v, 3), m, and triangles (t, 3) of a world; its plane at height 0 is not among them."""
    parts = [
        _at(box(shape), *tile_center(kind, level)) for (kind, level), boxes in world.tiles.items() for shape in boxes
    ]
    parts += [_at(field(heights, FIELD_CELL), 0.0, KINDS.index(kind) * TILE) for kind, heights in world.fields.items()]
    if not parts:
        return np.zeros((0, 3)), np.zeros((0, 3), int)
    offsets = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    faces = [faces + offset for (_, faces), offset in zip(parts, offsets[:-1], strict=True)]
    return np.concatenate([vertices for vertices, _ in parts]), np.concatenate(faces)


def _at(part: tuple[np.ndarray, np.ndarray], x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    return part[0] + np.array([x, y, 0.0]), part[1]
