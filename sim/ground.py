"""The ground's height, looked up on the device of a simulator."""

from __future__ import annotations

import torch

from sim.terrain import CELL, TerrainWorld


class Ground:
    """Heights of a terrain world on a device; beyond the world it is flat."""

    def __init__(self, world: TerrainWorld, device: torch.device) -> None:
        grid = torch.nn.functional.pad(torch.as_tensor(world.heights, device=device), (1, 1, 1, 1))
        self._last_column, self._rows = grid.shape[0] - 1, grid.shape[1]
        self._grid = grid.flatten()

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the ground's height, m, at points of the world of any one shape, m; 0 where one is not a number."""
        i = (x / CELL + 1.0).long().clamp(0, self._last_column)
        j = (y / CELL + 1.0).long().clamp(0, self._rows - 1)
        return self._grid[i * self._rows + j]
