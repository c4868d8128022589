"""A policy of another stack, imported, walks the simulated field robot through the controller."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")
import mujoco
import yaml

import models
import robots
from cli.main import main
from deploy.controller import Controller, ControllerConfig
from deploy.driver import Operator
from deploy.loop import run
from deploy.odometry import LegOdometry
from deploy.policy import OnnxPolicy
from robots.joints import ISAAC_LAB
from sim.field import FieldRobot
from tests.helpers_foreign import Convention, write_torchscript

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.jit.*", "ignore:.*TorchScript-based", "ignore:no signature found"
)

SPEC = robots.load("go1")
SECONDS, SPEED, DT = 3.0, 0.5, 0.005
TERMS = ("linear_velocity", "angular_velocity", "projected_gravity", "command")
TERMS += ("joint_position", "joint_velocity", "last_action")
POSE = (0.05, 0.8, -1.5, -0.05, 0.8, -1.5, 0.05, 1.0, -1.5, -0.05, 1.0, -1.5)


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    """Return an Isaac Lab policy of 48 values and three frames, with a pose of its own, imported by the command.

    It heeds the base velocity, which on the robot only leg odometry can tell.
    """
    folder = tmp_path_factory.mktemp("foreign")
    convention = Convention(TERMS, {}, ISAAC_LAB, history=3, by_term=True, action_scale=0.5, pose=POSE)
    script = write_torchscript(
        folder / "policy_1.pt", models.path("go1") / "calibration.onnx", SPEC, convention, feedback=0.5
    )
    pose = {"L_hip": 0.05, "R_hip": -0.05, "F._thigh": 0.8, "R._thigh": 1.0, "calf": -1.5}
    fields = {"preset": "isaac_lab", "history": 3, "kp": SPEC.kp, "kd": SPEC.kd, "action_scale": 0.5}
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({**fields, "control_dt": 0.02, "default_position": pose}))
    words = ["--torchscript", script, "--config", config, "--out", folder / "my.onnx", "--robot", "go1"]
    assert main(["export", *map(str, words)]) == 0
    return OnnxPolicy.load(folder / "my.onnx", SPEC)


def test_it_walks_and_its_legs_tell_how_fast(policy):
    robot = FieldRobot(SPEC, seed=3, lying=False, command_dt=DT)
    controller = Controller(SPEC, policy, config=ControllerConfig(command_dt=DT))
    odometry, walked, errors = LegOdometry(SPEC, 0.02), [], []

    def operator(control, state):
        if control.state in ("passive", "stand"):
            return Operator(event="stand_up" if control.state == "passive" else "walk")
        if control.state == "walk":
            walked.append(robot.position)
            if control.policy_tick:
                rotation = np.zeros(9)
                mujoco.mju_quat2Mat(rotation, robot.data.qpos[3:7])
                truth = rotation.reshape(3, 3).T @ robot.data.qvel[:3]
                errors.append(odometry.update(state, state.foot_force) - truth)
        if control.fault or len(walked) * DT > SECONDS:
            return None
        return Operator(velocity=(SPEED, 0.0, 0.0))

    run(controller, robot, operator)
    assert not controller.fault and controller.state == "walk"
    assert walked[-1][0] - walked[0][0] > 0.75 * SPEED * SECONDS
    assert walked[-1][2] > 0.2
    rms = np.sqrt(np.mean(np.square(errors), axis=0))
    assert rms[0] < 0.08 and rms[1] < 0.06
