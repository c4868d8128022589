"""Faults as data, and a driver that has them: it wraps any other, real or simulated, from the moment it is told to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from deploy.driver import JointCommand, Operator, RobotDriver, RobotState, StateLike
from deploy.guards import SafetyConfig

STALE = SafetyConfig().stale
REMEMBERED = 0.5  # s of states that a fault may fall back on
JOINT = 4  # FR thigh: the joint of faults that have one

Expectation = Literal["damps", "carries on"]
# From the measured states, the newest last, and the number of states since the fault began, to what the driver reports.
Spoil = Callable[[Sequence[RobotState], int], "RobotState | None"]
Twist = Callable[[JointCommand], JointCommand]


@dataclass(frozen=True)
class Fault:
    """A row of the table.

    Attributes:
        name: for people.
        expected: what the controller must do.
        within: s until the motors are damped, by the robot's clock.
        spoil: what becomes of the measurements.
        twist: what becomes of the commands on their way.
        problem: what the driver then knows to be wrong.
    """

    name: str
    expected: Expectation
    within: float
    spoil: Spoil | None = None
    twist: Twist | None = None
    problem: str | None = None


def _hold(states: Sequence[RobotState], since: int) -> RobotState:
    return states[-1 - since] if since < len(states) else states[0]


def _late(seconds: float) -> Spoil:
    """Return a line on which every state takes longer, from now on."""

    def spoil(states: Sequence[RobotState], since: int) -> RobotState:
        dt = states[-1].stamp - states[-2].stamp
        return states[-1 - min(since, round(seconds / dt), len(states) - 1)]

    return spoil


def _frozen(states: Sequence[RobotState], since: int) -> RobotState:
    return replace(_hold(states, since), stamp=states[-1].stamp)


def _twice(states: Sequence[RobotState], since: int) -> RobotState:
    return states[-1 - since % 2]


def _swapped(states: Sequence[RobotState], since: int) -> RobotState:
    return states[-1 - (0, 2)[since % 2]]


def _stamped(shift: float) -> Spoil:
    return lambda states, since: replace(states[-1], stamp=states[-1].stamp + shift)


def _joint(value: float) -> Spoil:
    """Return an encoder that is off by a value, rad."""

    def spoil(states: Sequence[RobotState], since: int) -> RobotState:
        position = states[-1].joint_position.copy()
        position[JOINT] += value
        return replace(states[-1], joint_position=position)

    return spoil


def _flipped(states: Sequence[RobotState], since: int) -> RobotState:
    w, x, y, z = states[-1].quaternion  # half a turn about the base's x axis
    return replace(states[-1], quaternion=np.array([-x, w, z, -y]))


def _limp(command: JointCommand) -> JointCommand:
    """Return a command that one motor does not follow."""
    alive = np.ones(12)
    alive[JOINT] = 0.0
    return replace(command, kp=alive * command.kp, kd=alive * command.kd, torque=alive * command.torque)


# A tick more than what the guards allow: states come and commands go once a tick.
_TICKS = 0.012
FAULTS = (
    Fault("state lost", "damps", STALE + _TICKS, _hold),
    Fault("no state at all", "damps", _TICKS, lambda states, since: None),
    Fault("state delayed 20 ms", "carries on", 0.0, _late(0.02)),
    Fault("state delayed 60 ms", "damps", STALE + _TICKS, _late(0.06)),
    Fault("state delayed 100 ms", "damps", STALE + _TICKS, _late(0.1)),
    Fault("state delayed 200 ms", "damps", STALE + _TICKS, _late(0.2)),
    Fault("state frozen", "damps", STALE + _TICKS, _frozen),
    Fault("states duplicated", "carries on", 0.0, _twice),
    Fault("states out of order", "carries on", 0.0, _swapped),
    Fault("clock jumps ahead 1 s", "damps", _TICKS, _stamped(1.0)),
    Fault("clock jumps back 1 s", "damps", _TICKS, _stamped(-1.0)),
    Fault("NaN", "damps", _TICKS, _joint(float("nan"))),
    Fault("joint encoder jumps 0.4 rad", "damps", _TICKS, _joint(0.4)),
    Fault("IMU flipped", "damps", _TICKS, _flipped),
    Fault("one motor dead", "damps", 2.0, twist=_limp),
    Fault("command topic hijacked", "damps", _TICKS, problem="another program writes commands"),
)


class Faulty:
    """A driver with a fault, from `begin` on; satisfies `RobotDriver`.

    Args:
        driver: the robot.
        fault: which.
    """

    def __init__(self, driver: RobotDriver, fault: Fault) -> None:
        self.robot, self.joint_names, self.command_dt = driver.robot, driver.joint_names, driver.command_dt
        self.serial, self._driver, self._fault = driver.serial, driver, fault
        self._states: deque[RobotState] = deque(maxlen=round(REMEMBERED / driver.command_dt))
        self._since: int | None = None

    def begin(self) -> None:
        """Let the fault begin with the next state."""
        self._since = self._since or 0

    @property
    def problem(self) -> str | None:
        """What the driver knows to be wrong."""
        return self._driver.problem if self._since is None else self._fault.problem or self._driver.problem

    def read(self) -> StateLike | None:
        """Return the latest state, as the fault has it."""
        state = self._driver.read()
        if state is None:
            return None
        self._states.append(_plain(state))
        if self._since is None or self._fault.spoil is None:
            return state
        self._since += 1
        return self._fault.spoil(self._states, self._since)

    def write(self, command: JointCommand) -> None:
        """Send a command, as the fault has it."""
        twisted = self._since is not None and self._fault.twist is not None
        self._driver.write(self._fault.twist(command) if twisted and self._fault.twist else command)

    def remote(self) -> Operator | None:
        """Return what the remote asks for."""
        return self._driver.remote()

    def wait(self) -> None:
        """Wait for the robot's next period."""
        self._driver.wait()

    def close(self) -> None:
        """Release the robot."""
        self._driver.close()


def _plain(state: StateLike) -> RobotState:
    """Return a state of its own, which later ones do not touch."""
    return RobotState(
        stamp=state.stamp,
        angular_velocity=state.angular_velocity.copy(),
        quaternion=state.quaternion.copy(),
        joint_position=state.joint_position.copy(),
        joint_velocity=state.joint_velocity.copy(),
        joint_torque=state.joint_torque.copy(),
        foot_force=state.foot_force,
        linear_acceleration=state.linear_acceleration,
        motor_temperature=state.motor_temperature,
        battery=state.battery,
    )
