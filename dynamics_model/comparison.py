"""How well dynamics models predict robots that they were not trained on: one step and half a second ahead.

All errors are mean squares in units of the variance of what is predicted, on the last part of every log, which nothing
is adapted on; inputs carry sensor noise, and so do the targets of one step. Those of half a second are true states.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dynamics_model.adaptation import robot_contexts
from dynamics_model.contenders import Split, known_contexts
from dynamics_model.dataset import Dataset, SensorNoise
from dynamics_model.network import DynamicsModel, ModelInfo
from robots.frame import STATE_SIZE

HORIZON = 25  # steps
POINTS = 128  # of each robot and terrain that an error is measured on
JUDGED = 0.85  # of a log, from where on errors are measured
SECONDS = (1.0, 5.0, 10.0, 20.0)
RIDGES = (1e0, 1e1, 1e2, 1e3, 1e4)  # penalties that are tried for the linear correction
Predict = Callable[[Tensor], Tensor]  # raw frames [B, N, H * frame] -> raw change of the state [B, N, STATE_SIZE]


@dataclass
class Bench:
    """A trained model and what it is judged on.

    Attributes:
        model, info: as read from its file.
        data: with the model's history.
        parts: who trains and tests.
        flat, stairs: columns of the terrains that are walked on and to be climbed.
        noise: of the sensors.
        known: whether the model is given its contexts instead of adapting them.
    """

    model: DynamicsModel
    info: ModelInfo
    data: Dataset
    parts: Split
    flat: int
    stairs: int
    noise: SensorNoise
    known: bool

    def transitions(self, seconds: float, column: int) -> int:
        """Return how many transitions of a log that is, at most those before the part that judges."""
        tasks = self.data.grid[:, column]
        most = int(JUDGED * int(self.data.count[tasks[tasks >= 0]].min()))
        return min(round(seconds / self.data.control_dt), most)

    def adapt(self, rows: Tensor, seconds: float, column: int) -> Tensor:
        """Return the robot contexts adapted on the first seconds of the logs on a terrain, [R, robot]."""
        count = self.transitions(seconds, column)
        options: dict[str, Any] = {"steps": self.info.inner_steps, "rate": self.info.inner_rate, "noise": self.noise}
        return robot_contexts(self.model, self.data, rows, column, count=count, **options)

    def under(self, robot: Tensor, terrain: Tensor) -> Predict:
        """Return the prediction under contexts [R, robot] and [terrain]."""
        context = self.model.contexts(robot, terrain)

        def predict(frames: Tensor) -> Tensor:
            mean, std = (getattr(self.model, f"frame_{n}").repeat(self.model.config.history) for n in ("mean", "std"))
            return self.model.learner.predict((frames - mean) / std, context) * self.model.target_std

        return predict


@torch.no_grad()
def errors(bench: Bench, rows: Tensor, column: int, predict: Predict, seed: int = 0) -> dict[str, float | None]:
    """Return `error_1` and `error_25` of robots on a terrain; the same samples and noise for every prediction.

    Torques of the future are not known, so a model that takes them has no `error_25`.
    """
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    data, history = bench.data, bench.data.history
    starts = torch.stack([_starts(data, int(task)) for task in data.grid[rows, column]])
    offsets = torch.arange(1 - history, HORIZON + 1)
    clean = data.signals[starts[..., None] + offsets]
    seen = bench.noise.add(clean)
    torch.set_rng_state(state)
    scale = bench.model.target_std
    change = seen[..., history, :STATE_SIZE] - seen[..., history - 1, :STATE_SIZE]
    one = predict(seen[..., :history, :].flatten(-2))
    found: dict[str, float | None] = {"error_1": float(((one - change) / scale).square().mean()), "error_25": None}
    if not bench.model.config.torque:
        window = seen[..., :history, :].clone()
        for step in range(HORIZON):
            ahead = window[..., -1, :STATE_SIZE] + predict(window.flatten(-2))
            action = clean[..., history + step, STATE_SIZE:]
            window = torch.cat([window[..., 1:, :], torch.cat([ahead, action], -1)[..., None, :]], -2)
        true = clean[..., -1, :STATE_SIZE]
        moved = true - clean[..., history - 1, :STATE_SIZE]
        found["error_25"] = float(((window[..., -1, :STATE_SIZE] - true).square() / moved.var((0, 1))).mean())
    return found


def _starts(data: Dataset, task: int) -> Tensor:
    """Return POINTS newest frames of the last part of a log after which HORIZON frames follow without a break."""
    rows = data.newest[data.first[task] : data.first[task] + data.count[task]]
    late = torch.arange(int(JUDGED * len(rows)), len(rows) - HORIZON)
    whole = late[rows[late + HORIZON] - rows[late] == HORIZON]
    if not len(whole):  # the robot fell again and again: take what there is of the whole log
        every = torch.arange(len(rows) - HORIZON)
        whole = every[rows[every + HORIZON] - rows[every] == HORIZON]
    return rows[whole[torch.randint(len(whole), (POINTS,))]]


def rows_of(bench: Bench, name: str) -> list[dict[str, Any]]:
    """Return the rows of a method: contexts after some seconds of flat ground, judged there and on stairs."""
    made = []
    for part, robots in bench.parts.test.items():
        for label, seconds, column, predict in _ways(bench, robots):
            found = errors(bench, robots, column, predict)
            ground = bench.data.terrains[column]
            made.append(
                {"method": name, "split": part, "seconds": seconds, "context": label, "terrain": ground, **found}
            )
    return made


def _ways(bench: Bench, robots: Tensor) -> list[tuple[str, float, int, Predict]]:
    """Return (context, seconds, column of the terrain that judges, prediction) of all that is compared."""
    model, flat, stairs = bench.model, bench.flat, bench.stairs
    ground = model.terrain_contexts
    if bench.known:
        known, terrains = known_contexts(bench.data, bench.parts.train, model.config)
        label = "nominal" if model.config.terrain == 1 else "true"
        return [(label, 0.0, column, bench.under(known[robots], terrains[column])) for column in (flat, stairs)]
    nominal = bench.adapt(torch.tensor([bench.data.robot_ids.index(0)]), SECONDS[-1], flat).expand(len(robots), -1)
    ways = [("nominal", 0.0, column, bench.under(nominal, ground[column])) for column in (flat, stairs)]
    for seconds in SECONDS:
        found = bench.adapt(robots, seconds, flat)
        ways.append(("adapted", seconds, flat, bench.under(found, ground[flat])))
        ways.append(("swap", seconds, stairs, bench.under(found, ground[stairs])))
        ways.append(("raw", seconds, stairs, bench.under(found, ground[flat])))
    there = bench.adapt(robots, SECONDS[-1], stairs)
    own = torch.zeros_like(ground[stairs]) if model.config.single else ground[stairs]
    return [*ways, ("on_terrain", SECONDS[-1], stairs, bench.under(there, own))]


@torch.no_grad()
def ridge_rows(bench: Bench) -> list[dict[str, Any]]:
    """Return the rows of a linear correction, fitted to what a model without contexts leaves of each robot's walk.

    Its penalty is the one that is best on the validation robots.
    """
    made, flat, stairs = [], bench.flat, bench.stairs
    for seconds in SECONDS:
        penalty = min(
            RIDGES, key=lambda one: _ridge_errors(bench, bench.parts.validation, seconds, one, flat)["error_1"]
        )
        for part, robots in bench.parts.test.items():
            for label, column in (("adapted", flat), ("swap", stairs)):
                found = _ridge_errors(bench, robots, seconds, penalty, column)
                ground = bench.data.terrains[column]
                made.append(
                    {"method": "ridge", "split": part, "seconds": seconds, "context": label, "terrain": ground, **found}
                )
    return made


def _ridge_errors(bench: Bench, robots: Tensor, seconds: float, penalty: float, column: int) -> dict[str, Any]:
    known, terrains = known_contexts(bench.data, bench.parts.train, bench.model.config)
    plain = bench.under(known[robots], terrains[bench.flat])
    width, size = bench.model.config.frame_size, bench.model.target_std
    log = bench.data.log(bench.data.grid[robots, bench.flat], 0, bench.transitions(seconds, bench.flat), bench.noise)

    def features(frames: Tensor) -> Tensor:
        newest = (frames[..., -width:] - bench.model.frame_mean) / bench.model.frame_std
        return torch.cat([newest, torch.ones_like(newest[..., :1])], -1)

    x = features(log.frames) * log.weight[..., None]
    left = (log.targets - plain(log.frames)) / size * log.weight[..., None]
    gram = x.mT @ x + penalty * torch.eye(x.shape[-1])
    weights = torch.linalg.solve(gram, x.mT @ left)
    return errors(bench, robots, column, lambda frames: plain(frames) + features(frames) @ weights * size)
