"""The action's routine: walked by the loop, adapted elsewhere, accepted or not, and ended by whatever ends it."""

import os
import sys
import threading
import time

import numpy as np
import pytest
from deploy_ros import adaptation
from deploy_ros.adaptation import Adaptation, Goal
from deploy_ros.find import find_elsewhere
from deploy_ros.inbox import Inbox
from deploy_ros.shown import ShownDriver

from calibration.field import FAILED, WALK, WALKED
from calibration.live import Figures
from deploy.context import ContextError, RobotContext
from deploy.driver import Operator
from deploy.log import LogWriter
from deploy.loop import run
from tests.deploy.fake_robot import FakeRobot
from tests.helpers_onnx import CONTEXT, DYNAMICS_DIGEST

TICKS = 600


class Routine:
    """Keeps `FieldRoutine`'s contract: commands of the loop, a phase that ends, a cancel from any thread."""

    def __init__(self, spec, models, store, *, compensate, stay):
        assert stay and not compensate
        self.phase, self.problem, self.figures, self._ticks = "waiting", "", Figures(), 0

    def __call__(self, controller, state):
        self._ticks += 1
        if controller.state == "damping":
            self.problem = "the operator's emergency stop"
        if self.problem or self._ticks > TICKS:
            self.phase = FAILED if self.problem else WALKED
            return None
        self.phase, self.figures = WALK, Figures(progress=self._ticks / TICKS, distance=0.01 * self._ticks)
        return Operator(event="stand_up" if controller.state == "passive" else None)

    def cancel(self, reason):
        self.problem = reason

    def accept(self, result):
        assert result.context["readings"]
        return RobotContext(np.ones(CONTEXT), DYNAMICS_DIGEST, source="contexts/go1-0/today.json", digest="d16e57")


def found(log, robot, models, command):
    assert log.is_dir() and robot == "go1"
    reading = {"name": "payload", "unit": "kg", "value": 1.5, "known": True}
    return {"error": {"before": 0.2, "after": 0.1}, "readings": [reading]}


@pytest.fixture
def robot(controller, monkeypatch):
    """Return (inbox, shown) of a control loop that runs in real time in a thread."""
    monkeypatch.setattr(adaptation, "FieldRoutine", Routine)
    inbox, fake = Inbox(), FakeRobot(controller.spec, controller.config.command_dt)
    shown = ShownDriver(fake, controller, lambda snapshot: time.sleep(0.0005))
    inbox.open()
    thread = threading.Thread(target=lambda: (run(controller, shown, inbox.commands), inbox.close()), daemon=True)
    thread.start()
    yield inbox, shown
    inbox.stop()
    thread.join()


def start(goal, robot, controller, tmp_path, find=found):
    inbox, shown = robot
    return Adaptation(goal, inbox, shown, controller, tmp_path, tmp_path / "contexts", find=find)


def ended(adaptation):
    end = time.monotonic() + 20
    while adaptation.outcome is None and time.monotonic() < end:
        time.sleep(0.01)
    assert adaptation.outcome is not None
    return adaptation.outcome


def test_walks_adapts_and_uses_the_context(robot, controller, tmp_path):
    running = start(Goal(), robot, controller, tmp_path)
    seen = []
    while running.outcome is None:
        seen.append(running.feedback())
        time.sleep(0.01)
    outcome = running.outcome
    assert outcome.accepted and outcome.context == "contexts/go1-0/today.json"
    assert "payload" in outcome.report and "0.2000 before, 0.1000 after" in outcome.report
    assert controller.contexts.robot_source == "d16e57"
    assert [f.progress for f in seen] == sorted(f.progress for f in seen)
    assert WALK in {f.phase for f in seen}


def test_keeps_the_context_in_use_unless_it_is_to_be_accepted(robot, controller, tmp_path):
    outcome = ended(start(Goal(accept=False), robot, controller, tmp_path))
    assert not outcome.accepted and outcome.report and controller.contexts.robot_source == "nominal"


def test_a_context_that_is_refused_is_reported_and_not_used(robot, controller, tmp_path, monkeypatch):
    def refuse(routine, result):
        raise ContextError("distance 30.1 from the training robots")

    monkeypatch.setattr(Routine, "accept", refuse)
    outcome = ended(start(Goal(), robot, controller, tmp_path))
    assert not outcome.accepted and "distance 30.1" in outcome.reason and "payload" in outcome.report
    assert controller.contexts.robot_source == "nominal"


def test_nothing_is_accepted_once_the_control_loop_has_ended(robot, controller, tmp_path, monkeypatch):
    def found_late(*given, **options):
        robot[0].stop()
        while robot[0].is_open:
            time.sleep(0.01)
        return found(*given, **options)

    accepted = []
    monkeypatch.setattr(Routine, "accept", lambda routine, result: accepted.append(result))
    outcome = ended(start(Goal(), robot, controller, tmp_path, found_late))
    assert outcome.reason == "the control loop has ended" and not outcome.accepted and not accepted


@pytest.mark.parametrize(
    ("goal", "said"),
    [(Goal(seconds=5.0), "the designed motion lasts"), (Goal(profile="constant"), "speed profile 'constant'")],
)
def test_refuses_goals_that_it_cannot_serve(robot, controller, tmp_path, goal, said):
    outcome = ended(start(goal, robot, controller, tmp_path))
    assert not outcome.accepted and said in outcome.reason


def test_needs_models(robot, controller, tmp_path):
    inbox, shown = robot
    running = Adaptation(Goal(), inbox, shown, controller, None, tmp_path)
    assert "no models are shipped" in ended(running).reason


def test_can_be_canceled_and_stopped(robot, controller, tmp_path):
    running = start(Goal(), robot, controller, tmp_path)
    time.sleep(0.05)
    running.cancel()
    assert ended(running).reason == "canceled"
    running = start(Goal(), robot, controller, tmp_path)
    time.sleep(0.05)
    robot[0].e_stop()
    assert ended(running).reason == "the operator's emergency stop"


def test_a_cancel_just_before_the_walk_is_not_lost(robot, controller, tmp_path, monkeypatch):
    begun, canceled = threading.Event(), threading.Event()

    def open_late(*given):
        begun.set()
        assert canceled.wait(20)
        return LogWriter(*given)

    monkeypatch.setattr(adaptation, "LogWriter", open_late)
    running = start(Goal(), robot, controller, tmp_path)
    assert begun.wait(20)
    running.cancel()
    canceled.set()
    assert ended(running).reason == "canceled" and controller.state == "passive"


def test_says_why_a_log_was_refused_and_survives_a_failure(robot, controller, tmp_path):
    def refuse(*_, **__):
        raise ValueError("the robot stood still")

    def crash(*_, **__):
        raise RuntimeError("worker died")

    assert ended(start(Goal(), robot, controller, tmp_path, refuse)).reason == "the robot stood still"
    assert ended(start(Goal(), robot, controller, tmp_path, crash)).reason == "the adaptation failed: worker died"


def test_ends_with_the_control_loop(robot, controller, tmp_path):
    running = start(Goal(), robot, controller, tmp_path)
    time.sleep(0.05)
    robot[0].stop()
    assert "ended" in ended(running).reason


def test_a_log_that_is_refused_elsewhere_is_refused_here(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    with pytest.raises(ValueError, match=r"log .*nothing does not exist"):
        find_elsewhere(tmp_path / "nothing", "go1", tmp_path, "adapt_context")
