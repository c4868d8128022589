"""What is told on /diagnostics once a second: plain values, which the node puts into messages."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from deploy.controller import Controller
from deploy.driver import RobotDriver, StateLike
from deploy.states import STATES

OK, WARN, ERROR = 0, 1, 2  # diagnostic_msgs/DiagnosticStatus
SLOW = 0.9  # of the rate that the control loop should have
HOT = 75.0  # degC of a motor, chosen: the windings are hotter than the sensor
LOW_BATTERY = 0.15


@dataclass(frozen=True)
class Status:
    """One line of diagnostics: level, what it is about, a sentence, and values as text."""

    level: int
    name: str
    message: str
    values: dict[str, str] = field(default_factory=dict)


def statuses(
    controller: Controller, driver: RobotDriver, state: StateLike | None, wakes: np.ndarray, velocity_age: float
) -> list[Status]:
    """Return the controller's, the loop's and the robot's condition.

    Args:
        controller: that runs.
        driver: the robot's.
        state: measured last.
        wakes: starts of the loop's last periods, s.
        velocity_age: of the operator's velocity command, s.
    """
    return [_controller(controller, velocity_age), _loop(wakes, driver.command_dt), _robot(driver, state)]


def _controller(controller: Controller, velocity_age: float) -> Status:
    values = {
        "state": controller.state,
        "cause": controller.cause,
        "trips": str(controller.trips),
        "refusal": controller.refusal,
        "context": controller.contexts.robot_source,
        "terrain": controller.contexts.terrain_name,
        "gains": str(controller.gains),
        "limited joints": str(int(controller.limited)),
        "velocity command age": "none yet" if np.isinf(velocity_age) else f"{velocity_age:.2f} s",
    }
    if controller.fault:
        return Status(ERROR, "controller", f"fault: {controller.fault}", values)
    if controller.stale_command and STATES[controller.state].velocity == "operator":
        return Status(WARN, "controller", "walks in place: the velocity command is stale", values)
    return Status(OK, "controller", controller.state, values)


def _loop(wakes: np.ndarray, period: float) -> Status:
    lasted = np.diff(wakes)
    if not len(lasted):
        return Status(WARN, "control loop", "has not run yet")
    rate = 1.0 / max(float(lasted.mean()), 1e-9)
    jitter = 1e3 * np.abs(lasted - period)
    values = {
        "rate": f"{rate:.1f} Hz",
        "wanted": f"{1 / period:.1f} Hz",
        "jitter p50": f"{np.percentile(jitter, 50):.3f} ms",
        "jitter p99": f"{np.percentile(jitter, 99):.3f} ms",
        "jitter max": f"{jitter.max():.3f} ms",
        "late ticks": str(int((lasted > 1.5 * period).sum())),
    }
    if rate < SLOW / period:
        slow = f"runs at {rate:.0f} Hz of {1 / period:.0f} Hz: the machine is busy"
        return Status(WARN, "control loop", slow, values)
    return Status(OK, "control loop", f"{rate:.0f} Hz", values)


def _robot(driver: RobotDriver, state: StateLike | None) -> Status:
    values = {"robot": driver.robot, "serial": driver.serial or "unknown"}
    if state is None:
        return Status(ERROR, "robot", "reports no state", values)
    temperature, battery = state.motor_temperature, state.battery
    if temperature is not None:
        values["hottest motor"] = f"{driver.joint_names[int(np.argmax(temperature))]} {np.max(temperature):.0f} degC"
    if battery is not None:
        values["battery"] = f"{battery:.0%}"
    if driver.problem:
        return Status(ERROR, "robot", driver.problem, values)
    if temperature is not None and np.max(temperature) > HOT:
        return Status(WARN, "robot", f"a motor is hot: {values['hottest motor']}", values)
    if battery is not None and battery < LOW_BATTERY:
        return Status(WARN, "robot", f"battery at {battery:.0%}", values)
    return Status(OK, "robot", "reports", values)
