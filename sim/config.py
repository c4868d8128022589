"""The environment's configuration; it reads from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class CommandConfig:
    """Velocity commands in the base frame, resampled every `period` seconds.

    On flat ground all ranges hold; on other terrain robots walk forward, along the heading they start with.
    """

    forward: tuple[float, float] = (-0.7, 1.0)  # m/s
    sideways: tuple[float, float] = (-0.4, 0.4)  # m/s
    turning: tuple[float, float] = (-1.0, 1.0)  # rad/s
    terrain_forward: tuple[float, float] = (0.3, 0.9)  # m/s, off flat ground
    terrain_heading: float = 0.4  # rad, spread of the heading off flat ground
    heading_gain: float = 1.0  # rad/s per rad of heading error
    standing: float = 0.1  # share of commands that ask to stand still
    period: float = 8.0  # s


@dataclass
class NoiseConfig:
    """Half widths of the uniform noise on the policy's observations (values in near-universal use)."""

    angular_velocity: float = 0.2  # rad/s
    projected_gravity: float = 0.05
    joint_position: float = 0.01  # rad
    joint_velocity: float = 1.5  # rad/s


@dataclass
class RewardConfig:
    """Weights of the rewards in `sim.rewards`, per second; a zero switches one off."""

    tracking_lin_vel: float = 1.5
    tracking_ang_vel: float = 0.75
    lin_vel_z: float = -1.0
    ang_vel_xy: float = -0.05
    orientation: float = -1.0
    base_height: float = -5.0
    torques: float = -1.0e-4
    dof_acc: float = -2.0e-7
    action_rate: float = -0.01
    collision: float = -0.5
    termination: float = -5.0
    dof_pos_limits: float = -5.0
    dof_vel_limits: float = -0.2
    hip_pos: float = -0.5
    feet_air_time: float = 1.0
    feet_clearance: float = -10.0
    feet_slip: float = -0.05
    stand_still: float = -0.2


@dataclass
class TerrainConfig:
    """Shares of the robots on each kind of terrain, and the curriculum."""

    shares: dict[str, float] = field(
        default_factory=lambda: {"flat": 0.15, "rough": 0.1, "slope": 0.1, "stairs": 0.5, "blocks": 0.15}
    )
    curriculum: bool = True
    start_level: int = 1  # levels 0 ... start_level at the beginning
    advance: float = 4.5  # m from the start that earn the next level
    friction: tuple[float, float] = (0.4, 1.25)
    seed: int = 0


@dataclass
class EnvConfig:
    """The vectorized environment."""

    robot: str = "go1"
    num_envs: int = 1024
    threads: int = 0  # physics threads, 0 for every core
    seed: int = 0
    episode_length_s: float = 20.0  # s
    push_period_s: float = 8.0  # s
    push_speed: float = 0.5  # m/s
    factors: Literal["narrow", "wide"] = "wide"  # see sim.factors.RANGES
    context_noise: float = 0.05  # share of a context's spread over the bank
    terrain: TerrainConfig = field(default_factory=TerrainConfig)
    commands: CommandConfig = field(default_factory=CommandConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    rewards: RewardConfig = field(default_factory=RewardConfig)
