import numpy as np
import pytest

from sim import terrain
from sim.terrain import BOXED, CELL, KINDS, LEVELS, TILE, TerrainWorld


@pytest.fixture(scope="module")
def world():
    return TerrainWorld()


def height(world, x, y):
    return world.heights[int(x / CELL), int(y / CELL)]


def test_stairs_have_the_rise_that_their_level_says(world):
    for level in range(LEVELS):
        x, y = terrain.tile_center("stairs", level)
        edge = x - terrain.PLATEAU / 2 - (terrain.NUM_STEPS - 1) * terrain.STEP_DEPTH
        treads = [height(world, edge + (i + 0.5) * terrain.STEP_DEPTH, y) for i in range(terrain.NUM_STEPS - 1)]
        assert np.allclose(np.diff([0.0, *treads]), terrain.stair_rise(level), atol=1e-6)


def test_every_kind_gets_harder(world):
    for kind in (*BOXED, "rough"):
        row = KINDS.index(kind)
        cells = round(TILE / CELL)
        top = [
            world.heights[level * cells : (level + 1) * cells, row * cells : (row + 1) * cells].max()
            for level in range(LEVELS)
        ]
        assert top[-1] > top[0]
        assert np.mean(np.diff(top) > 0) > 0.7


def test_a_kind_has_as_many_boxes_at_every_level(world):
    for kind in BOXED:
        assert len({len(world.tiles[kind, level]) for level in range(LEVELS)}) == 1


def test_flat_ground_is_flat(world):
    cells = round(TILE / CELL)
    row = KINDS.index("flat")
    assert np.abs(world.heights[:, row * cells : (row + 1) * cells]).max() == 0.0


def test_names_are_unique_but_for_flat_ground():
    names = [terrain.name(kind, level) for kind in KINDS for level in range(LEVELS) if kind != "flat"]
    assert len(set(names)) == len(names)
    assert terrain.name("stairs", 5) == "stairs_13cm"
    assert terrain.name("flat", 3) == "flat"
