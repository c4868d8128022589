"""Every fault is what it says, and the controller answers as the table expects; fuzzed states stay without effect."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.controller import Controller, ControllerConfig
from deploy.driver import Operator
from deploy.faults import FAULTS, Faulty
from deploy.fuzz import fuzz, within_limits
from deploy.gains import LEAST, MOST, NOMINAL, Gains
from deploy.log import LogWriter
from deploy.loop import run
from deploy.policy import OnnxPolicy
from deploy.summary import summarize
from tests.deploy.conftest import DT
from tests.deploy.fake_robot import FakeRobot
from tests.deploy.test_log import fill


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_controller_answers_as_expected(controller, spec, fault):
    driver = Faulty(FakeRobot(spec, DT, spec.default_position), fault)
    began, reaction = 0, None
    for tick in range(1400):
        event = {"passive": "stand_up", "stand": "walk"}.get(controller.state)
        command = controller.step(driver.read(), Operator((0.3, 0.0, 0.0), event), driver.problem)
        powered = controller.state not in ("passive", "damping", "fault")
        assert within_limits(command, controller.supervisor.reading, spec, powered)
        driver.write(command)
        driver.wait()
        if controller.state == "walk" and not began and tick > 1000:
            began = tick + 1
            driver.begin()
        if began and reaction is None and controller.fault:
            reaction = (tick - began) * DT
    assert began
    if fault.name == "one motor dead":  # a robot that hangs in the air carries nothing
        return
    assert (reaction is None) == (fault.expected == "carries on"), controller.fault
    assert reaction is None or reaction <= fault.within


@pytest.mark.parametrize("gains", [NOMINAL, Gains(MOST, MOST), Gains(LEAST, MOST)], ids=str)
def test_fuzzed_states_never_leave_the_limits(artifacts, spec, gains):
    policy = OnnxPolicy.load(artifacts / "vanilla.onnx", spec)
    controller = Controller(spec, policy, policy, config=ControllerConfig(0.02))
    controller.contexts.gains = controller.calibration_gains = gains
    report = fuzz(controller, 6_000)
    assert report.outside == 0 and report.trips > 3
    assert min(report.states[state] for state in ("stand_up", "stand", "walk", "fault")) > 10


def test_the_judge_sees_what_is_outside(controller, spec):
    robot = FakeRobot(spec, DT)
    command = controller.step(robot.read(), Operator())
    reading = controller.supervisor.reading
    assert within_limits(command, reading, spec, True)
    for part, value in (("position", 9.0), ("kd", -1.0), ("torque", 99.0), ("velocity", np.nan)):
        bad = controller.step(robot.read(), Operator())
        getattr(bad, part)[3] = value
        assert not within_limits(bad, reading, spec, True)
    bad = controller.step(robot.read(), Operator())
    bad.kp[:] = 1.0
    assert not within_limits(bad, reading, spec, False)


def test_summary_of_a_log(controller, spec, tmp_path):
    with LogWriter(tmp_path / "log", spec, {}) as log:
        run(controller, FakeRobot(spec, DT), lambda c, s: None if s.stamp > 0.5 else Operator(event="stand_up"), log)
    found = summarize(tmp_path / "log")
    assert 25 <= found.records <= 26 and abs(found.gap - 0.02) < 1e-6 and found.states == ("stand_up",)
    assert found.events[0]["to"] == "stand_up" and "not allowed" in found.events[1]["refused"]
    with pytest.raises(ValueError, match="cannot be read"):
        summarize(tmp_path / "nothing")


def test_summary_of_a_log_without_events(spec, tmp_path):
    with LogWriter(tmp_path / "log", spec, {}) as log:
        fill(log, spec, 10)
    assert summarize(tmp_path / "log").records == 10
