"""What the environment asks of a physics engine: batched tensors in, batched tensors out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from sim.terrain import TerrainWorld


class Simulator(Protocol):
    """Many robots in one terrain world; float32 tensors of leading size `num_envs`, joints in internal order.

    Attributes:
        root_position: (n, 3), m, world.
        root_quaternion: (n, 4), w x y z.
        root_linear_velocity: (n, 3), m/s, world.
        root_angular_velocity: (n, 3), rad/s, base.
        joint_position, joint_velocity, joint_torque: (n, 12), rad, rad/s, N m.
        foot_force: (n, 4), N.
        foot_position: (n, 4, 3), m, world.
        trunk_force: (n,), N.
        leg_force: (n, 8), N, on thighs and calves.
        diverged: (n,), bool: the simulation broke down in the last step and holds no valid state.
    """

    num_envs: int
    control_dt: float
    world: TerrainWorld

    root_position: torch.Tensor
    root_quaternion: torch.Tensor
    root_linear_velocity: torch.Tensor
    root_angular_velocity: torch.Tensor
    joint_position: torch.Tensor
    joint_velocity: torch.Tensor
    joint_torque: torch.Tensor
    foot_force: torch.Tensor
    foot_position: torch.Tensor
    trunk_force: torch.Tensor
    leg_force: torch.Tensor
    diverged: torch.Tensor

    def step(self, targets: torch.Tensor) -> None:
        """Hold the joint targets (n, 12), rad, for one control period."""
        ...

    def reset(self, ids: np.ndarray, position: np.ndarray, quaternion: np.ndarray, joints: np.ndarray) -> None:
        """Place robots `ids` (m,) at a pose, at rest: position (m, 3), quaternion (m, 4), joints (m, 12)."""
        ...

    def set_factors(self, ids: np.ndarray, factors: np.ndarray, friction: np.ndarray) -> None:
        """Give robots `ids` (m,) their factors (m, 12), see `sim.factors`, and the feet's friction (m,)."""
        ...

    def push(self, ids: np.ndarray, velocity: np.ndarray) -> None:
        """Add a velocity (m, 3), m/s, world, to the trunks of robots `ids`."""
        ...

    def heights(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the ground's height, m, at points of the world of any one shape."""
        ...
