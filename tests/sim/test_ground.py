import pytest

pytest.importorskip("torch")
import torch

from sim.ground import Ground
from sim.terrain import CELL, TerrainWorld, stair_rise, tile_center

WORLD = TerrainWorld(kinds=("stairs",))
GROUND = Ground(WORLD, torch.device("cpu"))


def test_heights_are_those_of_the_worlds_grid_to_its_last_cell():
    columns, rows = WORLD.heights.shape
    i, j = torch.tensor([0, 100, columns - 1]), torch.tensor([0, 400, rows - 1])
    looked_up = GROUND((i + 0.5) * CELL, (j + 0.5) * CELL)
    assert looked_up.tolist() == [WORLD.heights[a, b] for a, b in zip(i, j, strict=True)]
    x, y = tile_center("stairs", 3)
    points = torch.full((2, 3, 4), x), torch.full((2, 3, 4), y)
    assert torch.allclose(GROUND(*points), torch.tensor(7 * stair_rise(3)), atol=1e-5)


def test_beyond_the_world_and_at_no_number_it_is_flat():
    width, depth = WORLD.size
    x = torch.tensor([-1e-3, -1e9, width + 1e-3, 1.0, 1.0, 1e12, float("nan"), float("inf")])
    y = torch.tensor([22.0, 22.0, 22.0, -1e-3, depth + 1e-3, 22.0, 22.0, 22.0])
    assert not GROUND(x, y).any()
