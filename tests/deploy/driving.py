"""Walks a controller through its states on a robot of twelve joints."""

from __future__ import annotations

from deploy.driver import Operator
from tests.deploy.conftest import DT

FORWARD = Operator((0.5, 0.0, 0.0))
WAYS = {
    "passive": (),
    "stand_up": ("stand_up",),
    "stand": ("stand_up", None),
    "walk": ("stand_up", None, "walk"),
    "calibrate": ("stand_up", None, "calibrate"),
    "stop": ("stand_up", None, "walk", "stand"),
    "lie_down": ("stand_up", None, "lie_down"),
    "damping": ("damping",),
}


def asking(event):
    return Operator(FORWARD.velocity, event)


def tick(controller, robot, event=None, velocity=FORWARD.velocity, problem=None):
    command = controller.step(robot.read(), Operator(velocity, event), problem)
    robot.write(command)
    robot.wait()
    return command


def run_until(controller, robot, state, seconds=25.0):
    for _ in range(round(seconds / DT)):
        if controller.state == state:
            return
        tick(controller, robot)
    raise AssertionError(f"still in {controller.state} ({controller.cause}), waited for {state}")


def bring_to(controller, robot, state):
    for event in WAYS[state]:
        if event is None:
            run_until(controller, robot, "stand")
        else:
            tick(controller, robot, event)
    assert controller.state == state
    return controller
