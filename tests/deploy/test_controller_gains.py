"""Gains that a context or a calibration brings, and the torque limits that go with them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deploy.context import RobotContext
from deploy.gains import LEAST, MOST, NOMINAL, RAMP, Gains
from deploy.states import STAND
from tests.deploy.driving import bring_to, run_until, tick
from tests.deploy.test_safety import assert_within_limits, predicted
from tests.helpers_onnx import CONTEXT, DYNAMICS_DIGEST

SOFT = RobotContext(np.ones(CONTEXT), DYNAMICS_DIGEST, gains=Gains(1.25, 2.0))


def gains_of(command, spec):
    return command.kp[0] / spec.kp, command.kd[0] / spec.kd


def test_gains_that_come_with_a_context_are_those_of_walking(controller, robot, spec):
    controller.set_context(SOFT)
    bring_to(controller, robot, "walk")
    assert gains_of(tick(controller, robot), spec) == pytest.approx((1.25, 2.0))
    assert json.loads(controller.status())["gains"] == [1.25, 2.0, 1.0, 1.0, 1.0, 1.0]
    assert gains_of(tick(controller, robot, "stand"), spec) == pytest.approx((1.25, 2.0)) and controller.state == "stop"
    run_until(controller, robot, "stand")
    assert gains_of(tick(controller, robot), spec) == pytest.approx((2.0, 2.0)), "standing has its own"
    assert json.loads(controller.status())["gains"] == [1.0] * 6
    for event in ("calibrate", "stand", None):
        assert gains_of(tick(controller, robot, event), spec) == pytest.approx((1.0, 1.0)), controller.state


@pytest.mark.parametrize(("joint", "most"), [(10, 2.0), (1, 1.0)])
def test_a_weak_leg_walks_with_gains_and_torque_limits_of_its_own(controller, robot, spec, joint, most):
    gains = Gains(1.25, 1.2, (0.8, 0.8, 0.8, 1.6))
    controller.set_context(RobotContext(np.ones(CONTEXT), DYNAMICS_DIGEST, gains=gains))
    bring_to(controller, robot, "walk")
    command = tick(controller, robot)
    np.testing.assert_allclose(command.kp / spec.kp, np.repeat([1.0, 1.0, 1.0, 2.0], 3))
    np.testing.assert_allclose(command.kd / spec.kd, np.repeat([0.96, 0.96, 0.96, 1.92], 3))
    assert pull_away(controller, robot, gains.joint_kp, joint) == pytest.approx(most)


@pytest.mark.parametrize("state", ["walk", "stop"])
def test_a_context_set_while_walking_brings_its_gains_gradually(controller, robot, spec, state):
    bring_to(controller, robot, state)
    controller.set_context(SOFT)
    kp = [gains_of(tick(controller, robot), spec)[0] for _ in range(round(1.2 * RAMP / controller.config.command_dt))]
    assert (
        kp[0] < 1.01 and kp[-1] == pytest.approx(1.25) and np.diff(kp).max() < 0.3 * controller.config.command_dt / RAMP
    )
    controller.set_context(None)
    tick(controller, robot)
    assert controller.gains.kp == pytest.approx(1.25, abs=0.01) and controller.contexts.gains == NOMINAL


def test_a_context_set_while_calibrating_leaves_its_gains_alone(controller, robot, spec):
    bring_to(controller, robot, "calibrate")
    controller.set_context(SOFT)
    for event in (None, None, "stand"):
        assert gains_of(tick(controller, robot, event), spec) == pytest.approx((1.0, 1.0))
    assert controller.state == "stop"


def test_a_walk_after_a_calibration_begins_without_what_the_last_walk_remembered(controller, robot):
    bring_to(controller, robot, "walk")
    runner = controller.runner
    tick(controller, robot, "stand")
    run_until(controller, robot, "stand")
    bring_to(controller, robot, "calibrate")
    begun = []
    runner.reset = lambda: begun.append(controller.state)
    tick(controller, robot, "stand")
    tick(controller, robot, "walk")
    assert controller.runner is runner and begun == ["walk"]


def test_calibrating_with_other_gains_from_the_next_time_on(controller, robot, spec):
    controller.calibration_gains = Gains(1.5, 1.2)
    bring_to(controller, robot, "calibrate")
    controller.calibration_gains = NOMINAL
    for event in (None, "stand"):
        assert gains_of(tick(controller, robot, event), spec) == pytest.approx((1.5, 1.2))
    run_until(controller, robot, "stand")
    assert gains_of(tick(controller, robot, "calibrate"), spec) == pytest.approx((1.0, 1.0))


def test_gains_change_gradually_where_a_robot_walks_on(controller, robot, spec):
    bring_to(controller, robot, "calibrate")
    controller.calibration_gains = Gains(2.0, 1.5)
    event, kp = "calibrate", []
    for _ in range(round(1.2 * RAMP / controller.config.command_dt)):
        kp.append(gains_of(tick(controller, robot, event), spec)[0])
        event = None
    assert kp[0] == pytest.approx(1.0) and kp[-1] == pytest.approx(2.0)
    assert np.diff(kp).max() < 1.1 * controller.config.command_dt / RAMP and np.diff(kp).min() >= 0.0
    assert controller.gains == Gains(2.0, 1.5)


def pull_away(controller, robot, share, joint=1):
    """Take a joint from its target until the torque limit binds; return the share of it that is asked for then."""
    asked = 0.0
    away = controller.spec.default_position.copy()
    for _ in range(30):
        away[joint] += 0.06
        robot.state.joint_position, robot.state.joint_velocity = away.copy(), np.zeros(12)
        robot.state.joint_torque = np.zeros(12)  # as of a robot that reports none
        command, reading = tick(controller, robot), controller.supervisor.reading
        assert_within_limits(command, reading, share)
        asked = np.abs(predicted(command, reading))[joint] / controller.spec.torque_limit[joint]
    return asked


@pytest.mark.parametrize("kp", [LEAST, 1.0, MOST])
@pytest.mark.parametrize("state", ["walk", "stop", "stand", "calibrate"])
def test_the_torque_limit_goes_with_the_gains_that_a_context_brings(controller, robot, state, kp):
    controller.set_context(RobotContext(np.ones(CONTEXT), DYNAMICS_DIGEST, gains=Gains(kp, 1.0)))
    bring_to(controller, robot, state)
    share = {"stand": kp * STAND[-1][2], "calibrate": 1.0}.get(state, kp)
    asked = pull_away(controller, robot, share)
    assert (controller.state, controller.fault) == (state, "") and asked == pytest.approx(share)


def test_a_context_set_while_standing_brings_its_torque_limit_to_the_next_motion(controller, robot):
    bring_to(controller, robot, "stand")
    controller.set_context(SOFT)
    assert pull_away(controller, robot, 1.0) == pytest.approx(STAND[-1][2])
