"""A measurement as the guards see it: checked, in one array, with its age and the measurement before it."""

from __future__ import annotations

import numpy as np

from deploy.driver import StateLike

# Sizes of what is measured, in the order in which `Reading` packs it.
_PARTS = (
    ("angular_velocity", 3),
    ("quaternion", 4),
    ("joint_position", 12),
    ("joint_velocity", 12),
    ("joint_torque", 12),
)
_SIZE = sum(size for _, size in _PARTS)
_SLICES = {
    name: slice(sum(size for _, size in _PARTS[:i]), sum(size for _, size in _PARTS[: i + 1]))
    for i, (name, _) in enumerate(_PARTS)
}
_JOINTS = _SLICES["joint_position"], _SLICES["joint_velocity"]


class Reading:
    """A measurement as the guards see it.

    Attributes:
        problem: why it cannot be used at all, or None.
        stamp: s.
        values: all that every robot measures, (43,).
        angular_velocity, quaternion, joint_position, joint_velocity, joint_torque: views of `values`.
        foot_force (4,), linear_acceleration (3,), motor_temperature (12,), battery: as in `StateLike`; None where the
            robot does not report them.
        norm: of the quaternion.
        up: the world's vertical in the base frame, (x, y, z).
        age: time since the stamp last advanced, s.
        gap: how far the stamp advanced since the last reading, s; negative if it went back by more than `late`.
        same: how long all values have been the same to the last bit though the stamp advances, s.
        joint_jump: how much further each joint is than its velocity explains, rad, (12,).
        attitude_jump: the same of the vertical, with the gyro, rad.

    Args:
        late: a measurement older than the last by no more than this came out of order and is passed over, s.
    """

    def __init__(self, late: float) -> None:
        self.problem: str | None = "no state received yet"
        self.stamp = self.age = self.gap = self.same = self.attitude_jump = 0.0
        self.values, self._before = np.zeros(_SIZE), np.zeros(_SIZE)
        self.quaternion = self.values[_SLICES["quaternion"]]
        self.angular_velocity = self.values[_SLICES["angular_velocity"]]
        self.joint_position = self.values[_SLICES["joint_position"]]
        self.joint_velocity = self.values[_SLICES["joint_velocity"]]
        self.joint_torque = self.values[_SLICES["joint_torque"]]
        self.foot_force: np.ndarray | None = None
        self.linear_acceleration: np.ndarray | None = None
        self.motor_temperature: np.ndarray | None = None
        self.battery: float | None = None
        self.norm, self.up = 0.0, (0.0, 0.0, 1.0)
        self.joint_jump = np.zeros(12)
        self._late, self._seen = late, False

    def take(self, state: StateLike | None, dt: float) -> None:
        """Read a state that was taken `dt` seconds after the last one."""
        try:
            stamp = None if state is None else float(state.stamp)
        except (AttributeError, TypeError, ValueError) as problem:
            self.problem = f"the state cannot be read ({problem})"
            self.age += dt
            return
        if self._seen and stamp is not None and -self._late <= stamp - self.stamp < 0.0:
            self.gap, self.age = 0.0, self.age + dt
            return
        before, up = self.values.copy(), self.up
        self.problem = self._copy(state, stamp)
        if self.problem is not None or stamp is None:
            self.values[:] = before
            self.age += dt
            return
        self.gap = stamp - self.stamp if self._seen else dt
        self.age = 0.0 if self.gap != 0.0 else self.age + dt
        self._compare(before, up, dt)
        self.stamp, self._seen = stamp, True

    def _copy(self, state: StateLike | None, stamp: float | None) -> str | None:
        if state is None or stamp is None:
            return "no state received yet"
        if not np.isfinite(stamp):
            return "the state's time stamp is not finite"
        try:
            for name, part in _SLICES.items():
                value = np.asarray(getattr(state, name))
                if value.shape != (part.stop - part.start,):
                    return f"{name} has shape {value.shape}, expected {(part.stop - part.start,)}"
                self.values[part] = value
            self.foot_force = _optional(state, "foot_force", 4)
            self.linear_acceleration = _optional(state, "linear_acceleration", 3)
            self.motor_temperature = _optional(state, "motor_temperature", 12)
            battery = getattr(state, "battery", None)
            self.battery = float(battery) if battery is not None and np.isfinite(battery) else None
        except (TypeError, ValueError, AttributeError) as problem:
            return f"the state cannot be read ({problem})"
        with np.errstate(over="ignore", invalid="ignore"):
            if not np.isfinite(self.values @ self.values):  # a sum of squares is finite only if every value is
                bad = (name for name, part in _SLICES.items() if not np.isfinite(self.values[part] @ self.values[part]))
                return f"{next(bad, 'the state')} is not finite"
        self._stand_up_straight()
        return None

    def _stand_up_straight(self) -> None:
        w, x, y, z = self.quaternion.tolist()
        square = w * w + x * x + y * y + z * z
        self.norm = square**0.5
        if square > 0.0:
            self.up = (
                2.0 * (x * z - w * y) / square,
                2.0 * (y * z + w * x) / square,
                (w * w - x * x - y * y + z * z) / square,
            )

    def _compare(self, before: np.ndarray, up: tuple[float, float, float], dt: float) -> None:
        """Hold the values against those of the last good measurement."""
        if not self._seen:
            return
        if self.gap != 0.0:
            self.same = self.same + dt if np.array_equal(before, self.values) else 0.0
        position, velocity = _JOINTS
        moved = (0.5 * self.gap) * (before[velocity] + self.values[velocity])
        self.joint_jump = np.abs(self.values[position] - before[position] - moved)
        (a, b, c), (x, y, z) = (self.gap * self.angular_velocity).tolist(), up
        turned = (x - (b * z - c * y), y - (c * x - a * z), z - (a * y - b * x))
        off = [now - then for now, then in zip(self.up, turned, strict=True)]
        self.attitude_jump = sum(value * value for value in off) ** 0.5  # which overflows to infinity, unlike value**2


def _optional(state: StateLike, name: str, size: int) -> np.ndarray | None:
    """Return what only some robots report, None where it is not there or cannot be used."""
    value = getattr(state, name, None)
    if value is None:
        return None
    value = np.asarray(value, dtype=float)
    return value if value.shape == (size,) and np.isfinite(value @ value) else None
