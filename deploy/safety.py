"""What stands between a fault and the motors: guards on every state and action, and limits on every command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deploy.driver import JointCommand, StateLike
from robots.spec import RobotSpec

# Sizes of what is measured, in the order in which `Reading` packs it.
_PARTS = (
    ("angular_velocity", 3),
    ("quaternion", 4),
    ("joint_position", 12),
    ("joint_velocity", 12),
    ("joint_torque", 12),
)

RUNAWAY = 5.0  # times the limit that training clips actions to: no policy that works goes there


@dataclass(frozen=True)
class SafetyConfig:
    """Where the guards trip.

    Attributes:
        stale: a state this old, or a gap this long between two states, s.
        tilt: angle between the base's z axis and the vertical, rad.
        position_margin: how far beyond a joint's limits its encoder may read, rad.
        velocity_factor: of a joint's velocity limit.
    """

    stale: float = 0.05
    tilt: float = 1.0
    position_margin: float = 0.1
    velocity_factor: float = 1.2


class Reading:
    """A measurement as the guards see it: checked shapes, one array, and its age.

    Attributes:
        problem: why it cannot be used at all, or None.
        stamp: s.
        angular_velocity, quaternion, joint_position, joint_velocity, joint_torque: views of `values`.
        values: all of them, (43,).
        age: time since the stamp last advanced, s.
        gap: how far the stamp advanced since the last reading, s; negative if it went back.
    """

    def __init__(self) -> None:
        self.problem: str | None = "no state received yet"
        self.stamp = self.age = self.gap = 0.0
        self.values = np.zeros(sum(size for _, size in _PARTS))
        self._views: dict[str, np.ndarray] = {}
        start = 0
        for name, size in _PARTS:
            self._views[name] = self.values[start : start + size]
            start += size
        self.angular_velocity, self.quaternion = self._views["angular_velocity"], self._views["quaternion"]
        self.joint_position, self.joint_velocity = self._views["joint_position"], self._views["joint_velocity"]
        self.joint_torque = self._views["joint_torque"]
        self._seen = False

    def take(self, state: StateLike | None, dt: float) -> None:
        """Read a state that was taken `dt` seconds after the last one."""
        self.problem = self._copy(state)
        if self.problem is not None:
            self.age += dt
            return
        assert state is not None
        stamp = float(state.stamp)
        self.gap = stamp - self.stamp if self._seen else dt
        self.age = 0.0 if self.gap != 0.0 else self.age + dt
        self.stamp, self._seen = stamp, True

    def _copy(self, state: StateLike | None) -> str | None:
        if state is None:
            return "no state received yet"
        try:
            if not np.isfinite(state.stamp):
                return "the state's time stamp is not finite"
            for name, view in self._views.items():
                value = np.asarray(getattr(state, name))
                if value.shape != view.shape:
                    return f"{name} has shape {value.shape}, expected {view.shape}"
                view[:] = value
        except (TypeError, ValueError, AttributeError) as problem:
            return f"the state cannot be read ({problem})"
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(self.values @ self.values):  # a sum of squares is finite only if every value is
                return None
            return next(f"{name} is not finite" for name, view in self._views.items() if not np.isfinite(view @ view))


class Limits:
    """The robot's limits with the margins of the configuration applied, as the guards need them."""

    def __init__(self, spec: RobotSpec, config: SafetyConfig) -> None:
        self.config, self.names = config, spec.joint_names
        self.lower, self.upper = spec.position_limits
        self.torque = spec.torque_limit
        self.trip_lower = self.lower - config.position_margin
        self.trip_upper = self.upper + config.position_margin
        self.trip_velocity = config.velocity_factor * spec.velocity_limit
        self.cos_tilt = float(np.cos(config.tilt))


def _readable(reading: Reading, limits: Limits) -> str | None:
    return reading.problem


def _fresh(reading: Reading, limits: Limits) -> str | None:
    if reading.age > limits.config.stale:
        return f"state is stale: its time stamp has not advanced for {1e3 * reading.age:.0f} ms"
    if reading.gap < 0:
        return f"clock jumped back by {-1e3 * reading.gap:.0f} ms"
    if reading.gap > limits.config.stale:
        return f"states were lost for {1e3 * reading.gap:.0f} ms"
    return None


def _upright(reading: Reading, limits: Limits) -> str | None:
    w, x, y, z = reading.quaternion.tolist()
    norm = w * w + x * x + y * y + z * z
    if not 0.8 < norm < 1.25:
        return f"quaternion has norm {norm**0.5:.2f}, expected 1"
    cos = (w * w - x * x - y * y + z * z) / norm
    return None if cos >= limits.cos_tilt else f"tilted by {np.arccos(max(-1.0, cos)):.2f} rad"


def _in_range(reading: Reading, limits: Limits) -> str | None:
    q = reading.joint_position
    outside = (q < limits.trip_lower) | (q > limits.trip_upper)
    if not outside.any():
        return None
    i = int(outside.argmax())
    return f"{limits.names[i]} at {q[i]:.2f} rad, limits are {limits.lower[i]:.2f} to {limits.upper[i]:.2f}"


def _slow_enough(reading: Reading, limits: Limits) -> str | None:
    fast = np.abs(reading.joint_velocity) > limits.trip_velocity
    if not fast.any():
        return None
    i = int(fast.argmax())
    return f"{limits.names[i]} at {reading.joint_velocity[i]:.1f} rad/s, allowed are {limits.trip_velocity[i]:.1f}"


# Asked in this order on every tick of every state; a guard returns why it trips, or None.
Guard = Callable[[Reading, Limits], "str | None"]
GUARDS: tuple[Guard, ...] = (_readable, _fresh, _upright, _in_range, _slow_enough)


class Supervisor:
    """Asks the guards and limits the commands of one robot.

    Args:
        spec: the robot.
        dt: time between two checks, s.
        config: where the guards trip.

    Attributes:
        reading: the last state that was checked.
        position: joint positions of the last readable state, the default pose before there was one, rad, (12,).
    """

    def __init__(self, spec: RobotSpec, dt: float, config: SafetyConfig | None = None) -> None:
        self.limits = Limits(spec, config or SafetyConfig())
        self.reading = Reading()
        self._dt = dt
        self.position = spec.default_position

    def check(self, state: StateLike | None) -> str | None:
        """Return why the state is a fault, or None."""
        self.reading.take(state, self._dt)
        if self.reading.problem is None:
            self.position[:] = self.reading.joint_position
        for guard in GUARDS:
            reason = guard(self.reading, self.limits)
            if reason is not None:
                return reason
        return None

    @staticmethod
    def check_action(action: np.ndarray, limit: float) -> str | None:
        """Return why a policy's output is a fault, or None; `limit` is what training clips it to."""
        size = float(np.abs(action).max())
        if not np.isfinite(size):
            return "policy output is not finite"
        most = RUNAWAY * limit
        return None if size <= most else f"policy output {size:.1f} is beyond its limit of {most:g}"

    def limit(self, command: JointCommand) -> int:
        """Bring a command within the limits, in place, given the last state that was checked.

        Position targets end within the joint limits, and |kp (position - q) + kd (velocity - dq) + torque| within the
        torque limits. The target gives way first; where it cannot, the gains do.

        Returns:
            the number of joints that needed it.

        Raises:
            ValueError: if the command is not finite.
        """
        limits = self.limits
        c = command
        if not np.isfinite(c.position @ c.position + c.velocity @ c.velocity + c.torque @ c.torque + c.kp @ c.kd):
            raise ValueError("command is not finite")
        if self.reading.problem is not None:  # torque cannot be predicted: damping at most
            np.clip(c.position, limits.lower, limits.upper, out=c.position)
            c.kp[:], c.torque[:], c.velocity[:] = 0.0, 0.0, 0.0
            return 12
        q, dq, most = self.reading.joint_position, self.reading.joint_velocity, limits.torque
        predicted = c.kp * (c.position - q) + c.kd * (c.velocity - dq) + c.torque
        bad = (np.abs(predicted) > most) | (c.position < limits.lower) | (c.position > limits.upper)
        if not bad.any():
            return 0
        damping = c.kd * (c.velocity - dq) + c.torque
        share = most / np.maximum(np.abs(damping), most)
        c.kd *= share
        c.torque *= share
        damping *= share
        stiff = np.maximum(c.kp, 1e-9)
        c.position[:] = np.clip(c.position, q + (-most - damping) / stiff, q + (most - damping) / stiff)
        np.clip(c.position, limits.lower, limits.upper, out=c.position)
        share = most / np.maximum(np.abs(c.kp * (c.position - q) + damping), most)
        for gain in (c.kp, c.kd, c.torque):
            gain *= share
        return int(bad.sum())
