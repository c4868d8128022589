"""Scripts: what they say, and that the robot does it."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.loop import run
from deploy.operate import Operation, Teller
from deploy.script import Script, ScriptError, Step, parse
from tests.deploy.conftest import DT
from tests.deploy.fake_robot import FakeRobot


def test_steps():
    assert parse("stand_up; walk 1.0 0 -0.5 for 60; stand for 2;lie_down ; wait 3;") == [
        Step("stand_up"),
        Step("walk", 60.0, (1.0, 0.0, -0.5)),
        Step("stand", 2.0),
        Step("lie_down"),
        Step(None, 3.0),
    ]
    assert parse("walk 0.5 for 1") == [Step("walk", 1.0, (0.5, 0.0, 0.0))]


@pytest.mark.parametrize(
    "text",
    [
        *("", " ; ", "fly", "walk", "walk 1", "walk for 3", "walk a 0 0 for 3", "walk 1 0 0 0 for 3", "walk 1 for"),
        *("walk 1 for 2 3", "stand_up 1", "wait", "wait a", "walk nan for 1", "stand for -1", "walk 1 for inf"),
    ],
)
def test_what_is_no_step(text):
    with pytest.raises(ScriptError):
        parse(text)


@given(st.text(alphabet="walkstnd_upefor;. -+0123456789 ", max_size=60) | st.text(max_size=30))
def test_any_text_is_a_script_or_refused(text):
    try:
        assert all(isinstance(step, Step) for step in parse(text))
    except ScriptError as problem:
        assert str(problem)


def states(controller):
    return [entry.target for entry in controller.history]


def drive(controller, spec, text, seconds=60.0, robot=None, stop_in=None):
    """Run a script and return (script, states, what was told)."""
    robot, told = robot or FakeRobot(spec, DT), []
    script = Script(parse(text), DT)
    operation = Operation(script, robot, told.append)
    ticks = iter(range(round(seconds / DT)))

    def commands(made, state):
        next(ticks)
        if stop_in is not None and made.state == stop_in and not operation.stops:
            operation.stop()
        return operation(made, state)

    run(controller, robot, commands)
    return script, states(controller), told


def test_the_robot_does_what_the_script_says(controller, spec):
    script, visited, told = drive(controller, spec, "stand_up; walk 0.5 for 0.5; stand for 0.2; lie_down")
    assert script.error == ""
    assert visited == ["stand_up", "stand", "walk", "stop", "stand", "lie_down", "passive"]
    assert len(told) == len(visited) and "stand_up -> stand" in told[1]


def test_velocity_and_time_of_a_walk(controller, spec):
    script, seen = Script(parse("stand_up; walk 0.4 0.1 -0.2 for 1"), DT), []

    def commands(made, state):
        if made.state == "walk":
            seen.append(made.velocity.copy())
        return script(made, state)

    run(controller, FakeRobot(spec, DT), commands)
    assert len(seen) * DT == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(seen[-1], [0.4, 0.1, -0.2])


def test_a_calibration_runs_to_its_end(controller, spec):
    script, visited, _ = drive(controller, spec, "stand_up; calibrate; lie_down")
    assert script.error == "" and visited.count("calibrate") == 1 and visited[-1] == "passive"


def test_a_step_that_is_refused_ends_the_script_and_the_robot_lies_down(controller, spec):
    script, visited, told = drive(controller, spec, "stand_up; stand_up; reset; walk 1 for 1")
    assert "'reset' is not allowed in state 'stand'" in script.error
    assert visited == ["stand_up", "stand", "lie_down", "passive"]
    assert any("not allowed" in line for line in told)


def test_a_fault_ends_the_script(controller, spec):
    robot = FakeRobot(spec, DT)

    def read():
        if controller.state == "walk":
            robot.state.quaternion = np.array([0.0, 1.0, 0.0, 0.0])
        return robot.state

    robot.read = read
    script, visited, _ = drive(controller, spec, "stand_up; walk 0.5 for 5; lie_down", robot=robot)
    assert "the robot faulted" in script.error and visited[-1] == "fault"


@pytest.mark.parametrize("state", ["stand_up", "stand", "walk", "stop", "lie_down"])
def test_whoever_wants_to_stop_gets_a_robot_that_lies(controller, spec, state):
    _, visited, _ = drive(controller, spec, "stand_up; stand for 1; walk 0.5 for 2; lie_down", stop_in=state)
    assert visited[-2:] == ["lie_down", "passive"]


def test_the_second_stop_ends_at_once(controller, spec):
    robot = FakeRobot(spec, DT)
    operation = Operation(Script(parse("stand_up; walk 0.5 for 9"), DT), robot, lambda line: None)

    def commands(made, state):
        if made.state == "walk":
            operation.stop()
            operation.stop()
        return operation(made, state)

    run(controller, robot, commands)
    assert states(controller)[-1] == "walk" and not robot.commands[-1].kp.any()


def test_telling_neither_fails_nor_waits_where_nobody_reads(capsys, monkeypatch):
    with Teller() as tell:
        tell("one")
        tell("two", end="")
    assert capsys.readouterr().out == "one\ntwo"

    def broken(text):
        raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", SimpleNamespace(write=broken))
    with Teller() as tell:
        tell("into a pipe without a reader")
        tell("once more")
    held = threading.Event()
    monkeypatch.setattr("sys.stdout", SimpleNamespace(write=lambda text: held.wait(9.0), flush=lambda: None))
    monkeypatch.setattr("deploy.operate.PATIENCE", 0.01)
    start = time.monotonic()
    with Teller() as tell:
        tell("held by Ctrl-S")
        tell("")
    assert time.monotonic() - start < 5.0
    held.set()
