"""A policy is used only if it is whole, belongs to the robot, and computes what it did when it was exported."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import robots
from deploy.policy import OnnxPolicy, PolicyError
from tests.helpers_onnx import make_policy


def load(path, spec):
    return OnnxPolicy.load(path, spec)


def test_loads_and_runs(artifacts, spec):
    policy = load(artifacts / "multi.onnx", spec)
    assert policy.mode == "multi" and policy.sealed and policy.robot_context_size == 8
    action = policy(np.zeros(45), np.ones(8), np.zeros(8))
    assert action.shape == (12,) and action.dtype == float
    assert not np.allclose(action, policy(np.zeros(45), np.zeros(8), np.zeros(8)))


def test_missing_file(tmp_path, spec):
    with pytest.raises(FileNotFoundError, match=r"policy not found: .*none\.onnx"):
        load(tmp_path / "none.onnx", spec)


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(1000), b"\xff" * 64], ids=["empty", "text", "0", "ff"])
def test_not_onnx(tmp_path, spec, content):
    path = tmp_path / "p.onnx"
    path.write_bytes(content)
    with pytest.raises(PolicyError, match=r"p\.onnx"):
        load(path, spec)


def test_truncated(artifacts, tmp_path, spec):
    content = (artifacts / "multi.onnx").read_bytes()
    path = tmp_path / "p.onnx"
    for size in (100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(PolicyError):
            load(path, spec)


def test_no_metadata(artifacts, tmp_path, spec):
    model = onnx.load(artifacts / "vanilla.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "p.onnx")
    with pytest.raises(PolicyError, match="no 'dmcm' metadata"):
        load(tmp_path / "p.onnx", spec)


def test_other_robot(artifacts):
    with pytest.raises(PolicyError, match="made for robot 'go1', this robot is 'go2'"):
        load(artifacts / "vanilla.onnx", robots.load("go2"))


def first(metadata, name, value):
    metadata[name][0] = value


CHANGES = {
    "kp": (lambda m: first(m, "kp", 31.0), "'kp' differs"),
    "kd": (lambda m: first(m, "kd", float("nan")), "'kd' holds values that are not finite"),
    "default pose": (lambda m: first(m, "default_position", 0.2), "'default_position' differs"),
    "joint order": (lambda m: m["joint_names"].reverse(), "joint order differs"),
    "action scale": (lambda m: m.update(action_scale=0.5), "'action_scale' is 0.5, go1 has 0.25"),
    "rate": (lambda m: m.update(control_dt=0.01), "'control_dt' is 0.01"),
    "robot constants": (lambda m: m.update(robot_digest="0" * 16), "other constants of go1"),
    "schema": (lambda m: m.update(schema=2), "'schema' is 2, expected 1"),
    "kind": (lambda m: m.update(kind="dynamics"), "'kind' is 'dynamics'"),
    "mode": (lambda m: m.update(mode="some"), "'mode' is 'some'"),
    "mode none": (lambda m: m.update(mode="none"), "context sizes are not 0"),
    "context size": (
        lambda m: m["context"].update(robot=4),
        r"input 'robot_context' is .* expected float \[batch, 4\]",
    ),
    "no digest": (lambda m: m.update(dynamics_digest=None), "'dynamics_digest' is null"),
    "missing field": (lambda m: m.pop("kp"), "field 'kp' is missing"),
    "wrong type": (lambda m: m.update(kp="30"), "'kp'"),
    "short": (lambda m: m["kp"].pop(), r"'kp' has shape \(11,\), expected 12"),
    "unknown term": (
        lambda m: m["observation"][0].update(name="base_velocity"),
        "'base_velocity' .* not one the robot",
    ),
    "term size": (lambda m: m["observation"][0].update(size=2), "3 scales for 2 values"),
    "term not a term": (lambda m: m.update(observation=[1]), "not a list of terms"),
    "action limit": (lambda m: m.update(action_limit=0), "'action_limit' must be positive"),
    "no pairs": (lambda m: [pairs.clear() for pairs in m["reference"].values()], "'reference.observation'"),
    "pairs of other sizes": (lambda m: m["reference"]["action"].pop(), "'reference.action' has shape"),
    "other weights": (lambda m: first(m["reference"]["action"], 0, 1.0001), "replaying its reference pairs"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_refused(tmp_path, spec, case):
    change, message = CHANGES[case]
    if case == "other weights":

        def change(metadata):
            metadata["reference"]["action"][0][0] += 3e-5

    path = make_policy(tmp_path / "p.onnx", spec, "multi", change=change)
    with pytest.raises(PolicyError, match=message) as error:
        load(path, spec)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def imported(**changes):
    """Return an edit of the metadata as an import writes it: gains, pose, scale and rate of its own."""

    def change(metadata):
        metadata.update(origin="imported", kp=[20.0] * 12, kd=[0.5] * 12, action_scale=[0.5] * 12, control_dt=0.01)
        metadata["default_position"][0] = 0.05
        metadata.update(changes)

    return change


def test_an_imported_policy_brings_its_own_gains(tmp_path, spec):
    policy = load(make_policy(tmp_path / "p.onnx", spec, change=imported()), spec)
    assert policy.origin == "imported" and policy.control_dt == 0.01 and policy.history == 1
    assert np.array_equal(policy.kp, np.full(12, 20.0)) and np.array_equal(policy.kd, np.full(12, 0.5))
    assert np.array_equal(policy.action_scale, np.full(12, 0.5))
    assert policy.default_position[0] == 0.05
    assert policy.decimation(0.002) == 5
    with pytest.raises(ValueError, match=r"command period 0\.004 s does not divide the policy's 0\.01 s"):
        policy.decimation(0.004)


def test_a_trained_policy_has_the_robots_gains(artifacts, spec):
    policy = load(artifacts / "vanilla.onnx", spec)
    assert policy.origin == "trained" and policy.history == 1 and policy.control_dt == spec.control_dt
    assert np.array_equal(policy.kp, np.full(12, spec.kp)) and np.array_equal(policy.kd, np.full(12, spec.kd))
    assert np.array_equal(policy.default_position, spec.default_position)
    assert np.array_equal(policy.action_scale, np.full(12, spec.action_scale))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kp": [0.5] * 12, "kd": [20.0] * 12}, "'kp' goes from 0.5 to 0.5, go1 takes 3 to 300; are kp and kd swapped"),
        ({"default_position": [-1.5] * 12}, "'default_position' puts FL_hip_joint at -1.5 rad"),
        ({"action_scale": 0.0}, "'action_scale' must be positive"),
        ({"control_dt": 1.0}, "'control_dt' is 1 s"),
        ({"history": 0}, "'history' is 0, expected 1 to 200 frames"),
        ({"history": 2}, r"'reference.observation' has shape|expected float \[batch, 90\]"),
        ({"origin": "found"}, "'origin' is 'found', expected one of trained, imported"),
        ({"origin": "trained"}, "'kp' differs"),
    ],
)
def test_imported_policies_that_are_refused(tmp_path, spec, changes, message):
    path = make_policy(tmp_path / "p.onnx", spec, change=imported(**changes))
    with pytest.raises(PolicyError, match=message):
        load(path, spec)


def test_metadata_that_is_not_json(artifacts, tmp_path, spec):
    model = onnx.load(artifacts / "vanilla.onnx")
    model.metadata_props[0].value = "{"
    onnx.save(model, tmp_path / "p.onnx")
    with pytest.raises(PolicyError, match="not valid JSON"):
        load(tmp_path / "p.onnx", spec)


def test_metadata_that_is_not_text(tmp_path, spec):
    path = make_policy(tmp_path / "p.onnx", spec, sealed=False)
    path.write_bytes(path.read_bytes().replace(b'"kind"', b'"\xb0ind"'))
    with pytest.raises(PolicyError, match="a text in the file is damaged"):
        load(path, spec)


def test_weights_changed_after_export(tmp_path, spec):
    """Without a seal, the reference pairs find a flipped bit in the weights."""
    path = make_policy(tmp_path / "p.onnx", spec, sealed=False)
    model = onnx.load(path)
    weights = model.graph.initializer[2]
    raw = bytearray(weights.raw_data)
    raw[3] ^= 0x08
    weights.raw_data = bytes(raw)
    onnx.save(model, path)
    with pytest.raises(PolicyError, match="replaying its reference pairs"):
        load(path, spec)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_byte(data, artifacts, tmp_path, spec):
    """Every byte counts: weights, metadata, reference pairs, and what ONNX wraps them in."""
    content = bytearray((artifacts / "multi.onnx").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    name = content.index(b'"seal": "')
    if name <= place < name + 9:
        return  # without its name the seal is not one
    content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "p.onnx"
    path.write_bytes(content)
    with pytest.raises(PolicyError):
        load(path, spec)
