"""What stands between a fault and the motors: guards on every state and action, and limits on every command."""

from __future__ import annotations

import numpy as np

from deploy.driver import JointCommand, StateLike
from deploy.guards import GUARDS, RUNAWAY, Limits, SafetyConfig, Seen
from deploy.reading import Reading
from robots.spec import RobotSpec


class Supervisor:
    """Asks the guards and limits the commands of one robot.

    Args:
        spec: the robot.
        dt: time between two checks, s.
        config: where the guards trip.

    Attributes:
        reading: the last state that was checked.
        position: joint positions of the last readable state, the default pose before there was one, rad, (12,).
        blind: why a measurement is not to be believed now, or None.
    """

    def __init__(self, spec: RobotSpec, dt: float, config: SafetyConfig | None = None) -> None:
        self.limits = Limits(spec, config or SafetyConfig())
        self.reading = Reading(self.limits.config.stale)
        self.position = spec.default_position
        self.blind: str | None = None
        self._dt, self._seen = dt, Seen(self.reading)
        self._ticks = [round(guard.seconds / dt) for guard in GUARDS]
        self._objecting = [0] * len(GUARDS)
        self._target: np.ndarray | None = None
        self._sent: JointCommand | None = None

    def check(self, state: StateLike | None, problem: str | None = None) -> str | None:
        """Return why the state, or what the driver reports, is a fault, or None."""
        reading, seen = self.reading, self._seen
        reading.take(state, self._dt)
        if reading.problem is None:
            self.position[:] = reading.joint_position
        seen.take(problem, self._asked(), self.limits, self._dt)
        self.blind, first = None, None
        for i, guard in enumerate(GUARDS):
            reason = guard.check(seen, self.limits)
            if reason is None:
                self._objecting[i] = 0
                continue
            self._objecting[i] += 1
            if self._objecting[i] > self._ticks[i]:
                first = first or reason
                self.blind = self.blind or (reason if guard.blinds else None)
        return first

    def _asked(self) -> np.ndarray:
        """Return the torque that the last command asks of each motor now, N m, (12,); zeros where they brake."""
        sent = self._sent
        return np.zeros(12) if sent is None or not sent.kp.any() else _torque(sent, self.reading)

    @staticmethod
    def check_action(action: np.ndarray, limit: float) -> str | None:
        """Return why a policy's output is a fault, or None; `limit` is what training clips it to."""
        size = float(np.abs(action).max())
        if not np.isfinite(size):
            return "policy output is not finite"
        most = RUNAWAY * limit
        return None if size <= most else f"policy output {size:.1f} is beyond its limit of {most:g}"

    def limit(self, command: JointCommand, share: float | np.ndarray = 1.0) -> int:
        """Bring a command within the limits, in place, given the last state that was checked.

        Targets move no faster than the slew limit and end within the joint limits, and
        |kp (position - q) + kd (velocity - dq) + torque| within the torque limits. The target gives way first; where it
        cannot, the gains do. Where nothing is measured, only as much damping is left as stays within the torque limits
        at the velocity limit.

        Args:
            command: what should be sent.
            share: of the torque limits, that may be used, (12,) or one for all; above 1 for motors that give less than
                they are told.

        Returns:
            the number of joints that needed it.

        Raises:
            ValueError: if the command is not finite.
        """
        c, limits = command, self.limits
        if not np.isfinite(c.position @ c.position + c.velocity @ c.velocity + c.torque @ c.torque + c.kp @ c.kd):
            raise ValueError("command is not finite")
        if self.reading.problem is not None:
            np.clip(c.position, limits.lower, limits.upper, out=c.position)
            np.minimum(c.kd, limits.torque / limits.velocity, out=c.kd)
            c.kp[:], c.torque[:], c.velocity[:] = 0.0, 0.0, 0.0
            self._target = self._sent = None
            return 12
        slewed = self._slew(c)
        self._sent = c
        predicted = _torque(c, self.reading)
        most = share * limits.torque
        bad = (np.abs(predicted) > most) | (c.position < limits.lower) | (c.position > limits.upper)
        if bad.any():
            self._bound(c, most)
        return int((bad | slewed).sum())

    def _slew(self, command: JointCommand) -> np.ndarray:
        """Let no target run away from the last one; return which did, (12,)."""
        if not command.kp.any():
            self._target = None
            return np.zeros(12, dtype=bool)
        wanted, most = command.position.copy(), self._dt * self.limits.config.slew
        if self._target is not None:
            np.clip(wanted, self._target - most, self._target + most, out=command.position)
        self._target = command.position.copy()
        return wanted != command.position

    def _bound(self, c: JointCommand, most: np.ndarray) -> None:
        """Bring positions within the joint limits and predicted torques within `most`."""
        limits = self.limits
        q, dq = self.reading.joint_position, self.reading.joint_velocity
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


def _torque(command: JointCommand, reading: Reading) -> np.ndarray:
    """Return the torque that a command asks of each motor in the measured state, N m, (12,)."""
    position = command.kp * (command.position - reading.joint_position)
    return position + command.kd * (command.velocity - reading.joint_velocity) + command.torque
