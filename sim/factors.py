"""What may differ from one robot, or one terrain, to the next: names, units, ranges, and sequences of tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace

import numpy as np


def _factor(nominal: float, unit: str) -> float:
    return field(default=nominal, metadata={"unit": unit})


@dataclass(frozen=True)
class RobotFactors:
    """The condition of one robot; the defaults are the nominal robot.

    Attributes:
        payload: added mass on the trunk, kg.
        payload_x, payload_y: shift of the payload from its mount, trunk frame, m.
        kp_scale, kd_scale: factors on the nominal joint gains.
        torque_limit_scale: factor on the joint torque limits.
        weak_leg_fl ... weak_leg_rr: strength of a leg's motors, a factor on all torque they make (1 is healthy).
        joint_friction: dry friction of every joint, N m.
        latency: from a joint command to its effect, s.
    """

    payload: float = _factor(0.0, "kg")
    payload_x: float = _factor(0.0, "m")
    payload_y: float = _factor(0.0, "m")
    kp_scale: float = _factor(1.0, "x")
    kd_scale: float = _factor(1.0, "x")
    torque_limit_scale: float = _factor(1.0, "x")
    weak_leg_fl: float = _factor(1.0, "x")
    weak_leg_fr: float = _factor(1.0, "x")
    weak_leg_rl: float = _factor(1.0, "x")
    weak_leg_rr: float = _factor(1.0, "x")
    joint_friction: float = _factor(0.0, "N m")
    latency: float = _factor(0.0, "s")

    def as_array(self) -> np.ndarray:
        """Return the values in the order of `FACTOR_NAMES`, (12,)."""
        return np.array([getattr(self, name) for name in FACTOR_NAMES])

    @classmethod
    def from_array(cls, values: np.ndarray) -> RobotFactors:
        """Return the factors held in an array in the order of `FACTOR_NAMES`, (12,)."""
        return cls(**dict(zip(FACTOR_NAMES, map(float, values), strict=True)))

    def as_dict(self) -> dict[str, float]:
        """Return the values by name."""
        return asdict(self)


FACTOR_NAMES = tuple(f.name for f in fields(RobotFactors))
FACTOR_UNITS = {f.name: f.metadata["unit"] for f in fields(RobotFactors)}
WEAK_LEGS = tuple(FACTOR_NAMES.index(f"weak_leg_{leg}") for leg in ("fl", "fr", "rl", "rr"))


@dataclass(frozen=True)
class FactorRanges:
    """Uniform ranges (low, high) of the robot factors; `weak_leg` holds for one leg, drawn with `weak_leg_chance`."""

    payload: tuple[float, float]
    payload_shift: tuple[float, float]
    kp_scale: tuple[float, float]
    kd_scale: tuple[float, float]
    torque_limit_scale: tuple[float, float]
    weak_leg: tuple[float, float]
    weak_leg_chance: float
    joint_friction: tuple[float, float]
    latency: tuple[float, float]

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return `count` robots as rows in the order of `FACTOR_NAMES`, (count, 12)."""
        values = np.tile(RobotFactors().as_array(), (count, 1))
        spans = {
            "payload": self.payload,
            "payload_x": self.payload_shift,
            "payload_y": self.payload_shift,
            "kp_scale": self.kp_scale,
            "kd_scale": self.kd_scale,
            "torque_limit_scale": self.torque_limit_scale,
            "joint_friction": self.joint_friction,
            "latency": self.latency,
        }
        for name, (low, high) in spans.items():
            values[:, FACTOR_NAMES.index(name)] = rng.uniform(low, high, count)
        legs = np.asarray(WEAK_LEGS)[rng.integers(0, 4, count)]
        strength = np.where(rng.random(count) < self.weak_leg_chance, rng.uniform(*self.weak_leg, count), 1.0)
        values[np.arange(count), legs] = strength
        return values


# "narrow" is what the paper trains its policy on; what is not in it is out of that policy's distribution.
NARROW = FactorRanges(
    payload=(0.0, 1.0),
    payload_shift=(-0.05, 0.05),
    kp_scale=(0.8, 1.2),
    kd_scale=(0.8, 1.2),
    torque_limit_scale=(0.9, 1.0),
    weak_leg=(0.9, 1.0),
    weak_leg_chance=0.3,
    joint_friction=(0.0, 0.3),
    latency=(0.0, 0.01),
)
# "wide" is what the dynamics model must tell apart.
WIDE = FactorRanges(
    payload=(0.0, 3.0),
    payload_shift=(-0.05, 0.05),
    kp_scale=(0.6, 1.3),
    kd_scale=(0.6, 1.4),
    torque_limit_scale=(0.6, 1.0),
    weak_leg=(0.6, 1.0),
    weak_leg_chance=0.4,
    joint_friction=(0.0, 0.5),
    latency=(0.0, 0.02),
)


# "limping" is for a policy that falls with a weak leg: in "wide" one robot in eighty has a given leg below 0.65.
LIMPING = replace(WIDE, weak_leg=(0.55, 0.9), weak_leg_chance=0.9)


RANGES = {"narrow": NARROW, "wide": WIDE, "limping": LIMPING}


# What differs between robots and episodes without being the robot's context: name, columns, nominal value, unit.
_NUISANCES = (
    ("friction", 1, 0.8, "-"),
    ("restitution", 1, 0.0, "-"),
    ("contact_time", 1, 0.02, "s"),
    ("rotor_inertia", 1, 1.0, "x"),
    ("motor_strength", 12, 1.0, "x"),
    ("joint_offset", 12, 0.0, "rad"),
    ("encoder_bias", 12, 0.0, "rad"),
)
NUISANCE_UNITS = {name: unit for name, _, _, unit in _NUISANCES}
NUISANCE_NOMINAL = np.concatenate([np.full(columns, nominal) for _, columns, nominal, _ in _NUISANCES])
_ENDS = np.cumsum([columns for _, columns, _, _ in _NUISANCES]).tolist()
NUISANCE_COLUMNS = {
    name: slice(end - columns, end) for (name, columns, _, _), end in zip(_NUISANCES, _ENDS, strict=True)
}


@dataclass(frozen=True)
class NuisanceRanges:
    """Uniform ranges (low, high) of what a policy must bear without being told, drawn anew for every episode.

    A robot has them as one row of values, whose columns `NUISANCE_COLUMNS` names; the defaults change nothing but the
    friction.

    Attributes:
        friction: sliding friction of the feet.
        restitution: share of its speed with which a foot bounces.
        contact_time: time constant of the contact of feet and ground, s; the longer, the softer.
        rotor_inertia: factor on the motors' reflected inertia.
        motor_strength: of each joint, a factor on all torque it makes.
        joint_offset: of each joint, rad: how far it settles from where it is commanded and believes to be.
        encoder_bias: of each joint, rad: measured minus true position; the servo acts on what is measured.
    """

    friction: tuple[float, float] = (0.4, 1.25)
    restitution: tuple[float, float] = (0.0, 0.0)
    contact_time: tuple[float, float] = (0.02, 0.02)
    rotor_inertia: tuple[float, float] = (1.0, 1.0)
    motor_strength: tuple[float, float] = (1.0, 1.0)
    joint_offset: tuple[float, float] = (0.0, 0.0)
    encoder_bias: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        for name, (lowest, highest) in NUISANCE_LIMITS.items():
            low, high = getattr(self, name)
            if not lowest <= low <= high <= highest:
                raise ValueError(f"{name} {low:g} to {high:g}: give a range between {lowest:g} and {highest:g}")

    def sample(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return the values of `count` robots, (count, K)."""
        low, high = np.zeros((2, len(NUISANCE_NOMINAL)))
        for name, columns in NUISANCE_COLUMNS.items():
            low[columns], high[columns] = getattr(self, name)
        return rng.uniform(low, high, (count, len(low)))


# What the simulators can bear: a contact faster than two physics steps of 5 ms is unstable.
NUISANCE_LIMITS = {
    "friction": (0.0, 10.0),
    "restitution": (0.0, 0.9),
    "contact_time": (0.01, 0.2),
    "rotor_inertia": (0.1, 10.0),
    "motor_strength": (0.0, 2.0),
    "joint_offset": (-0.5, 0.5),
    "encoder_bias": (-0.5, 0.5),
}
# "usual" has what is in use elsewhere: friction, motor strength and joint offsets are legged_gym's and its
# descendants', the rest is chosen to be as large as what it does to a walking robot.
NUISANCES = {
    "none": NuisanceRanges(),
    "usual": NuisanceRanges(
        friction=(0.3, 1.25),
        restitution=(0.0, 0.4),
        contact_time=(0.015, 0.04),
        rotor_inertia=(0.8, 1.3),
        motor_strength=(0.9, 1.1),
        joint_offset=(-0.02, 0.02),
        encoder_bias=(-0.01, 0.01),
    ),
}


@dataclass(frozen=True)
class TerrainFactors:
    """The ground of one task.

    Attributes:
        kind: one of `sim.terrain.KINDS`.
        level: difficulty, 0 ... `sim.terrain.LEVELS` - 1.
        friction: sliding friction of the feet on it.
    """

    kind: str = "flat"
    level: int = 0
    friction: float = 0.8


def task_sequence(num_robots: int, num_terrains: int) -> Iterator[tuple[int, int]]:
    """Yield every (robot, terrain) pair once, consecutive pairs differing in exactly one of the two."""
    for robot in range(num_robots):
        terrains = range(num_terrains) if robot % 2 == 0 else reversed(range(num_terrains))
        for terrain in terrains:
            yield robot, terrain
