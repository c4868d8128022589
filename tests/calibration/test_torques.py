"""What the joint torques tell: statics in closed form, stiffness leg by leg, and masses where MuJoCo has them."""

from dataclasses import replace
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest

import robots
from calibration.resample import Ticks
from calibration.torques import read_torques
from robots.kinematics import foot_jacobians, foot_positions
from robots.masses import link_jacobians, link_masses, link_positions
from sim import scene

SPEC = robots.load("go1")
DOWN = np.array([0.0, 0.0, -1.0])


def ticks_of(q, rate, effort, action, acceleration=None):
    count = len(q)
    frames = np.concatenate(
        [np.zeros((count, 3)), np.tile(DOWN, (count, 1)), q - SPEC.default_position, rate, action], axis=1
    )
    felt = np.tile([0.0, 0.0, 9.81], (count, 1)) if acceleration is None else acceleration
    time = np.arange(count) * SPEC.control_dt
    yes = np.ones(count, bool)
    return Ticks(time, np.zeros(count), frames, effort, felt, None, yes, np.zeros(count, int), "header")


def swaying(payload, stiffness=(1.0, 1.0, 1.0, 1.0), friction=0.0, count=400):
    """Return the ticks of a robot that sways slowly on four feet, in exact balance, its gains and friction as given."""
    time = np.arange(count) * SPEC.control_dt
    phase = 2 * np.pi * 0.4 * time[:, None] + np.arange(12)
    q, rate = SPEC.default_position + 0.1 * np.sin(phase), 0.1 * 2 * np.pi * 0.4 * np.cos(phase)
    jacobians = foot_jacobians(SPEC, q, np.broadcast_to(SPEC.foot_radius * DOWN, (4, 3)))
    weight = (SPEC.mass + payload) * 9.81
    load = np.array([0.3, 0.2, 0.28, 0.22]) * weight  # of the feet
    up = np.einsum("tlxj,x->tlj", jacobians, [0.0, 0.0, 1.0]) * load[:, None]
    own = np.einsum("tlkxj,k,x->tlj", link_jacobians(SPEC, q), link_masses(SPEC), [0.0, 0.0, 9.81])
    step = SPEC.control_dt
    moved = np.gradient(np.gradient(link_positions(SPEC, q), step, axis=0), step, axis=0)
    own += np.einsum("tlkxj,k,tlkx->tlj", link_jacobians(SPEC, q), link_masses(SPEC), moved)
    own += (SPEC.armature * np.gradient(rate, step, axis=0)).reshape(-1, 4, 3)
    lift = np.einsum("k,tlkx->tx", link_masses(SPEC), moved)[:, 2]
    up *= (1.0 + lift / weight)[:, None, None]
    effort = (own - up).reshape(-1, 12) + friction * np.tanh(rate / 0.3)
    gains = SPEC.kp * np.repeat(stiffness, 3)
    target = q + (effort + SPEC.kd * rate) / gains
    action = np.roll((target - SPEC.default_position) / SPEC.action_scale, -1, axis=0)
    return ticks_of(q, rate, effort, action)


def values(readings):
    return {reading.name: reading.value for reading in readings}


@pytest.mark.parametrize("payload", [0.0, 1.5, 4.0])
@pytest.mark.parametrize("friction", [0.0, 0.4])
def test_a_robot_in_balance_is_weighed_exactly(payload, friction):
    found = values(read_torques(swaying(payload, friction=friction), SPEC))
    assert found["payload"] == pytest.approx(payload, abs=0.02)
    assert found["joint_friction"] == pytest.approx(friction, abs=0.02)


def test_stiffness_of_each_leg_and_the_weak_one():
    found = values(read_torques(swaying(1.0, stiffness=(0.8, 0.8, 0.56, 0.8)), SPEC))
    assert found["kp_strength"] == pytest.approx(0.74, abs=0.01)
    assert found["leg_rl"] == pytest.approx(0.7, abs=0.01) and found["leg_fr"] == pytest.approx(1.0, abs=0.01)


def test_without_an_accelerometer_gravity_does():
    ticks = swaying(2.0)
    blind = replace(ticks, acceleration=np.zeros_like(ticks.acceleration))
    assert values(read_torques(blind, SPEC))["payload"] == pytest.approx(2.0, abs=0.02)


def test_nothing_is_read_without_torques():
    ticks = swaying(2.0)
    assert read_torques(replace(ticks, effort=np.full_like(ticks.effort, np.nan)), SPEC) == ()
    assert read_torques(replace(ticks, effort=np.zeros_like(ticks.effort)), SPEC) == ()
    short = SimpleNamespace(**{k: v[:50] if isinstance(v, np.ndarray) else v for k, v in vars(ticks).items()})
    short.usable = short.segment >= 0
    assert read_torques(short, SPEC) == ()


@pytest.mark.parametrize("name", ["go1", "go2"])
def test_link_masses_are_where_mujoco_has_them(name):
    spec = robots.load(name)
    model = scene.field_model(spec, [])
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    q = spec.default_position + rng.uniform(-0.5, 0.5, 12)
    data.qpos[:] = [0, 0, 0, 1, 0, 0, 0, *q]
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    found = link_positions(spec, q)
    for i, leg in enumerate(("FL", "FR", "RL", "RR")):
        for j, link in enumerate(("hip", "thigh", "calf", "foot")):
            np.testing.assert_allclose(found[i, j], data.xipos[model.body(f"{leg}_{link}").id], atol=1e-9)
    np.testing.assert_allclose(found[:, 3], foot_positions(spec, q), atol=1e-12)
