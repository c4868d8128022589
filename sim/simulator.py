"""What the environment asks of a physics engine: batched tensors in, batched tensors out, all on one device."""

from __future__ import annotations

from typing import Protocol

import torch

from sim.terrain import TerrainWorld


class Simulator(Protocol):
    """Many robots in one terrain world; float32 tensors of leading size `num_envs`, joints in internal order.

    What happens to some robots takes a mask, (n,) bool, and values for all n: those outside the mask are ignored. The
    state may be overwritten in place by the next step or reset.

    Attributes:
        device: of all tensors.
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
    device: torch.device

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

    def reset(self, mask: torch.Tensor, position: torch.Tensor, quaternion: torch.Tensor, joints: torch.Tensor) -> None:
        """Place the robots of `mask` at a pose, at rest: position (n, 3), m, quaternion (n, 4), joints (n, 12), rad."""
        ...

    def set_factors(self, mask: torch.Tensor, factors: torch.Tensor, nuisances: torch.Tensor) -> None:
        """Give the robots of `mask` their factors (n, F) and nuisances (n, K), see `sim.factors`."""
        ...

    def push(self, velocity: torch.Tensor) -> None:
        """Add a velocity (n, 3), m/s, world, to the trunks; zero for those that are left alone."""
        ...

    def heights(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the ground's height, m, at points of the world of any one shape."""
        ...
