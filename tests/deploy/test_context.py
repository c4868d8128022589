"""Contexts and banks are used only with the robot and the dynamics model that they were made with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import robots
from deploy.context import ActiveContexts, ContextError, RobotContext, load_bank, load_context
from deploy.gains import NOMINAL, Gains
from deploy.policy import OnnxPolicy
from tests.helpers_onnx import CONTEXT, DYNAMICS_DIGEST, make_bank, make_context


@pytest.fixture
def bank(artifacts, spec):
    return load_bank(artifacts / "bank.safetensors", spec, DYNAMICS_DIGEST)


def test_context_round_trip(tmp_path, spec):
    context = load_context(make_context(tmp_path / "context.json", spec), spec, DYNAMICS_DIGEST)
    assert np.array_equal(context.values, np.linspace(-1, 1, CONTEXT))
    assert context.terrain == "flat" and len(context.digest) == 64 and context.gains == NOMINAL
    corrected = make_context(tmp_path / "context.json", spec, gains={"kp": 1.25, "kd": 2})
    assert load_context(corrected, spec).gains == Gains(1.25, 2.0)
    legs = {"kp": 1.25, "kd": 1, "legs": [0.8, 0.8, 1.0, 1.6]}
    corrected = make_context(tmp_path / "context.json", spec, gains=legs)
    assert load_context(corrected, spec).gains == Gains(1.25, 1.0, (0.8, 0.8, 1.0, 1.6))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dynamics_digest": "f" * 16}, "made with dynamics model ffff.*run `dmcm adapt`"),
        ({"robot": "go2"}, "made for robot 'go2'"),
        ({"robot_digest": "0" * 16}, "other constants"),
        ({"kind": "bank"}, "'kind' is 'bank'"),
        ({"robot_context": [1.0, None]}, "not finite|not an array"),
        ({"robot_context": [float("inf")] * CONTEXT}, "not finite"),
        ({"robot_context": "no"}, "not an array"),
        ({"terrain": 1}, "'terrain' is not a string"),
        ({"gains": 1.2}, "field 'gains.kp' is missing"),
        ({"gains": {"kp": 1.2, "kd": None}}, "field 'gains.kd' is not a finite number"),
        ({"gains": {"kp": 2.1, "kd": 1.0}}, "field 'gains.kp' is 2.1, allowed are 0.7 to 2; adapt again"),
        ({"gains": {"kp": 1.0, "kd": 1.0, "legs": [1.0, 1.0]}}, "field 'gains.legs' has shape"),
        ({"gains": {"kp": 1.0, "kd": 1.0, "legs": "strong"}}, "field 'gains.legs' is not an array"),
        (
            {"gains": {"kp": 1.0, "kd": 1.6, "legs": [1.0, 1.0, 1.0, 1.5]}},
            "field 'gains.legs' makes a factor of 2.4, allowed are 0.7 to 2; adapt again",
        ),
        ({"gains": {"kp": 1.0, "kd": 0.0}}, "field 'gains.kd' is 0, allowed are 0.7 to 2"),
    ],
)
def test_context_refused(tmp_path, spec, changes, message):
    path = make_context(tmp_path / "context.json", spec, **changes)
    with pytest.raises(ContextError, match=message):
        load_context(path, spec, DYNAMICS_DIGEST)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
FIELDS = ("schema", "kind", "robot", "robot_digest", "dynamics_digest", "robot_context", "terrain", "gains")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(FIELDS), value=JSON | st.just(10**400) | st.lists(st.just(10**400), min_size=1))
def test_context_with_anything_in_a_field(tmp_path, spec, field, value):
    path = make_context(tmp_path / "context.json", spec, **{field: value})
    try:
        context = load_context(path, spec, DYNAMICS_DIGEST)
    except ContextError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert np.isfinite(context.values).all()


def test_missing_files(tmp_path, spec):
    with pytest.raises(FileNotFoundError, match="context not found"):
        load_context(tmp_path / "context.json", spec)
    with pytest.raises(FileNotFoundError, match="context bank not found"):
        load_bank(tmp_path / "bank.safetensors", spec)
    with pytest.raises(ContextError, match="cannot read context"):
        load_context(tmp_path, spec)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_context_that_is_not_json(tmp_path, spec, content):
    path = tmp_path / "context.json"
    path.write_bytes(content)
    with pytest.raises(ContextError, match=r"context\.json"):
        load_context(path, spec)


def test_bank(bank):
    assert bank.terrains == ("flat", "stairs_10cm")
    assert np.array_equal(bank.terrain("stairs_10cm"), bank.terrain_contexts[1])
    with pytest.raises(ContextError, match=r"unknown terrain 'moon': .* has flat, stairs_10cm"):
        bank.terrain("moon")


def test_bank_refused(tmp_path, spec, artifacts):
    path = make_bank(tmp_path / "bank.safetensors", spec, dynamics_digest="f" * 16)
    with pytest.raises(ContextError, match="made with dynamics model ffff"):
        load_bank(path, spec, DYNAMICS_DIGEST)
    with pytest.raises(ContextError, match="made for robot 'go1'"):
        load_bank(path, robots.load("go2"))
    with pytest.raises(ContextError, match=r"'terrain_contexts' has shape \(2, 8\), expected \(3, 8\)"):
        load_bank(make_bank(path, spec, terrains=["a", "b", "c"]), spec)
    path.write_bytes(b"rubbish")
    with pytest.raises(ContextError, match="not a safetensors file"):
        load_bank(path, spec)
    from safetensors.numpy import save_file

    save_file({"robot_contexts": np.zeros((1, 8))}, path)
    with pytest.raises(ContextError, match="not a context bank"):
        load_bank(path, spec)


def test_a_sealed_bank_with_any_byte_flipped_is_refused(tmp_path, spec):
    path = make_bank(tmp_path / "bank.safetensors", spec)
    content = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(content), 50):
        spoiled = bytearray(content)
        spoiled[place] ^= 4
        path.write_bytes(spoiled)
        with pytest.raises(ContextError, match="checksum does not match"):
            load_bank(path, spec)


def test_contexts_far_from_every_training_robot_are_refused(tmp_path, spec):
    contexts = ActiveContexts(load_bank(make_bank(tmp_path / "bank.safetensors", spec, robots=64), spec))
    bank = contexts.bank
    center, farthest = bank.robot_contexts.mean(0), contexts.range.farthest
    off = bank.robot_contexts[0] - center
    off *= farthest / contexts.range.distance(bank.robot_contexts[0])
    contexts.set_robot(RobotContext(center + 0.9 * off, DYNAMICS_DIGEST))
    assert not contexts.warning
    contexts.set_robot(RobotContext(center + 1.3 * off, DYNAMICS_DIGEST, source="a.json"))
    assert contexts.warning.startswith("a.json: distance") and "extrapolates" in contexts.warning
    with pytest.raises(ContextError, match="seen nothing like it, calibrate again"):
        contexts.set_robot(RobotContext(center + 2.0 * off, DYNAMICS_DIGEST))
    assert np.allclose(contexts.robot, center + 1.3 * off) and contexts.warning
    contexts.set_robot(None)
    assert not contexts.warning


def test_active_contexts(bank, artifacts, spec):
    contexts = ActiveContexts(bank)
    assert contexts.robot is bank.nominal_robot and contexts.terrain_name == "flat"
    contexts.set_robot(RobotContext(np.ones(CONTEXT), DYNAMICS_DIGEST))
    contexts.set_terrain("stairs_10cm")
    assert contexts.robot.sum() == CONTEXT and contexts.robot_source == "given"
    for wrong in (np.ones(3), np.full(CONTEXT, np.nan)):
        with pytest.raises(ContextError, match="expected 8 finite values"):
            contexts.set_robot(RobotContext(wrong, DYNAMICS_DIGEST))
    with pytest.raises(ContextError, match="run `dmcm adapt`"):
        contexts.set_robot(RobotContext(np.ones(CONTEXT), "f" * 16))
    assert contexts.robot.sum() == CONTEXT


def test_policy_needs_its_bank(tmp_path, artifacts, spec):
    policy = OnnxPolicy.load(artifacts / "multi.onnx", spec)
    with pytest.raises(ContextError, match="no context bank is loaded"):
        ActiveContexts(None).check(policy)
    other = load_bank(make_bank(tmp_path / "bank.safetensors", spec, dynamics_digest="f" * 16), spec)
    with pytest.raises(ContextError, match="use the bank that belongs to the policy"):
        ActiveContexts(other).check(policy)
