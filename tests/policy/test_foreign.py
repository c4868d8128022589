"""Policies of other stacks give the same joint targets after their import as before it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import onnx
import torch
import yaml

import models
import robots
from deploy.driver import RobotState
from deploy.observe import Observer
from deploy.policy import OnnxPolicy
from policy.foreign.config import read
from policy.foreign.convert import ImportConfig, convert
from robots.joints import JOINT_NAMES
from tests.helpers_foreign import Convention, write_torchscript

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.jit.*", "ignore:.*TorchScript-based", "ignore:no signature found"
)

SPEC = robots.load("go1")
SHIPPED = models.path("go1") / "vanilla.onnx"
# Written out here, so that nothing is taken from what is tested.
LEG = "FL_hip FL_thigh FL_calf FR_hip FR_thigh FR_calf RL_hip RL_thigh RL_calf RR_hip RR_thigh RR_calf"
UNITREE = "FR_hip FR_thigh FR_calf FL_hip FL_thigh FL_calf RR_hip RR_thigh RR_calf RL_hip RL_thigh RL_calf"
TYPE = "FL_hip FR_hip RL_hip RR_hip FL_thigh FR_thigh RL_thigh RR_thigh FL_calf FR_calf RL_calf RR_calf"
MIRROR = "RR_hip RR_thigh RR_calf RL_hip RL_thigh RL_calf FR_hip FR_thigh FR_calf FL_hip FL_thigh FL_calf"


def joints(text):
    return tuple(f"{name}_joint" for name in text.split())


LAST = ("joint_position", "joint_velocity", "last_action")
PLAIN = ("angular_velocity", "projected_gravity", "command", *LAST)
COMMAND_FIRST = ("command", "angular_velocity", "projected_gravity", *LAST)
WITH_VELOCITY = ("linear_velocity", *PLAIN)
GYM = {"linear_velocity": 2.0, "angular_velocity": 0.25, "command": (2.0, 2.0, 0.25), "joint_velocity": 0.05}
LAB = {"angular_velocity": 0.2, "joint_velocity": 0.05}
BASE = {"kp": SPEC.kp, "kd": SPEC.kd, "action_scale": 0.25, "control_dt": 0.02}
POSE = {"L_hip": 0.1, "R_hip": -0.1, "F._thigh": 0.8, "R._thigh": 1.0, "calf": -1.5}
OTHER_POSE = (0.0, 0.9, -1.6, 0.05, 0.7, -1.4, 0.1, 1.1, -1.7, -0.05, 0.9, -1.45)


def in_order(values, names):
    by_name = dict(zip(JOINT_NAMES, np.broadcast_to(values, 12).tolist(), strict=True))
    return [by_name[name] for name in names]


def rl_gym(num_obs, names, **more):
    """Return a deployment configuration as unitree_rl_gym has them, values in the policy's order."""
    return {
        "policy_path": "{LEGGED_GYM_ROOT_DIR}/deploy/pre_train/go1/motion.pt",
        "simulation_dt": 0.005,
        "control_decimation": 4,
        "kps": [SPEC.kp] * 12,
        "kds": [SPEC.kd] * 12,
        "default_angles": in_order(SPEC.default_position, names),
        "ang_vel_scale": 0.25,
        "dof_pos_scale": 1.0,
        "dof_vel_scale": 0.05,
        "action_scale": 0.25,
        "cmd_scale": [2.0, 2.0, 0.25],
        "num_actions": 12,
        "num_obs": num_obs,
        "leg_joint2motor_idx": [joints(UNITREE).index(name) for name in names],
        **more,
    }


def rl_lab(frames):
    """Return a deploy.yaml as unitree_rl_lab writes it."""
    names = joints(TYPE)
    terms = {"base_ang_vel": [0.2] * 3, "projected_gravity": [1.0] * 3, "velocity_commands": [1.0] * 3}
    terms |= {"joint_pos_rel": [1.0] * 12, "joint_vel_rel": [0.05] * 12, "last_action": [1.0] * 12}
    pose = in_order(SPEC.default_position, names)
    return {
        "joint_ids_map": [joints(UNITREE).index(name) for name in names],
        "step_dt": 0.02,
        "stiffness": [SPEC.kp] * 12,
        "damping": [SPEC.kd] * 12,
        "default_joint_pos": pose,
        "commands": {"base_velocity": {"ranges": {"lin_vel_x": [-1.0, 1.0], "heading": None}}},
        "actions": {"JointPositionAction": {"clip": None, "scale": [0.25] * 12, "offset": pose, "joint_ids": None}},
        "observations": {
            name: {"params": {}, "clip": [-100, 100], "scale": scale, "history_length": frames}
            for name, scale in terms.items()
        },
    }


@dataclass(frozen=True)
class Case:
    config: dict
    convention: Convention
    age: int = 0


def preset(name, **more):
    return {"preset": name, **BASE, "default_position": POSE, **more}


CASES = {
    "legged_gym": Case(preset("legged_gym"), Convention(WITH_VELOCITY, GYM, joints(LEG))),
    "unitree_rl_gym": Case(preset("unitree_rl_gym"), Convention(PLAIN, GYM, joints(LEG))),
    "isaac_lab": Case(preset("isaac_lab"), Convention(WITH_VELOCITY, {}, joints(TYPE))),
    "isaac_lab, history": Case(
        preset("isaac_lab", history=5, scales={"base_ang_vel": 0.2, "joint_vel_rel": 0.05}),
        Convention(WITH_VELOCITY, LAB, joints(TYPE), history=5, by_term=True),
        age=3,
    ),
    "command first, motors' order": Case(
        preset("unitree_rl_gym", observation=list(COMMAND_FIRST), joint_order="FR FL RR RL"),
        Convention(COMMAND_FIRST, GYM, joints(UNITREE)),
    ),
    "joints by name": Case(
        preset("unitree_rl_gym", joint_order=list(joints(MIRROR))), Convention(PLAIN, GYM, joints(MIRROR))
    ),
    "frames, oldest first": Case(
        preset("unitree_rl_gym", history=4, joint_order="sdk"),
        Convention(PLAIN, GYM, joints(UNITREE), history=4),
        age=2,
    ),
    "frames, newest first": Case(
        preset("unitree_rl_gym", history=4, history_order="newest_first"),
        Convention(PLAIN, GYM, joints(LEG), history=4, newest_first=True),
        age=1,
    ),
    "terms, newest first": Case(
        preset("isaac_lab", history=3, history_order="newest_first"),
        Convention(WITH_VELOCITY, {}, joints(TYPE), history=3, newest_first=True, by_term=True),
        age=2,
    ),
    "other pose, scale and gains": Case(
        preset(
            "isaac_lab",
            action_scale=0.5,
            kp=in_order(np.arange(20.0, 32.0), joints(TYPE)),
            default_position=in_order(OTHER_POSE, joints(TYPE)),
        ),
        Convention(WITH_VELOCITY, {}, joints(TYPE), action_scale=0.5, pose=OTHER_POSE),
    ),
    "unitree_rl_gym's file, 48": Case(rl_gym(48, joints(LEG)), Convention(WITH_VELOCITY, GYM, joints(LEG))),
    "unitree_rl_gym's file, 45": Case(rl_gym(45, joints(UNITREE)), Convention(PLAIN, GYM, joints(UNITREE))),
    "unitree_rl_gym's file, changed": Case(
        rl_gym(53, joints(LEG), observation=["commands", "ang_vel", "gravity_vec", "dof_pos", "dof_vel", "actions"]),
        Convention(COMMAND_FIRST, GYM, joints(LEG)),
    ),
    "unitree_rl_lab's file": Case(rl_lab(5), Convention(PLAIN, LAB, joints(TYPE), history=5, by_term=True), age=4),
}


def moving(stamp, draw):
    half = draw.normal(0, 0.1, 3)
    quaternion = np.array([1.0, *half]) / np.sqrt(1 + half @ half)
    position = SPEC.default_position + draw.normal(0, 0.1, 12)
    return RobotState(
        stamp, draw.normal(0, 1, 3), quaternion, position, draw.normal(0, 3, 12), np.zeros(12), np.ones(4)
    )


def targets(policy, states):
    """Return what the joints are told for every state, and the policy itself hears of it in the next."""
    observer, action, told = Observer(policy, SPEC), np.zeros(12), []
    # Both hear the same last target, each as its own action.
    heard = SPEC.default_position.copy()
    for i, state in enumerate(states):
        action = (heard - policy.default_position) / policy.action_scale
        seen = observer.observe(state, np.array([0.5, 0.1 * (i % 3), -0.2]), action)
        told.append(policy.default_position + policy.action_scale * policy(seen))
        heard = SPEC.default_position + 0.1 * np.sin(np.arange(12) + i)
    return np.array(told)


def imported(folder, case, kind="torchscript"):
    policy = write_torchscript(folder / "policy_1.pt", SHIPPED, SPEC, case.convention, case.age)
    if kind == "onnx":
        policy = as_onnx(policy, len(case.convention.labels()))
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(case.config, sort_keys=False))
    convert(ImportConfig(config, folder / "out.onnx", "go1", **{kind: policy}))
    return OnnxPolicy.load(folder / "out.onnx", SPEC)


def as_onnx(script, width):
    """Return the TorchScript policy as ONNX of batch 1, with Isaac Lab's names."""
    path = script.with_suffix(".onnx")
    names = {"input_names": ["obs"], "output_names": ["actions"]}
    torch.onnx.export(torch.jit.load(script), (torch.zeros(1, width),), path, **names, dynamo=False)
    return path


@pytest.mark.parametrize("name", CASES)
def test_the_imported_policy_moves_the_joints_as_the_original(tmp_path, name):
    case = CASES[name]
    policy = imported(tmp_path, case)
    assert policy.origin == "imported" and policy.sealed and policy.control_dt == 0.02
    assert policy.history == case.convention.history
    draw = np.random.default_rng(1)
    states = [moving(0.02 * i, draw) for i in range(12)]
    ours, theirs = targets(OnnxPolicy.load(SHIPPED, SPEC), states), targets(policy, states)
    late = case.age
    np.testing.assert_allclose(theirs[late:], ours[: len(ours) - late], rtol=0, atol=2e-5)
    np.testing.assert_allclose(theirs[:late], np.tile(ours[:1], (late, 1)), rtol=0, atol=2e-5)  # the first frame fills
    assert np.ptp(theirs, axis=0).min() > 0.01


@pytest.mark.parametrize("name", ["legged_gym", "isaac_lab, history"])
def test_onnx_in_place_of_torchscript(tmp_path, name):
    policy = imported(tmp_path, CASES[name], "onnx")
    draw = np.random.default_rng(1)
    states, late = [moving(0.02 * i, draw) for i in range(8)], CASES[name].age
    ours, theirs = targets(OnnxPolicy.load(SHIPPED, SPEC), states), targets(policy, states)
    np.testing.assert_allclose(theirs[late:], ours[: len(ours) - late], rtol=0, atol=2e-5)


def test_gains_and_pose_come_in_internal_order(tmp_path):
    policy = imported(tmp_path, CASES["other pose, scale and gains"])
    np.testing.assert_array_equal(policy.kp, np.arange(20.0, 32.0))
    np.testing.assert_array_equal(policy.kd, np.full(12, SPEC.kd))
    np.testing.assert_array_equal(policy.default_position, OTHER_POSE)
    np.testing.assert_array_equal(policy.action_scale, np.full(12, 0.5))


class Returns(torch.nn.Module):
    """A policy with one layer and a fault."""

    def __init__(self, inputs: int, outputs: int = 12, fault: str = "") -> None:
        super().__init__()
        self.layer = torch.nn.Linear(inputs, outputs)
        self.fault = fault
        self.register_buffer("memory", torch.zeros(1))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        out = self.layer(observation)
        if self.fault == "nan":
            out = out / 0.0 - out / 0.0
        if self.fault == "memory":
            self.memory += 1.0
            out = out + self.memory
        return out


class Pair(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(45, 12)

    def forward(self, observation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.layer(observation), observation


class Recurrent(torch.nn.Module):
    """As legged_gym exports them: the memory is in buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = torch.nn.LSTM(45, 8, 1)
        self.actor = torch.nn.Linear(8, 12)
        self.register_buffer("hidden", torch.zeros(1, 1, 8))
        self.register_buffer("cell", torch.zeros(1, 1, 8))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        out, (hidden, cell) = self.memory(observation.unsqueeze(0), (self.hidden, self.cell))
        self.hidden[:], self.cell[:] = hidden, cell
        return self.actor(out.squeeze(0))


@pytest.mark.parametrize(
    ("clip", "scale", "expected"),
    [
        (1.5, 0.05, [0.25, -1.5, 1.5]),  # after scaling, as legged_gym does
        ({"dof_vel": [-40, 10]}, 0.05, [0.25, -2.0, 0.5]),  # before it, as Isaac Lab does
        ({"dof_vel": [-40, 10]}, -0.05, [-0.25, 2.0, -0.5]),
        (None, 0.05, [0.25, -50.0, 5.0]),
    ],
)
def test_observations_are_clipped_as_in_training(tmp_path, clip, scale, expected):
    module = Returns(45)
    torch.jit.script(module).save(str(tmp_path / "policy_1.pt"))
    file = tmp_path / "config.json"
    file.write_text(json.dumps(preset("unitree_rl_gym", clip_observations=clip, scales={"dof_vel": scale})))
    convert(ImportConfig(file, tmp_path / "out.onnx", "go1", torchscript=tmp_path / "policy_1.pt"))
    policy = OnnxPolicy.load(tmp_path / "out.onnx", SPEC)
    seen, meant = np.zeros(45), np.zeros((1, 45), np.float32)
    seen[21:24], meant[0, 21:24] = scale * np.array([5.0, -1000.0, 100.0]), expected
    np.testing.assert_allclose(policy(seen), module(torch.from_numpy(meant)).detach().numpy()[0], atol=1e-5)


def fails(tmp_path, policy, config=None, message="", kind="torchscript"):
    path = policy
    if isinstance(policy, torch.nn.Module):
        path = tmp_path / "policy_1.pt"
        torch.jit.script(policy).save(str(path))
    file = tmp_path / "config.yaml"
    file.write_text(config if isinstance(config, str) else json.dumps(config or preset("unitree_rl_gym")))
    out = tmp_path / "out.onnx"
    out.write_text("what was there")
    with pytest.raises((ValueError, FileNotFoundError), match=message) as error:
        convert(ImportConfig(file, out, "go1", **{kind: path}))
    assert "\n" not in str(error.value)
    assert out.read_text() == "what was there" and not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Returns(48), "takes 48 observations, the configuration describes 45: set 'observation' and 'history'"),
        (Returns(45, 11), "gives 11 actions, expected 12"),
        (Returns(45, 12, "nan"), "not finite"),
        (Returns(45, 12, "memory"), "answers the same observation in two ways"),
        (Recurrent(), "is recurrent, and only policies without a memory"),
        (Pair(), "does not return one tensor"),
    ],
    ids=["observations", "actions", "nan", "memory", "recurrent", "pair"],
)
def test_policies_that_cannot_be_imported(tmp_path, policy, message):
    fails(tmp_path, policy, message=message)


def test_files_that_are_no_policy(tmp_path):
    fails(tmp_path, tmp_path / "none.pt", message=r"no policy at .*none\.pt")
    other = tmp_path / "model_1500.pt"
    torch.save({"model_state_dict": {}}, other)
    fails(tmp_path, other, message="is not TorchScript: give the policy that your stack exports")
    other.write_bytes(b"text")
    fails(tmp_path, other, message="is not TorchScript")
    fails(tmp_path, other, message="is not an ONNX policy", kind="onnx")
    fails(tmp_path, models.path("go1") / "multi.onnx", message="robot_context .*: only one input", kind="onnx")
    fails(tmp_path, SHIPPED, preset("legged_gym"), "takes 45 observations, the configuration describes 48", "onnx")


def test_a_recurrent_onnx_is_refused(tmp_path):
    path = tmp_path / "policy.onnx"
    nodes = [onnx.helper.make_node("LSTM", ["obs", "w", "r"], ["actions"], hidden_size=4)]
    values = [onnx.helper.make_tensor_value_info("obs", onnx.TensorProto.FLOAT, [1, 1, 45])]
    out = [onnx.helper.make_tensor_value_info("actions", onnx.TensorProto.FLOAT, [1, 1, 1, 4])]
    weights = [
        onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name)
        for name, shape in (("w", (1, 16, 45)), ("r", (1, 16, 4)))
    ]
    graph = onnx.helper.make_graph(nodes, "p", values, out, weights)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)
    fails(tmp_path, path, message="is recurrent", kind="onnx")


def without(config, *keys):
    return {key: value for key, value in config.items() if key not in keys}


GOOD = preset("unitree_rl_gym")
LAB_FILE = rl_lab(1)
LAB_ACTION = LAB_FILE["actions"]["JointPositionAction"]
BAD = {
    "gains missing": (without(GOOD, "kp", "kd"), "missing: kp, kd"),
    "preset missing": (without(GOOD, "preset"), "'preset' is missing: give one of legged_gym"),
    "unknown preset": (preset("raisim"), "'preset' is 'raisim': give one of"),
    "unknown field": ({**GOOD, "kpp": 3}, "unknown field 'kpp'"),
    "joint order": ({**GOOD, "joint_order": "FL FR"}, "unknown 'joint_order' 'FL FR'"),
    "joint names": ({**GOOD, "joint_order": ["a"] * 12}, "unknown 'joint_order'"),
    "height scan": ({**GOOD, "observation": ["height_scan"]}, "no observation 'height_scan': it has linear_velocity"),
    "twice": ({**GOOD, "observation": ["cmd", "commands"]}, "'command' is in 'observation' more than once"),
    "no terms": ({**GOOD, "observation": []}, "'observation' is not a list of terms"),
    "scale of unknown": ({**GOOD, "scales": {"x": 1}}, "no observation 'x'"),
    "scale's size": ({**GOOD, "scales": {"cmd": [1, 2]}}, "scale of 'command' has 2 values, expected one or 3"),
    "kp's size": ({**GOOD, "kp": [20] * 11}, "'kp' has 11 values, expected one or 12"),
    "kp's pattern": ({**GOOD, "kp": {"hip": 20}}, "'kp' has 0 values for FL_thigh_joint, expected one"),
    "kp's regex": ({**GOOD, "kp": {"(": 20}}, "pattern"),
    "kp is text": ({**GOOD, "kp": "much"}, "'kp' is not a number or 12 numbers"),
    "swapped": ({**GOOD, "kp": 0.5, "kd": 20}, "are kp and kd swapped"),
    "pose": ({**GOOD, "default_position": [1.0] * 12}, "'default_position' puts .* is the joint order right"),
    "action scale": ({**GOOD, "action_scale": -1}, "'action_scale' must be positive"),
    "rate": ({**GOOD, "control_dt": 50}, "'control_dt' is 50 s"),
    "not finite": ({**GOOD, "kp": float("nan")}, "'kp' holds values that are not finite"),
    "history": ({**GOOD, "history": 0}, "'history' is 0, expected 1 to 200 frames"),
    "history order": ({**GOOD, "history_order": "new"}, "'history_order' is 'new': give one of oldest_first"),
    "stacking": ({**GOOD, "stacking": "x"}, "'stacking' is 'x': give one of frame, term"),
    "clip": ({**GOOD, "clip_observations": 0}, "'clip_observations' must be positive"),
    "action clip": ({**GOOD, "clip_actions": 0}, "'clip_actions' must be positive"),
    "rl_gym's size": (rl_gym(47, joints(LEG)), "'num_obs' is 47, not 45 or 48"),
    "rl_gym's motors": ({**rl_gym(45, joints(LEG)), "leg_joint2motor_idx": [0] * 12}, "each of the 12 motors"),
    "rl_lab's actions": (without(LAB_FILE, "actions"), "'actions' is missing"),
    "rl_lab's clip": (
        {**LAB_FILE, "actions": {"JointPositionAction": {**LAB_ACTION, "clip": [[-1, 1]] * 12}}},
        "'clip' of JointPositionAction is not supported",
    ),
    "rl_lab's offset": (
        {**LAB_FILE, "actions": {"JointPositionAction": {**LAB_ACTION, "offset": [0] * 12}}},
        "'offset' of JointPositionAction differs",
    ),
    "rl_lab's term": (
        {**LAB_FILE, "observations": {**LAB_FILE["observations"], "gait_phase": {}}},
        "no observation 'gait_phase'",
    ),
    "not YAML": ("a: [", "not YAML or JSON"),
    "no fields": ("3", "expected fields with values"),
    "env.yaml": ("a: !!python/tuple [1, 2]", "holds Python objects, as Isaac Lab's"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_configurations(tmp_path, name):
    config, message = BAD[name]
    fails(tmp_path, Returns(45), config, message)


def test_no_configuration_and_no_policy(tmp_path):
    with pytest.raises(FileNotFoundError, match="no configuration at"):
        convert(ImportConfig(tmp_path / "c.yaml", tmp_path / "out.onnx", "go1", torchscript=tmp_path / "p.pt"))
    with pytest.raises(ValueError, match="one of --torchscript and --onnx"):
        convert(ImportConfig(tmp_path / "c.yaml", tmp_path / "out.onnx", "go1"))


def documented():
    text = (Path(models.__file__).parents[1] / "docs" / "import_policy.md").read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.parametrize(("number", "values", "first"), [(0, 48, "FL_hip"), (1, 270, "FR_hip"), (2, 45, "FL_hip")])
def test_the_documented_configurations_are_read(tmp_path, number, values, first):
    file = tmp_path / "config.yaml"
    file.write_text(documented()[number])
    foreign = read(file)
    assert foreign.width == values and foreign.joint_order[0] == f"{first}_joint"
    go2 = robots.load("go2")
    np.testing.assert_allclose(foreign.drive.default_position, go2.default_position)
    assert foreign.drive.problem(go2) is None
    assert len(documented()) == 3
