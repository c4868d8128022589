"""Policies of other stacks that embody one of ours: the same network behind other observations, orders and poses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from robots.joints import JOINT_NAMES
from robots.observation import PROPRIOCEPTION, scales
from robots.spec import RobotSpec

AXES = ("x", "y", "z")
PER_JOINT = ("joint_position", "joint_velocity", "last_action")


@dataclass(frozen=True)
class Convention:
    """How the other stack does it; scales of terms are one number or three."""

    terms: tuple[str, ...]
    scale: dict
    joints: tuple[str, ...]
    history: int = 1
    newest_first: bool = False
    by_term: bool = False
    action_scale: float = 0.25
    pose: tuple[float, ...] | None = None  # internal order; the robot's by default

    def labels(self) -> list[tuple[str, str, int]]:
        """Return (term, joint or axis, age in frames) of every value that the policy sees, in its order."""
        ages = range(self.history) if self.newest_first else range(self.history - 1, -1, -1)
        parts = {name: self.joints if name in PER_JOINT else AXES for name in self.terms}
        if self.by_term:
            return [(name, part, age) for name in self.terms for age in ages for part in parts[name]]
        return [(name, part, age) for age in ages for name in self.terms for part in parts[name]]

    def factor(self, term: str, part: str) -> float:
        scale = self.scale.get(term, 1.0)
        return scale if np.isscalar(scale) else scale[AXES.index(part)]


class Foreign(torch.nn.Module):
    """Undoes the convention, runs our network, and answers in the convention.

    With `feedback` it heeds the base's velocity: what that lacks of the command is added to the command, by so much.
    """

    def __init__(self, policy: Path, spec: RobotSpec, convention: Convention, age: int, feedback: float) -> None:
        super().__init__()
        self.feedback = feedback
        weights = {t.name: numpy_helper.to_array(t) for t in onnx.load(policy).graph.initializer}
        layers: list[torch.nn.Module] = []
        for key in sorted(name for name in weights if name.endswith(".weight")):
            layer = torch.nn.Linear(*weights[key].shape[::-1])
            bias = weights[key.replace("weight", "bias")]
            layer.load_state_dict({"weight": torch.tensor(weights[key]), "bias": torch.tensor(bias)})
            layers += [layer, torch.nn.ELU()]
        self.actor = torch.nn.Sequential(*layers[:-1])
        (std,) = (value for name, value in weights.items() if value.shape == (1, 45) and name != "mean")
        self.register_buffer("mean", torch.tensor(weights["mean"]))
        self.register_buffer("std", torch.tensor(std))
        self._undo(spec, convention, age)

    def _undo(self, spec: RobotSpec, convention: Convention, age: int) -> None:
        labels, ours = convention.labels(), scales(PROPRIOCEPTION)
        wanted = [
            (term.name, part) for term in PROPRIOCEPTION for part in (JOINT_NAMES if term.name in PER_JOINT else AXES)
        ]
        pose = spec.default_position if convention.pose is None else np.array(convention.pose)
        apart = dict(zip(JOINT_NAMES, pose - spec.default_position, strict=True))  # rad
        stretch = convention.action_scale / spec.action_scale
        factor, shift = np.zeros(45), np.zeros(45)
        for i, (term, part) in enumerate(wanted):
            factor[i] = ours[i] / convention.factor(term, part)
            if term == "joint_position":
                shift[i] = apart[part] * ours[i]
            if term == "last_action":
                factor[i] *= stretch
                shift[i] = apart[part] / spec.action_scale
        order = [JOINT_NAMES.index(name) for name in convention.joints]
        self.register_buffer("pick", torch.tensor([labels.index((*one, age)) for one in wanted]))
        self.register_buffer("factor", torch.tensor(factor, dtype=torch.float32))
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float32))
        self.register_buffer("order", torch.tensor(order))
        self.register_buffer("stretch", torch.tensor(1.0 / stretch, dtype=torch.float32))
        self.register_buffer(
            "apart", torch.tensor([apart[n] / convention.action_scale for n in JOINT_NAMES], dtype=torch.float32)
        )

        speed = [labels.index(("linear_velocity", axis, age)) for axis in "xy"] if self.feedback else []
        self.register_buffer("speed", torch.tensor(speed, dtype=torch.long))
        self.speed_scale = 2.0 / convention.factor("linear_velocity", "x")  # to the scale of our command

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        values = observation[:, self.pick] * self.factor + self.shift
        if self.feedback != 0.0:
            lacking = values[:, 6:8] - observation[:, self.speed] * self.speed_scale
            values[:, 6:8] += self.feedback * lacking
        action = self.actor((values - self.mean) / self.std)
        return (action * self.stretch - self.apart)[:, self.order]


def write_torchscript(
    path: Path, policy: Path, spec: RobotSpec, convention: Convention, age: int = 0, feedback: float = 0.0
) -> Path:
    """Write our policy in another stack's convention; `age` is the frame that it acts on, 0 the newest."""
    torch.jit.script(Foreign(policy, spec, convention, age, feedback)).save(str(path))
    return path
