"""The guards as data: what each looks at, how long it must last, and whether what is measured can still be believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from deploy.reading import Reading
from robots.spec import RobotSpec

RUNAWAY = 5.0  # times the limit that training clips actions to: no policy that works goes there


@dataclass(frozen=True)
class SafetyConfig:
    """Where the guards trip.

    Attributes:
        stale: a state this old, or a gap this long between two states, s.
        tilt: angle between the base's z axis and the vertical, rad.
        position_margin: how far beyond a joint's limits its encoder may read, rad.
        velocity_factor: of a joint's velocity limit, for longer than a foot that slips.
        velocity_most: of a joint's velocity limit, at once.
        joint_jump: how far a joint may be from where its velocity takes it, rad; half of what the velocity limit allows
            between two states comes on top.
        attitude_jump: how far the vertical may be from where the gyro takes it, rad.
        impact: specific force, m/s^2; the simulated field robot feels up to 30 while it climbs 17 cm, 72 at 21 cm.
        dead_torque: a motor is silent if this share of its limit is asked of it and it gives less than a tenth of that.
        dead_time: for how long a motor may be silent, s, of the time in which so much is asked of it and until it
            answers once; in simulation motors softer and more damped than they should be are for up to 0.14 while they
            swing.
        motor_temperature: degC.
        battery: state of charge, 0 to 1.
        slew: how fast a joint's target may move, rad/s.
    """

    stale: float = 0.05
    tilt: float = 1.0
    position_margin: float = 0.1
    velocity_factor: float = 1.2
    velocity_most: float = 1.5
    joint_jump: float = 0.1
    attitude_jump: float = 0.15
    impact: float = 100.0
    dead_torque: float = 0.2
    dead_time: float = 0.2
    motor_temperature: float = 90.0
    battery: float = 0.05
    slew: float = 200.0


class Limits:
    """The robot's limits with the margins of the configuration applied, as the guards need them."""

    def __init__(self, spec: RobotSpec, config: SafetyConfig) -> None:
        self.config, self.names = config, spec.joint_names
        self.lower, self.upper = spec.position_limits
        self.torque, self.velocity = spec.torque_limit, spec.velocity_limit
        self.trip_lower = self.lower - config.position_margin
        self.trip_upper = self.upper + config.position_margin
        self.dead_torque = config.dead_torque * spec.torque_limit
        self.cos_tilt = float(np.cos(config.tilt))


@dataclass
class Seen:
    """What the guards look at.

    Attributes:
        reading: the measurement.
        problem: what the driver knows to be wrong, or None.
        asked: torque that the last command asks of each motor now, N m, (12,).
        silent: for how long each motor has been asked for much since it last answered, s, (12,).
    """

    reading: Reading
    problem: str | None = None
    asked: np.ndarray = field(default_factory=lambda: np.zeros(12))
    silent: np.ndarray = field(default_factory=lambda: np.zeros(12))

    def take(self, problem: str | None, asked: np.ndarray, limits: Limits, dt: float) -> None:
        """Take what the driver says and what is asked now, `dt` s after the last time; the reading is taken before."""
        self.problem, self.asked = problem, asked
        size, given = np.abs(asked), np.abs(self.reading.joint_torque)
        if not given.any() or not size.any():  # a robot that reports no torque reports zeros
            self.silent = np.zeros(12)
            return
        much, answers = size > limits.dead_torque, given >= 0.1 * size
        self.silent = np.where(much, np.where(answers, 0.0, self.silent + dt), self.silent)


Check = Callable[[Seen, Limits], "str | None"]


@dataclass(frozen=True)
class Guard:
    """A row of the table.

    Attributes:
        name: for people.
        check: returns what is wrong, or None.
        limit: where it trips, for people; `{}` fields are those of `SafetyConfig`.
        seconds: how long that must last before it trips.
        blinds: whether the measurements cannot be believed meanwhile, so that a reset is refused as well.
    """

    name: str
    check: Check
    limit: str
    seconds: float = 0.0
    blinds: bool = False


def _readable(seen: Seen, limits: Limits) -> str | None:
    return seen.reading.problem


def _driver(seen: Seen, limits: Limits) -> str | None:
    return seen.problem


def _fresh(seen: Seen, limits: Limits) -> str | None:
    age, stale = seen.reading.age, limits.config.stale
    return f"state is stale: its time stamp has not advanced for {1e3 * age:.0f} ms" if age > stale else None


def _moving(seen: Seen, limits: Limits) -> str | None:
    same, stale = seen.reading.same, limits.config.stale
    return f"state is frozen: the same to the last bit for {1e3 * same:.0f} ms" if same > stale else None


def _clock(seen: Seen, limits: Limits) -> str | None:
    gap = seen.reading.gap
    if gap < 0.0:
        return f"clock jumped back by {-1e3 * gap:.0f} ms"
    return f"states were lost for {1e3 * gap:.0f} ms" if gap > limits.config.stale else None


def _steady(seen: Seen, limits: Limits) -> str | None:
    jump = seen.reading.attitude_jump
    if jump <= limits.config.attitude_jump:
        return None
    return f"attitude jumped by {jump:.2f} rad, which the gyro did not see"


def _upright(seen: Seen, limits: Limits) -> str | None:
    reading = seen.reading
    if not 0.9 < reading.norm < 1.12:
        return f"quaternion has norm {reading.norm:.2f}, expected 1"
    cos = reading.up[2]
    return None if cos >= limits.cos_tilt else f"tilted by {np.arccos(max(-1.0, cos)):.2f} rad"


def _unhurt(seen: Seen, limits: Limits) -> str | None:
    force = seen.reading.linear_acceleration
    if force is None or (size := float(force @ force) ** 0.5) <= limits.config.impact:
        return None
    return f"impact of {size:.0f} m/s^2"


def _continuous(seen: Seen, limits: Limits) -> str | None:
    reading = seen.reading
    jumped = reading.joint_jump > limits.config.joint_jump + 0.5 * abs(reading.gap) * limits.velocity
    if not jumped.any():
        return None
    i = int(jumped.argmax())
    return f"encoder of {limits.names[i]} jumped by {reading.joint_jump[i]:.2f} rad"


def _in_range(seen: Seen, limits: Limits) -> str | None:
    q = seen.reading.joint_position
    outside = (q < limits.trip_lower) | (q > limits.trip_upper)
    if not outside.any():
        return None
    i = int(outside.argmax())
    return f"{limits.names[i]} at {q[i]:.2f} rad, limits are {limits.lower[i]:.2f} to {limits.upper[i]:.2f}"


def _slow_enough(seen: Seen, limits: Limits) -> str | None:
    return _speed(seen, limits.config.velocity_factor, limits)


def _possible(seen: Seen, limits: Limits) -> str | None:
    return _speed(seen, limits.config.velocity_most, limits)


def _speed(seen: Seen, factor: float, limits: Limits) -> str | None:
    velocity = seen.reading.joint_velocity
    fast = np.abs(velocity) > factor * limits.velocity
    if not fast.any():
        return None
    i = int(fast.argmax())
    return f"{limits.names[i]} at {velocity[i]:.1f} rad/s, allowed are {factor * limits.velocity[i]:.1f}"


def _answering(seen: Seen, limits: Limits) -> str | None:
    i = int(seen.silent.argmax())
    if seen.silent[i] <= limits.config.dead_time:
        return None
    given = abs(seen.reading.joint_torque[i])
    return f"motor of {limits.names[i]} does not answer: asked {seen.asked[i]:.0f} N m, gives {given:.1f}"


def _cool(seen: Seen, limits: Limits) -> str | None:
    temperature = seen.reading.motor_temperature
    if temperature is None or (hottest := float(temperature.max())) <= limits.config.motor_temperature:
        return None
    return f"motor of {limits.names[int(temperature.argmax())]} has {hottest:.0f} degC"


def _charged(seen: Seen, limits: Limits) -> str | None:
    battery = seen.reading.battery
    return f"battery is at {100 * battery:.0f} %" if battery is not None and battery < limits.config.battery else None


# Asked in this order on every tick of every state.
GUARDS = (
    Guard("state readable", _readable, "missing, not finite, or of another shape", blinds=True),
    Guard("driver", _driver, "a problem that the driver reports: second writer, no answer, checksums", blinds=True),
    Guard("stale state", _fresh, "stamp not advanced for {stale:g} s", blinds=True),
    Guard("frozen state", _moving, "same to the last bit for {stale:g} s", blinds=True),
    Guard("clock", _clock, "stamp jumps back, or ahead by {stale:g} s", blinds=True),
    Guard("attitude jump", _steady, "{attitude_jump:g} rad off what the gyro explains"),
    Guard("tilt", _upright, "{tilt:g} rad, or a quaternion that is none"),
    Guard("impact", _unhurt, "{impact:g} m/s² of specific force"),
    Guard("encoder jump", _continuous, "{joint_jump:g} rad off what the joint's velocity explains"),
    Guard("joint position", _in_range, "{position_margin:g} rad beyond the limits"),
    Guard("joint velocity", _slow_enough, "{velocity_factor:g} × the limit", seconds=0.015),
    Guard("joint speed", _possible, "{velocity_most:g} × the limit"),
    Guard("motor answers", _answering, "{dead_torque:g} of a torque limit asked, a tenth given, for {dead_time:g} s"),
    Guard("motor temperature", _cool, "{motor_temperature:g} °C"),
    Guard("battery", _charged, "{battery:.0%} of charge"),
)
