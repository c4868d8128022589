"""What a policy without contexts could know of the robot: factors read from the values that it sees at one moment."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from dynamics_model.contenders import Split
from dynamics_model.dataset import Dataset, SensorNoise
from dynamics_model.disentangle import SHOWN
from dynamics_model.probes import r_squared, readings
from robots.frame import FRAME_SIZE, STATE_SIZE

ITERATIONS, POINTS, JUDGED = 1500, 40, 800
HIDDEN = (256, 128)


def observed(
    data: Dataset, parts: Split, columns: tuple[int, ...], noise: SensorNoise, seed: int
) -> list[dict[str, Any]]:
    """Return R² of robot factors read by a network from the state and the action before it, on each terrain.

    The network is trained on the training robots and judged on the test robots inside the ranges: `r2` of a reading
    from one moment, `r2_mean` of the mean of its readings over a log.

    Args:
        data: with a history of two frames or more.
        parts: who trains and tests.
        columns: of the terrains.
        noise: of the sensors.
        seed: of everything.
    """
    torch.manual_seed(seed)
    names, units, values = readings(data)
    center, spread = values[parts.train].mean(0), values[parts.train].std(0).clamp_min(1e-6)
    made = []
    for column in columns:
        read = _reader(data, parts.train, column, noise, (values - center) / spread)
        test = parts.test["id"]
        with torch.no_grad():
            found = read(_inputs(data, test, column, JUDGED, noise)) * spread + center
        one = r_squared(found.flatten(0, 1), values[test].repeat_interleave(JUDGED, 0))
        mean = r_squared(found.mean(1), values[test])
        made += [
            {
                "factor": n,
                "unit": units[i],
                "terrain": data.terrains[column],
                "r2": float(one[i]),
                "r2_mean": float(mean[i]),
            }
            for i, n in enumerate(names)
            if n in SHOWN
        ]
    return made


def _inputs(data: Dataset, rows: Tensor, column: int, count: int, noise: SensorNoise) -> Tensor:
    """Return moments of the robots' logs: the newest state and the action before it, [R, count, FRAME_SIZE]."""
    newest = data.sample(data.grid[rows, column], count, noise=noise).frames[..., -2 * FRAME_SIZE :]
    return newest[..., STATE_SIZE : FRAME_SIZE + STATE_SIZE]


def _reader(data: Dataset, train: Tensor, column: int, noise: SensorNoise, targets: Tensor) -> nn.Module:
    sample = _inputs(data, train, column, 64, noise).flatten(0, 1)
    center, spread = sample.mean(0), sample.std(0).clamp_min(1e-6)
    sizes = (FRAME_SIZE, *HIDDEN)
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ELU())]
    network = nn.Sequential(_Scale(center, spread), *layers, nn.Linear(sizes[-1], targets.shape[1]))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-3)
    for _ in range(ITERATIONS):
        found = network(_inputs(data, train, column, POINTS, noise))
        loss = (found - targets[train][:, None]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


class _Scale(nn.Module):
    def __init__(self, center: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.center, self.spread = center, spread

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.center) / self.spread
