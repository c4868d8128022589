"""Stage one: free contexts of all robots and terrains, trained with the network by plain stochastic gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dynamics_model.chains import Tasks
from dynamics_model.dataset import Dataset, SensorNoise
from dynamics_model.meta import Batch
from dynamics_model.network import DynamicsModel
from dynamics_model.probes import readings

POINTS = 8  # samples per task in a batch: few, so that a batch sees many tasks
ANCHOR_SPREAD = 0.3


class Table(nn.Module):
    """Free contexts of the training robots and terrains.

    A robot's context is a learned linear map of its true factors plus a free part of its own: the map is shared by all
    robots, so that a payload finds its direction long before a robot's own samples could show it. Held-out robots
    and the field never see factors, only gradients. A single context is the same map, one vector for each terrain, and
    a free part of each robot on each terrain.
    """

    def __init__(self, data: Dataset, train: Tensor, model: DynamicsModel, anchor: bool) -> None:
        """Build contexts of the model's sizes for the rows `train`; `anchor` uses the true factors."""
        super().__init__()
        robot, terrain = model.context_sizes
        values = readings(data)[2][train]
        known = (values - values.mean(0)) / values.std(0).clamp_min(1e-6)
        self.register_buffer("known", known if anchor else known[:, :0], persistent=False)
        spread = ANCHOR_SPREAD if anchor else 0.0
        self.map = nn.Parameter(torch.randn(self.known.shape[1], robot) * spread)
        self.robot = nn.Parameter(torch.randn(len(train), robot) * (0.0 if anchor else 0.1))
        self.terrain = nn.Parameter(torch.randn(len(data.terrain_ids), terrain) * 0.1)
        single = model.config.single
        self.pair = nn.Parameter(torch.zeros(len(train), len(data.terrain_ids), robot)) if single else None

    def robots(self) -> Tensor:
        """Return the part of the contexts that all training robots have on every terrain [R, robot]."""
        return self.known @ self.map + self.robot

    def contexts(self, robot: Tensor, terrain: Tensor) -> Tensor:
        """Return what the network takes [B, C] for robots (positions in `train`) on terrains, [B] each."""
        parts = self.robots()[robot], self.terrain[terrain]
        return torch.cat(parts, -1) if self.pair is None else sum(parts) + self.pair[robot, terrain]

    @torch.no_grad()
    def split(self, flat: int) -> tuple[Tensor, Tensor]:
        """Return the contexts of robots, single ones as on the terrain `flat`, and of terrains as a model has them."""
        if self.pair is None:
            return self.robots(), self.terrain.detach()
        whole = self.robots()[:, None] + self.terrain + self.pair
        return whole[:, flat], (whole - whole[:, flat, None]).mean(0)

    def penalty(self) -> Tensor:
        """Return the mean square of the free parts."""
        free = (self.robot, self.terrain) if self.pair is None else (self.robot, self.terrain, self.pair)
        return sum(part.square().mean() for part in free)


def table_loss(
    model: DynamicsModel, table: Table, data: Dataset, train: Tensor, batch: int, noise: SensorNoise
) -> Tensor:
    """Return the loss of `batch` random transitions of random training tasks under their table contexts."""
    count = max(batch // POINTS, 1)
    robot = torch.randint(len(train), (count,))
    terrain = torch.randint(len(data.terrain_ids), (count,))
    task = data.grid[train[robot], terrain]
    robot, terrain, task = robot[task >= 0], terrain[task >= 0], task[task >= 0]
    windows = model.normalise(data.sample(task, POINTS, noise=noise))
    return model.learner.losses(windows, table.contexts(robot, terrain)).mean()


class GridTasks(Tasks):
    """Stage two's tasks: factors are (position in `train`, terrain column) of robots that have data there."""

    def __init__(
        self, model: DynamicsModel, data: Dataset, train: Tensor, points: int, noise: SensorNoise | None
    ) -> None:
        """Draw `points` samples of a task for support, from the log's first half, and as many for query."""
        self.model, self.data, self.train, self.points, self.noise = model, data, train, points, noise
        self.pairs = (data.grid[train] >= 0).nonzero()

    def draw(self, count: int) -> Tensor:
        """Return random tasks [count, 2]."""
        return self.pairs[torch.randint(len(self.pairs), (count,))]

    def change(self, factors: Tensor, which: Tensor) -> Tensor:
        """Return the tasks with the robot (`which` 0) or the terrain (1) drawn anew among those with data."""
        there = self.data.grid[self.train] >= 0
        robot = torch.multinomial(there[:, factors[:, 1]].T.float(), 1)[:, 0]
        terrain = torch.multinomial(there[factors[:, 0]].float(), 1)[:, 0]
        robot_changed = torch.stack([robot, factors[:, 1]], 1)
        terrain_changed = torch.stack([factors[:, 0], terrain], 1)
        return torch.where((which == 0)[:, None], robot_changed, terrain_changed)

    def sample(self, factors: Tensor, part: str) -> Batch:
        """Return normalised samples of the tasks; a pair without data gets weight 0 (only recombination makes one)."""
        task = self.data.grid[self.train[factors[:, 0]], factors[:, 1]]
        window = (0.0, 0.5) if part == "support" else (0.5, 1.0)
        windows = self.data.sample(task.clamp_min(0), self.points, window, self.noise)
        if bool((task < 0).any()):
            windows.weight = (task >= 0).float()[:, None].expand(-1, self.points)
        return self.model.normalise(windows)
