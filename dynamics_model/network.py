"""The quadruped's dynamics model: a network with a robot and a terrain context, its normalizers, and its file."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from dynamics_model.dataset import TORQUE, Windows
from dynamics_model.meta import Batch, ContextLearner
from robots.frame import FRAME_SIZE, STATE_SIZE
from robots.seal import PLACEHOLDER, intact, seal

SCHEMA = 1


class ModelError(ValueError):
    """A model file that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the dynamics model.

    Attributes:
        history: frames it sees, H.
        robot, terrain: sizes of the contexts.
        torque: whether frames end with the measured joint torques.
        single: one context instead of both, of their total size (CAVIA); a terrain's is what it adds to the robot's.
        hidden: widths of the hidden layers.
        loss: "squared" error, or "student": the likelihood of heavy-tailed errors with a learned scale per output,
            in which predictable outputs and moments count more than impacts.
        freedom: degrees of freedom of "student".
        prior: how strongly contexts of unit spread are pulled towards zero in adaptation. 1 takes errors to be alike
            over about 30 samples, so that a log of 800 says as much as 27 independent ones.
    """

    history: int = 3
    robot: int = 8
    terrain: int = 8
    torque: bool = False
    single: bool = False
    hidden: tuple[int, ...] = (256, 256)
    loss: Literal["squared", "student"] = "student"
    freedom: float = 4.0
    prior: float = 1.0

    @property
    def frame_size(self) -> int:
        """Number of values in a frame."""
        return FRAME_SIZE + TORQUE[1] * self.torque

    @property
    def contexts(self) -> dict[str, int]:
        """Sizes of the contexts that adaptation moves, by name."""
        total = self.robot + self.terrain
        return {"robot": total} if self.single else {"robot": self.robot, "terrain": self.terrain}


class SquaredLoss(nn.Module):
    """Mean squared error over the outputs."""

    unit = 0.1  # what a likelihood's unit is worth: twice the variance of a usual error

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the loss of every point, [..., N]."""
        return (prediction - y).square().mean(-1)

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the (Gauss-Newton) curvature of the loss in each output, [..., N, outputs]."""
        return torch.full_like(y, 2.0 / y.shape[-1])


class StudentLoss(nn.Module):
    """Negative log-likelihood of Student's t with one learned scale per output, mean over the outputs."""

    unit = 1.0

    def __init__(self, outputs: int, freedom: float) -> None:
        """Start with a scale of e^-1 per output."""
        super().__init__()
        self.freedom = freedom
        self.log_scale = nn.Parameter(torch.full((outputs,), -1.0))

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the loss of every point, [..., N]."""
        spread = self.freedom * (2 * self.log_scale).exp()
        tail = torch.log1p((prediction - y).square() / spread)
        return (self.log_scale + 0.5 * (self.freedom + 1) * tail).mean(-1)

    def curvature(self, prediction: Tensor, y: Tensor) -> Tensor:
        """Return the curvature of the loss in each output, of its quadratic upper bound, [..., N, outputs]."""
        spread = self.freedom * (2 * self.log_scale).exp()
        return (self.freedom + 1) / (spread + (prediction - y).square()) / y.shape[-1]


class ContextMLP(nn.Module):
    """A perceptron whose first layer also sees a context; one context serves all points of a task."""

    def __init__(self, inputs: int, context: int, outputs: int, hidden: tuple[int, ...]) -> None:
        """Build it; the output layer starts at zero, so that training starts from the mean."""
        super().__init__()
        if not hidden:
            raise ValueError("hidden: need at least one hidden layer")
        self.input = nn.Linear(inputs, hidden[0])
        self.context = nn.Linear(context, hidden[0], bias=False)
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(hidden))
        self.output = nn.Linear(hidden[-1], outputs)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Return outputs [B, N, outputs] for inputs [B, N, inputs] and contexts [B, C]."""
        h = nn.functional.elu(self.input(x) + self.context(context).unsqueeze(-2))
        for layer in self.hidden:
            h = nn.functional.elu(layer(h))
        return self.output(h)

    @torch.no_grad()
    def fold(self, place: slice, matrix: Tensor, offset: Tensor) -> None:
        """Change the coordinates of the context's entries `place`: old = offset + matrix @ new, outputs unchanged."""
        weight = self.context.weight[:, place].clone()
        self.input.bias += weight @ offset
        self.context.weight[:, place] = weight @ matrix


@dataclass
class ModelInfo:
    """What a model file says of its model.

    Attributes:
        robot, robot_digest: which robot.
        control_dt: length of a step, s.
        terrains: names, in the order of `terrain_contexts`.
        train_robots, held_out_robots: ids of the robots.
        noise: standard deviations of the sensor noise it was trained with.
        inner_steps: gradient steps that adapt the robot context best.
        inner_rate: multiple of the learned rates that does.
        validation: figures on held-out robots.
        history: what training printed.
    """

    robot: str
    robot_digest: str
    control_dt: float
    terrains: list[str]
    train_robots: list[int]
    held_out_robots: list[int]
    noise: dict[str, float]
    inner_steps: int = 10
    inner_rate: float = 0.5
    validation: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


class DynamicsModel(nn.Module):
    """Predicts the change of a robot's state over one control step from its last frames and two contexts.

    Attributes:
        learner: adapts the contexts "robot" and "terrain" on normalised data.
        terrain_contexts: one per terrain of `info.terrains` [K, terrain].
    """

    def __init__(self, config: ModelConfig, terrains: int = 1) -> None:
        """Build an untrained model for data of zero mean and unit variance."""
        super().__init__()
        self.config = config
        sizes = config.contexts
        network = ContextMLP(config.history * config.frame_size, sum(sizes.values()), STATE_SIZE, config.hidden)
        loss = SquaredLoss() if config.loss == "squared" else StudentLoss(STATE_SIZE, config.freedom)
        prior = config.prior * loss.unit
        self.learner = ContextLearner(network, sizes, inner_rate=1.0, rate_per="entry", loss=loss, prior=prior)
        self.register_buffer("frame_mean", torch.zeros(config.frame_size))
        self.register_buffer("frame_std", torch.ones(config.frame_size))
        self.register_buffer("target_std", torch.ones(STATE_SIZE))
        self.register_buffer("terrain_contexts", torch.zeros(terrains, self.context_sizes[1]))

    @torch.no_grad()
    def fit_normalizers(self, windows: Windows) -> None:
        """Set the normalizers from raw samples, noise included; a constant signal keeps its scale."""
        frames = windows.frames.reshape(-1, self.config.frame_size)
        targets = windows.targets.reshape(-1, STATE_SIZE)
        self.frame_mean.copy_(frames.mean(0))
        self.frame_std.copy_(_scale(frames))
        self.target_std.copy_(_scale(targets))

    def normalise(self, windows: Windows) -> Batch:
        """Return raw samples as the network's inputs and outputs."""
        mean, std = self.frame_mean.repeat(self.config.history), self.frame_std.repeat(self.config.history)
        return Batch((windows.frames - mean) / std, windows.targets / self.target_std, windows.weight)

    def contexts(self, robot: Tensor, terrain: Tensor) -> Tensor:
        """Return what the network takes [B, C], from [B, robot] or [robot], and [B, terrain] or [terrain]."""
        if self.config.single:
            return robot + terrain
        batch = max(robot.shape[0] if robot.ndim == 2 else 1, terrain.shape[0] if terrain.ndim == 2 else 1)
        return torch.cat([robot.expand(batch, -1), terrain.expand(batch, -1)], -1)

    @property
    def context_sizes(self) -> tuple[int, int]:
        """Sizes of a robot's and of a terrain's context."""
        sizes = self.config.contexts
        return sizes["robot"], sizes.get("terrain", sizes["robot"])

    def error(self, batch: Batch, context: Tensor) -> Tensor:
        """Return every task's mean squared error in units of the targets' variance, [B]."""
        point = (self.learner.predict(batch.x, context) - batch.y).square().mean(-1)
        if batch.weight is None:
            return point.mean(-1)
        return (point * batch.weight).sum(-1) / batch.weight.sum(-1)

    def digest(self) -> str:
        """Return a short hash of all that the exported graph holds, by which other files recognise this model."""
        digest = hashlib.sha256()
        for name, value in sorted(self.state_dict().items()):
            if name == "terrain_contexts":
                continue
            digest.update(name.encode() + value.detach().float().contiguous().numpy().tobytes())
        if self.learner.prior:
            digest.update(f"prior {self.learner.prior}".encode())
        return digest.hexdigest()[:16]

    def save(self, path: Path, info: ModelInfo) -> None:
        """Write the model with what is known of it, atomically."""
        header = {"schema": SCHEMA, "kind": "dynamics_model", "config": asdict(self.config), "info": asdict(info)}
        tensors = {name: value.detach().contiguous() for name, value in self.state_dict().items()}
        write_safetensors(path, tensors, header)

    @classmethod
    def load(cls, path: Path) -> tuple[DynamicsModel, ModelInfo]:
        """Return a model written by `save`.

        Raises:
            FileNotFoundError: if there is no such file.
            ModelError: if it is damaged or of another kind or schema.
        """
        tensors, header = read_safetensors(path, "dynamics_model", SCHEMA)
        before = {"prior": 0.0}  # of files from before there was one
        config = ModelConfig(**{**before, **header["config"], "hidden": tuple(header["config"]["hidden"])})
        model = cls(config, tensors["terrain_contexts"].shape[0])
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise ModelError(f"{path}: its tensors do not fit its config, train again") from error
        return model, ModelInfo(**header["info"])


def write_safetensors(path: Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    """Write tensors with a JSON header under "dmcm" and a checksum of the file, by way of a temporary file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    save_file(tensors, str(temporary), metadata={"dmcm": json.dumps(header), "seal": PLACEHOLDER})
    seal(temporary)
    os.replace(temporary, path)


def read_safetensors(path: Path, kind: str, schema: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the JSON header of a file.

    Raises:
        FileNotFoundError: if there is no such file.
        ModelError: if it is damaged, or of another kind or schema.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    if intact(path.read_bytes()) is False:
        raise ModelError(f"{path}: damaged (its checksum does not match), copy it again")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("dmcm", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ModelError(f"{path}: damaged ({error})") from error
    if not isinstance(header, dict) or header.get("kind") != kind:
        raise ModelError(f"{path}: not a file of kind '{kind}'")
    if header.get("schema") != schema:
        raise ModelError(f"{path}: schema {header.get('schema')}, this version reads {schema}: make it again")
    return tensors, header


def _scale(values: Tensor) -> Tensor:
    std = values.std(0)
    return torch.where(std > 1e-6, std, torch.ones_like(std))
