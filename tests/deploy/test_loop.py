"""The loop drives, records and leaves the robot damped; the pace keeps its grid; the bench measures."""

from __future__ import annotations

import json
import time

import pytest

import robots
from deploy.bench import measure
from deploy.driver import Operator
from deploy.log import LogWriter
from deploy.loop import Pacer, run
from tests.deploy.conftest import DT
from tests.deploy.fake_robot import FakeRobot
from tests.deploy.test_log import read


def script(*events, seconds=1.0):
    """Stand up, give the events one after the other in state stand, then go on for some time."""
    left, end = ["stand_up", *events], []

    def commands(controller, state):
        assert not controller.fault
        if left and controller.state in ("passive", "stand"):
            return Operator(event=left.pop(0))
        if not left and not end:
            end.append(state.stamp + seconds)
        return None if end and state.stamp > end[0] else Operator((0.3, 0.0, 0.0))

    return commands


def test_run_records_at_the_policy_rate(controller, robot, spec, tmp_path):
    with LogWriter(tmp_path / "log", spec, controller.provenance()) as log:
        report = run(controller, robot, script("walk"), log, record=("walk",))
    assert controller.state == "walk" and report.trips == 0 and report.ticks == len(robot.torques)
    assert set(report.step_ms) == {"p50", "p99", "p999", "max"}
    topics = read(tmp_path / "log")
    assert 45 <= len(topics["/joint_states"]) <= 51
    scaled = [m.position - spec.default_position for _, m in topics["/joint_commands"]]
    assert abs(scaled[-1] / spec.action_scale - controller.action).max() < 1e-9
    assert not robot.commands[-1].kp.any() and robot.commands[-1].kd.all()


def test_transitions_and_refusals_are_logged_with_their_cause(controller, robot, spec, tmp_path):
    def commands(controller, state):
        robot.problem = "a second writer" if controller.state == "stand" and state.stamp > 4.0 else None
        wish = {"passive": "stand_up", "stand_up": "walk"}.get(controller.state)
        return None if controller.fault else Operator(event=wish)

    with LogWriter(tmp_path / "log", spec, controller.provenance()) as log:
        run(controller, robot, commands, log, record=())
    events = [json.loads(message.data) for _, message in read(tmp_path / "log")["/events"]]
    assert [(e.get("to"), e.get("cause", e.get("refused"))) for e in events] == [
        ("stand_up", "operator: stand_up"),
        (None, "'walk' is not allowed in state 'stand_up': allowed are lie_down, damping"),
        ("stand", "stand_up completed"),
        ("fault", "a second writer"),
    ]


def test_the_remote_wins(controller, robot):
    def commands(controller, state):
        robot.asked = Operator(event="damping") if state.stamp > 1.0 else None
        return None if state.stamp > 1.1 else Operator(event="stand_up" if controller.state == "passive" else None)

    run(controller, robot, commands)
    assert controller.state == "damping" and controller.cause == "operator: damping"


def test_late_ticks_in_a_row_are_a_fault(controller, robot):
    def commands(controller, state):
        time.sleep(2.5 * DT if state.stamp > 0.2 else 0.0)
        return None if state.stamp > 0.5 else Operator(event="stand_up" if controller.state == "passive" else None)

    report = run(controller, robot, commands, late_limit=10)
    assert "the control loop is late: 10 ticks in a row" in report.fault and report.late >= 10


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_run_damps_whatever_raises(controller, robot, error):
    def commands(controller, state):
        if state.stamp > 0.5:
            raise error
        return Operator(event="stand_up" if controller.state == "passive" else None)

    with pytest.raises(error):
        run(controller, robot, commands)
    assert not robot.commands[-1].kp.any() and robot.commands[-1].kd.all()
    assert robot.commands[-2].kp.any()


@pytest.mark.parametrize(("ends_in", "told"), [("fault", 26), ("damping", 26), ("walk", 26), ("passive", 1)])
def test_a_robot_that_does_not_lie_is_told_to_damp_for_a_while(controller, robot, ends_in, told):
    events = {"passive": [], "walk": ["stand_up", "walk"], "damping": ["stand_up", "damping"], "fault": ["stand_up"]}
    last, write = [], robot.write

    def commands(controller, state):
        robot.problem = "a second writer" if ends_in == "fault" and controller.state == "stand" else None
        if controller.state == ends_in:
            robot.write = failing
            return None
        left = events[ends_in]
        return Operator(event=left.pop(0) if left and controller.state in ("passive", "stand") else None)

    def failing(command):
        last.append(command)
        if len(last) == 3:
            raise OSError("the network is gone for a moment")
        write(command)

    run(controller, robot, commands, sink=25 * DT)
    assert len(last) == told and all(command.kd.any() and not command.kp.any() for command in last)


def test_run_counts_overruns(controller, robot):
    def commands(controller, state):
        if state.stamp > 10 * DT:
            return None
        time.sleep(1.5 * DT if 0.5 < state.stamp / DT < 2.5 else 0)
        return Operator()

    assert run(controller, robot, commands).overruns >= 2


def test_run_refuses_another_robot_order_or_rate(controller, spec):
    for robot, message in (
        (FakeRobot(robots.load("go2"), DT), "driver is of robot 'go2'"),
        (FakeRobot(spec, 0.002), "period is 0.002 s"),
    ):
        with pytest.raises(ValueError, match=message):
            run(controller, robot, lambda *_: None)
    robot = FakeRobot(spec, DT)
    robot.joint_names = tuple(reversed(robot.joint_names))
    with pytest.raises(ValueError, match="internal joint order"):
        run(controller, robot, lambda *_: None)


def test_pacer_keeps_the_grid():
    pacer = Pacer(0.01)
    start = time.monotonic()
    for _ in range(5):
        pacer.wait()
    assert time.monotonic() - start >= 0.05 - 1e-3
    time.sleep(0.035)
    pacer.wait()
    assert pacer.missed >= 3
    phase = (time.monotonic() - start) % 0.01
    assert phase < 0.009 or pacer.missed > 3


def test_bench(controller):
    bench = measure(controller, steps=50)
    assert bench.steps == 50 and 0 < bench.step_ms["p50"] <= bench.step_ms["p99"] <= bench.step_ms["max"]
    assert bench.between_ms["p50"] > 0
