"""The environment's configuration; it reads from top to bottom."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sim.factors import NUISANCES, NuisanceRanges
from sim.terrain import KINDS

SHORTEST = 0.02  # s, a control step


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
    """Half widths of the uniform noise on the policy's observations (values in near-universal use).

    Every episode has a share of it, between `quietest` and 1: a policy that always trains with noise may come to rely
    on it, and freeze at an obstacle where sensors are quiet.
    """

    angular_velocity: float = 0.2  # rad/s
    projected_gravity: float = 0.05
    joint_position: float = 0.01  # rad
    joint_velocity: float = 1.5  # rad/s
    quietest: float = 0.0  # share


@dataclass
class RewardConfig:
    """Weights of the rewards in `sim.rewards`, per second; a zero switches one off."""

    tracking_lin_vel: float = 1.5
    tracking_ang_vel: float = 0.75
    progress: float = 3.0
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


MIXED = {"flat": 0.25, "rough": 0.08, "slope": 0.07, "stairs": 0.5, "blocks": 0.1}  # flat: commands in every direction


@dataclass
class TerrainConfig:
    """Shares of the robots on each kind of terrain, see `sim.terrain.TERRAINS`, and the curriculum."""

    shares: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0) | MIXED)
    curriculum: bool = True
    start_level: int = 1  # levels 0 ... start_level at the beginning
    advance: float = 4.5  # m from the start that earn the next level; half of it where the tile ends
    seed: int = 0


@dataclass
class NuisanceConfig:
    """Ranges of what differs between robots and episodes and no policy is told; without a range, the preset's holds.

    See `sim.factors.NuisanceRanges` for what each does, `sim.factors.NUISANCES` for the presets.
    """

    preset: Literal["none", "usual"] = "none"
    friction: tuple[float, float] | None = None
    restitution: tuple[float, float] | None = None
    contact_time: tuple[float, float] | None = None  # s
    rotor_inertia: tuple[float, float] | None = None  # factor
    motor_strength: tuple[float, float] | None = None  # factor, of each joint
    joint_offset: tuple[float, float] | None = None  # rad, of each joint
    encoder_bias: tuple[float, float] | None = None  # rad, of each joint

    def ranges(self) -> NuisanceRanges:
        """Return the ranges that hold.

        Raises:
            ValueError: if one is upside down or beyond what the simulators bear.
        """
        given = {name: span for name, span in vars(self).items() if name != "preset" and span is not None}
        return replace(NUISANCES[self.preset], **given)


@dataclass
class EnvConfig:
    """The vectorized environment."""

    robot: str = "go1"
    sim: Literal["mujoco", "mujoco_warp", "isaacgym"] = "mujoco"  # see docs/simulators.md
    num_envs: int = 1024
    threads: int = 0  # physics threads of `mujoco`, 0 for every core
    fine: bool = False  # physics of `mujoco`: right rather than fast, less than half as fast
    device: str = "auto"  # of `mujoco_warp` and `isaacgym`: "cpu", "cuda:0"; "auto" takes a GPU where there is one
    contacts: int = 0  # places for contacts in `mujoco_warp`, a robot on average; 0 sizes them from a trial
    constraints: int = 0  # places for constraints in `mujoco_warp`, each robot; 0 sizes them from a trial
    isaacgym_python: Path | None = None  # interpreter with Isaac Gym; DMCM_ISAACGYM_PYTHON by default
    seed: int = 0
    episode_length_s: float = 20.0  # s
    stall_s: float = 3.0  # s without getting anywhere, though commanded, that end an episode as a fall does; 0 never
    push_period_s: float = 8.0  # s
    push_speed: float = 0.5  # m/s
    factors: Literal["narrow", "wide", "limping"] = "wide"  # see sim.factors.RANGES
    history: int = 1  # frames of proprioception that the policy sees
    context_noise: float = 0.25  # share of a context's spread over the bank
    context_dropout: float = 0.1  # share of episodes in which the robot's context is the nominal one
    nuisances: NuisanceConfig = field(default_factory=NuisanceConfig)
    terrain: TerrainConfig = field(default_factory=TerrainConfig)
    commands: CommandConfig = field(default_factory=CommandConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    rewards: RewardConfig = field(default_factory=RewardConfig)

    def check(self) -> None:
        """Raise a ValueError if a value cannot be."""
        if self.fine and self.sim != "mujoco":
            raise ValueError(f"env.fine: {self.sim} has physics of its own; leave it out, or take --env.sim mujoco")
        for name, weight in vars(self.rewards).items():
            if not math.isfinite(weight):
                raise ValueError(f"env.rewards.{name.replace('_', '-')} {weight}: give a number, 0 for none")
        for name, value in (("context-dropout", self.context_dropout), ("noise.quietest", self.noise.quietest)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"env.{name} {value:g}: give a share between 0 and 1")
        for name, value in (
            *(("stall-s", self.stall_s), ("context-noise", self.context_noise), ("push-speed", self.push_speed)),
            ("terrain.start-level", self.terrain.start_level),
        ):
            if not value >= 0.0:
                raise ValueError(f"env.{name} {value:g}: give 0 or more")
        for name, value in (
            *(("episode-length-s", self.episode_length_s), ("push-period-s", self.push_period_s)),
            ("commands.period", self.commands.period),
        ):
            if not value >= SHORTEST:
                off = ", or --env.push-speed 0 for no pushes" if name == "push-period-s" else ""
                raise ValueError(f"env.{name} {value:g}: give {SHORTEST:g} s or more{off}")
