"""The field routine on the simulated field robot behind the real controller, and all ways to stop it."""

import json

import numpy as np
import pytest

import models
import robots
from calibration.field import RECORD, FieldRoutine
from calibration.live import GOOD, LiveQuality, motion_of
from calibration.routine import Result
from calibration.store import ContextStore
from deploy.context import ContextError
from deploy.controller import ControllerConfig
from deploy.driver import Operator
from deploy.gains import Gains
from deploy.load import load_controller
from deploy.log import LogWriter
from deploy.loop import run
from robots.kinematics import projected_gravity
from sim.factors import WIDE, RobotFactors
from sim.field import FieldRobot

SPEC = robots.load("go1")
FOLDER = models.path("go1")
DT = 0.01


@pytest.fixture
def routine(tmp_path):
    seen = []
    made = FieldRoutine(SPEC, FOLDER, ContextStore(tmp_path / "contexts", "go1", "S1"), watch=seen.append)
    made.seen = seen
    return made


def drive(routine, tmp_path, factors=None, seed=0):
    controller = load_controller(SPEC, FOLDER, terrain="flat", config=ControllerConfig(command_dt=DT))
    robot = FieldRobot(SPEC, factors, seed=seed, command_dt=DT)
    with LogWriter(tmp_path / "log", SPEC, controller.provenance()) as log:
        run(controller, robot, routine, log, RECORD)
    return controller, robot


def test_the_whole_routine_saves_a_context_that_the_controller_takes(routine, tmp_path):
    controller, robot = drive(routine, tmp_path, RobotFactors(payload=1.0, kp_scale=0.8))
    assert (routine.phase, routine.problem) == ("walked", "") and controller.state == "passive"
    assert routine.seconds < 40.0
    progress = [figures.progress for figures in routine.seen]
    assert len(progress) >= 20 and np.all(np.diff(progress) > 0) and routine.figures.progress == 1.0
    assert all(figures.quality == GOOD for figures in routine.seen) and routine.seen[-1].error > 0
    assert routine.seen[-1].distance > 1.0 and np.linalg.norm(robot.position[:2]) < 1.5

    result = routine.adapt(tmp_path / "log", "test")
    assert routine.store.current() is None, "nothing is saved before it is accepted"
    error, torques = result.context["error"], {r["name"]: r["value"] for r in result.context["torque_readings"]}
    assert error["after"] < error["before"]
    assert torques["payload"] == pytest.approx(1.0, abs=0.5) and torques["kp_strength"] == pytest.approx(0.8, abs=0.03)
    context = routine.accept(result)
    controller.set_context(context)
    saved = json.loads(routine.store.current().read_text())
    assert saved["serial"] == "S1" and saved["log"]["sha256"] and saved["created"] and saved["dynamics_digest"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"robot_context": [99.0] * 8}, "not kept: distance .* nothing like it"),
        ({"dynamics_digest": "another"}, "not kept: made with dynamics model another"),
    ],
)
def test_a_context_that_the_controller_would_refuse_is_not_saved(routine, changes, said):
    bank = routine._bank
    good = {"robot_context": bank.nominal_robot.tolist(), "dynamics_digest": bank.dynamics_digest}
    with pytest.raises(ContextError, match=said):
        routine.accept(Result({**good, **changes}, (), 0.0))
    assert routine.store.current() is None and not routine.store.folder.exists()


def test_a_soft_robot_under_a_load_walks_with_corrected_gains(tmp_path):
    """The robot falls when it calibrates with its own gains."""
    routine = FieldRoutine(SPEC, FOLDER, ContextStore(tmp_path / "contexts", "go1"), compensate=True, waits=True)
    controller, robot = drive(routine, tmp_path, RobotFactors(payload=3.0, kp_scale=0.65))
    assert (routine.phase, routine.problem) == ("walked", "") and controller.state == "passive"
    assert routine.seconds < 42.0 and np.linalg.norm(robot.position[:2]) < 1.5
    visited = [transition.target for transition in controller.history]
    assert visited.count("calibrate") == 2 and 1.3 < routine.gains.kp <= 2.0
    context = routine.adapt(tmp_path / "log", "test").context
    assert Gains(**context["gains"]) == routine.gains
    assert 19.5 < context["log"]["seconds"] < 20.5 and context["error"]["after"] < context["error"]["before"]
    read = {reading["name"]: reading["value"] for reading in context["readings"]}
    assert 0.5 < read["kp_strength"] < 0.75


@pytest.mark.parametrize("number", [0, 4, 10])
def test_robots_that_once_rolled_over_or_were_lost_end_lying_where_they_began(tmp_path, number):
    factors = RobotFactors.from_array(WIDE.sample(np.random.default_rng(1000), 24)[number])
    routine = FieldRoutine(SPEC, FOLDER, ContextStore(tmp_path / "contexts", "go1"), compensate=True, waits=True)
    controller, robot = drive(routine, tmp_path, factors, seed=1000 + number)
    assert (routine.phase, routine.problem) == ("walked", "") and controller.state == "passive"
    assert np.linalg.norm(robot.position[:2]) < 1.5 and abs(robot.position[2]) < 0.25


def test_motors_that_cannot_be_read_end_it(tmp_path, monkeypatch):
    monkeypatch.setattr("calibration.compensation.KP", "nothing")
    routine = FieldRoutine(SPEC, FOLDER, ContextStore(tmp_path / "contexts", "go1"), compensate=True, waits=True)
    controller, _ = drive(routine, tmp_path)
    assert routine.phase == "failed" and "nothing was not read" in routine.problem and controller.state == "passive"


class Script:
    """Runs the routine, and something else at a moment."""

    def __init__(self, routine, state, after, act):
        self.routine, self.state, self.after, self.act, self.ticks = routine, state, after, act, 0

    def __call__(self, controller, state):
        wish = self.routine(controller, state)
        self.ticks += controller.state == self.state
        return self.act(wish) if self.ticks == round(self.after / DT) and controller.state == self.state else wish


@pytest.mark.parametrize("state", ["stand_up", "stand", "calibrate"])
def test_a_cancelled_routine_lies_down(routine, tmp_path, state):
    controller, _ = drive(Script(routine, state, 0.5, lambda wish: routine.cancel() or wish), tmp_path)
    assert (routine.phase, routine.problem) == ("failed", "stopped by the operator")
    assert controller.state == "passive" and controller.trips == 0 and routine.store.current() is None


def test_the_emergency_stop_ends_it_at_once(routine, tmp_path):
    stop = Script(routine, "calibrate", 1.0, lambda wish: Operator(event="damping"))
    controller, _ = drive(stop, tmp_path)
    assert routine.phase == "failed" and "emergency stop" in routine.problem and controller.state == "damping"


def test_a_fault_ends_it_with_its_reason(routine, tmp_path):
    controller = load_controller(SPEC, FOLDER, terrain="flat", config=ControllerConfig(command_dt=DT))
    robot = FieldRobot(SPEC, command_dt=DT)

    def commands(control, state):
        if control.state == "stand":
            robot.problem = "a second writer"
        return routine(control, state)

    run(controller, robot, commands)
    assert routine.phase == "failed" and routine.problem == "a second writer" and controller.state == "fault"


def test_a_bad_walk_is_broken_off(routine, tmp_path):
    routine._live.figures = lambda progress: routine.figures.__class__(progress, quality="the joints hardly move")
    controller, _ = drive(routine, tmp_path)
    assert routine.phase == "failed" and "the joints hardly move" in routine.problem and controller.state == "passive"


def test_a_refused_event_is_reported(routine, tmp_path):
    controller = load_controller(SPEC, None, config=ControllerConfig(command_dt=DT))
    run(controller, FieldRobot(SPEC, lying=False, command_dt=DT), routine)
    assert routine.phase == "failed" and "no calibration policy" in routine.problem


def test_live_quality_knows_a_robot_that_stands_and_one_at_its_limit():
    frame, torque = np.zeros(42), np.zeros(12)
    frame[5] = -1.0
    live = LiveQuality(SPEC, None, np.zeros(0), np.zeros(0))
    for _ in range(300):
        live.add_frame(frame, torque)
    assert live.figures(0.5).quality == "the joints hardly move"
    live = LiveQuality(SPEC, None, np.zeros(0), np.zeros(0))
    for _ in range(10):
        live.add_frame(frame, SPEC.torque_limit)
    assert "FL_hip_joint is at its torque limit" in live.figures(0.5).quality
    frame[0] = np.nan
    live.add_frame(frame, torque)
    assert "no numbers" in live.figures(0.5).quality


def test_a_frame_knows_its_own_gravity():
    for gravity in np.random.default_rng(0).normal([0, 0, -3], 1, (20, 3)):
        frame = np.zeros(42)
        frame[3:6] = gravity / np.linalg.norm(gravity)
        np.testing.assert_allclose(projected_gravity(motion_of(frame, SPEC).quaternion), frame[3:6], atol=1e-12)
