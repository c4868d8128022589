"""The controller walked through its states on a robot of twelve joints, and spoiled in every one of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.calibration_motion import velocity_at
from deploy.context import ContextError, RobotContext
from deploy.controller import Controller, ControllerConfig
from deploy.driver import RobotState
from deploy.policy import OnnxPolicy
from deploy.states import EVENTS, STATES
from robots.kinematics import projected_gravity
from robots.observation import PROPRIOCEPTION, assemble, scales
from tests.deploy.conftest import DT
from tests.deploy.driving import FORWARD, WAYS, asking, bring_to, run_until, tick
from tests.deploy.fake_robot import LYING, FakeRobot
from tests.deploy.test_safety import arrays, assert_within_limits
from tests.helpers_onnx import CONTEXT, DYNAMICS_DIGEST, make_policy


def test_the_whole_way(controller, robot):
    causes = []
    for event, state in (
        ("stand_up", "stand"),
        ("walk", "walk"),
        ("stand", "stand"),
        ("calibrate", "stand"),
        ("lie_down", "passive"),
        ("damping", "damping"),
        ("reset", "passive"),
    ):
        tick(controller, robot, event)
        assert not controller.refusal
        run_until(controller, robot, state)
        causes.append(controller.cause)
    assert causes == [
        "stand_up completed",
        "operator: walk",
        "stop completed",
        "stop completed",
        "lie_down completed",
        "operator: damping",
        "operator: reset",
    ]
    assert controller.trips == 0
    visited = [transition.target for transition in controller.history]
    assert visited[:8] == ["stand_up", "stand", "walk", "stop", "stand", "calibrate", "stop", "stand"]
    assert visited[8:] == ["lie_down", "passive", "damping", "passive"]


def test_the_way_down_begins_in_the_stand_wherever_the_legs_are(controller, robot, spec):
    bring_to(controller, robot, "walk")
    tick(controller, robot, "stand")
    uneven = spec.default_position + np.tile([0.2, 0.3, -0.3, -0.2, -0.1, 0.1], 2)
    controller.target = uneven.copy()
    run_until(controller, robot, "stand")
    tick(controller, robot, "lie_down")
    targets = []
    while controller.state == "lie_down":
        tick(controller, robot)
        targets.append(controller.target.copy())
    off = [np.abs(target - spec.default_position).max() for target in targets]
    assert controller.state == "passive" and min(off) < 1e-3, "the legs are alike before they fold"


@pytest.mark.parametrize("start", [LYING, np.tile([0.4, 0.6, -1.2], 4), None], ids=["lying", "splayed", "standing"])
def test_stand_up_without_a_kick(controller, spec, start):
    robot = FakeRobot(spec, DT, spec.default_position if start is None else start)
    tick(controller, robot)
    first = tick(controller, robot, "stand_up")
    assert np.allclose(first.position, robot.state.joint_position) and not first.kp.any()
    run_until(controller, robot, "stand")
    run = np.array(robot.torques)
    assert np.abs(run).max() < 0.2 * spec.torque_limit.min()
    assert np.abs(np.diff(run, axis=0)).max() < 0.5
    assert np.abs(robot.state.joint_position - spec.default_position).max() < 0.02


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("event", EVENTS)
def test_events_follow_the_table(controller, robot, state, event):
    bring_to(controller, robot, state)
    tick(controller, robot, event)
    allowed = STATES[state].on
    assert controller.state == allowed.get(event, state)
    assert bool(controller.refusal) == (event not in allowed)


def spoil_nan(s):
    s.joint_position[4] = np.nan


def spoil_tilt(s):
    s.quaternion = np.array([np.cos(0.6), 0.0, np.sin(0.6), 0.0])


def spoil_speed(s):
    s.joint_velocity[0] = 60.0


def spoil_range(s):
    s.joint_position[2] = 0.3


def spoil_clock(s):
    s.stamp -= 1.0


@pytest.mark.parametrize("spoil", [spoil_nan, spoil_tilt, spoil_speed, spoil_range, spoil_clock])
@pytest.mark.parametrize("state", WAYS)
def test_fault_damps_within_a_tick_and_stays(controller, robot, state, spoil):
    bring_to(controller, robot, state)
    good = RobotState(**{**vars(robot.state), "joint_position": robot.state.joint_position.copy()})
    spoil(robot.state)
    command = controller.step(robot.read(), FORWARD)
    assert not command.kp.any() or not STATES[state].powered
    if not STATES[state].powered:
        assert controller.state == state and controller.trips == 0
        return
    assert controller.state == "fault" and controller.trips == 1 and controller.fault == controller.cause
    robot.state = good
    for event in (None, "stand_up", "walk", "damping"):
        good.stamp += DT
        assert not controller.step(good, asking(event)).kp.any()
        assert controller.state == "fault" and controller.fault
    good.stamp += DT
    controller.step(good, asking("reset"))
    assert controller.state == "passive" and not controller.fault


def test_lost_states_damp_after_50_ms(controller, robot):
    bring_to(controller, robot, "walk")
    ticks = 0
    while controller.state == "walk":
        controller.step(robot.read(), FORWARD)
        ticks += 1
    assert controller.state == "fault" and "stale" in controller.fault
    assert 0.05 < ticks * DT <= 0.05 + 2 * DT


def test_stand_up_refused_while_a_guard_objects(controller, robot):
    spoil_tilt(robot.state)
    tick(controller, robot, "stand_up")
    assert controller.state == "passive" and "tilted" in controller.refusal
    assert controller.step(None, asking("stand_up")).kp.any() == np.False_
    assert "no state received yet" in controller.refusal


@pytest.mark.parametrize(("gain", "message"), [(1e4, "beyond its limit"), (float("nan"), "not finite")])
def test_policy_that_runs_away_damps(tmp_path, spec, robot, gain, message):
    path = make_policy(tmp_path / "p.onnx", spec, gain=0.3)
    policy = OnnxPolicy.load(path, spec)
    controller = Controller(spec, policy, config=ControllerConfig(DT))
    bring_to(controller, robot, "walk")
    policy.scale = policy.scale * gain if np.isnan(gain) else policy.scale
    policy.action_limit = 1e-3 if gain > 1 else policy.action_limit
    for _ in range(5):
        command = tick(controller, robot)
    assert controller.state == "fault" and message in controller.fault and not command.kp.any()


def test_actions_are_clipped_as_in_training(tmp_path, spec, robot):
    policy = OnnxPolicy.load(make_policy(tmp_path / "p.onnx", spec, gain=0.3), spec)
    controller = Controller(spec, policy, config=ControllerConfig(DT))
    bring_to(controller, robot, "walk")
    for _ in range(5):
        tick(controller, robot)
    policy.action_limit = 0.5 * float(np.abs(controller.action).max())
    for _ in range(5):
        tick(controller, robot)
    assert controller.state == "walk"
    assert np.isclose(np.abs(controller.action).max(), policy.action_limit)


def test_policy_that_raises_damps(controller, robot):
    bring_to(controller, robot, "walk")
    controller.contexts.robot = np.zeros(3)
    for _ in range(5):
        tick(controller, robot)
    assert controller.state == "fault" and controller.fault.startswith("policy failed")


def test_calibrate_needs_a_policy(artifacts, spec, robot):
    controller = Controller(spec, OnnxPolicy.load(artifacts / "vanilla.onnx", spec), config=ControllerConfig(DT))
    bring_to(controller, robot, "stand")
    tick(controller, robot, "calibrate")
    assert controller.state == "stand" and "no calibration policy" in controller.refusal


def test_calibration_follows_the_designed_motion(controller, robot):
    bring_to(controller, robot, "calibrate")
    for step in range(1, 2000):
        tick(controller, robot)
        if controller.policy_tick:
            planned = velocity_at(step * DT)
            assert controller.velocity[2] == pytest.approx(planned[2])  # steps may be mirrored to stay near the start
            assert np.abs(controller.velocity).max() <= 1.0
    assert controller.progress == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("velocity", [(np.nan, 0, 0), (1, 2), (np.inf, 0, 0)])
def test_bad_velocity_commands_stop(controller, robot, velocity):
    bring_to(controller, robot, "walk")
    for _ in range(6):
        tick(controller, robot, velocity=velocity)
    assert controller.state == "walk" and not controller.velocity.any()


def test_velocity_commands_are_clipped(controller, robot):
    bring_to(controller, robot, "walk")
    for _ in range(round(1.1 / DT)):
        tick(controller, robot, velocity=(9.0, -9.0, 9.0))
    assert np.allclose(controller.velocity, [1.0, -0.6, 1.2])


def test_a_limit_of_zero_forbids_a_direction_and_a_negative_one_is_refused():
    assert ControllerConfig(velocity_limit=(1.0, 0.0, 1.0)).velocity_limit[1] == 0.0
    for limits in ({"velocity_limit": (1.0, -0.1, 1.0)}, {"acceleration_limit": (1.0, np.nan, 1.0)}):
        with pytest.raises(ValueError, match=f"{next(iter(limits))} .*: give finite numbers"):
            ControllerConfig(**limits)


def test_the_command_changes_no_faster_than_it_may_also_to_rest(controller, robot):
    """A robot that went back at 0.6 m/s toppled when its command fell to zero at once."""
    bring_to(controller, robot, "walk")
    most = np.array(controller.config.acceleration_limit) * 0.02 + 1e-9
    seen = [controller.velocity]
    for event in (None, "stand"):
        tick(controller, robot, event, velocity=(-0.6, 0.4, 1.0))
        for _ in range(round(1.0 / DT)):
            tick(controller, robot, velocity=(-0.6, 0.4, 1.0))
            if controller.policy_tick:
                seen.append(controller.velocity)
        if event is None:
            assert np.allclose(controller.velocity, [-0.6, 0.4, 1.0])
    assert controller.state == "stop" and not controller.velocity.any()
    assert (np.abs(np.diff(seen, axis=0)) <= most).all()


def test_policy_rate_and_action(controller, robot, spec):
    """A new target every 20 ms, held in between, and it is default + scale x action."""
    bring_to(controller, robot, "walk")
    targets, at = [], []
    for i in range(50):
        tick(controller, robot)
        targets.append(controller.target)
        at += [i] * controller.policy_tick
    assert set(np.diff(at)) == {round(0.02 / DT)}
    changes = [i for i in range(1, 50) if not np.array_equal(targets[i], targets[i - 1])]
    assert set(changes) <= set(at)
    assert np.allclose(controller.target, spec.default_position + 0.25 * controller.action)


def test_contexts_reach_the_policy(controller, robot):
    bring_to(controller, robot, "walk")
    for _ in range(5):
        tick(controller, robot)
    contexts, seen = controller.contexts, controller.observation()
    policy = controller.runner.policy
    expected = [policy(seen, contexts.robot, contexts.terrain)]
    controller.set_context(RobotContext(np.ones(CONTEXT), DYNAMICS_DIGEST, source="a.json"))
    controller.set_terrain("stairs_10cm")
    expected.append(policy(seen, np.ones(CONTEXT), contexts.bank.terrain_contexts[1]))
    assert not np.allclose(*expected)
    assert np.array_equal(policy(seen, contexts.robot, contexts.terrain), expected[1])
    status = json.loads(controller.status())
    assert status["context"] == "a.json" and status["terrain"] == "stairs_10cm" and status["state"] == "walk"
    with pytest.raises(ContextError):
        controller.set_terrain("moon")


def measured_values(state, controller, spec, action):
    return {
        "angular_velocity": state.angular_velocity,
        "projected_gravity": projected_gravity(state.quaternion),
        "command": np.array(controller.velocity),
        "joint_position": state.joint_position - spec.default_position,
        "joint_velocity": state.joint_velocity,
        "last_action": action,
    }


def moving(stamp, seed, spec):
    draw = np.random.default_rng(seed)
    half = draw.normal(0, 0.01, 3)
    quaternion = np.array([1.0, *half]) / np.sqrt(1 + half @ half)
    position = spec.default_position + draw.normal(0, 0.02, 12)
    rates, speeds = draw.normal(0, 1, 3), draw.normal(0, 3, 12)
    return RobotState(stamp, rates, quaternion, position, speeds, draw.normal(0, 3, 12))


def in_numpy(values):
    return assemble(PROPRIOCEPTION, values, np.array(scales(PROPRIOCEPTION)), np.concatenate)


def in_torch(values):
    torch = pytest.importorskip("torch")
    batch = {name: torch.tensor(np.stack([value, value])) for name, value in values.items()}
    factors = torch.tensor(scales(PROPRIOCEPTION), dtype=torch.float64)
    return assemble(PROPRIOCEPTION, batch, factors, lambda parts: torch.cat(parts, dim=-1))[1].numpy()


@pytest.mark.parametrize("library", [in_numpy, in_torch])
def test_observation_is_the_one_of_training(controller, robot, spec, library):
    bring_to(controller, robot, "walk")
    compared = 0
    for step in range(100):
        state, action = moving(robot.state.stamp + (step + 1) * DT, step, spec), controller.action
        controller.step(state, FORWARD)
        if controller.policy_tick:
            expected = library(measured_values(state, controller, spec, action))
            assert np.array_equal(controller.observation(), expected)
            compared += 1
    assert compared == 20 and controller.state == "walk"


def test_rates_must_divide(artifacts, spec):
    policy = OnnxPolicy.load(artifacts / "vanilla.onnx", spec)
    for period in (0.003, 0.04):
        with pytest.raises(ValueError, match="does not divide"):
            Controller(spec, policy, config=ControllerConfig(period))


STATES_TRIED = st.builds(
    RobotState,
    stamp=st.floats(0, 1),
    angular_velocity=arrays(3),
    quaternion=st.just(np.array([1.0, 0.0, 0.0, 0.0])) | arrays(4),
    joint_position=arrays(12) | st.just(LYING),
    joint_velocity=arrays(12) | st.just(np.zeros(12)),
    joint_torque=st.just(np.zeros(12)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(STATES_TRIED, st.none() | st.sampled_from(EVENTS)), max_size=8), start=st.data())
def test_no_state_and_no_event_puts_a_command_outside_limits(artifacts, spec, steps, start):
    policy = OnnxPolicy.load(artifacts / "vanilla.onnx", spec)
    controller = Controller(spec, policy, policy, config=ControllerConfig(command_dt=0.02))
    robot = FakeRobot(spec, 0.02)
    if start.draw(st.booleans()):
        controller.step(robot.read(), asking("stand_up"))
        for _ in range(200):
            robot.state.stamp += 0.02
            controller.step(robot.read(), asking("walk" if controller.state == "stand" else None))
    for state, event in steps:
        state.stamp += robot.state.stamp
        command = controller.step(state, asking(event))
        assert_within_limits(command, controller.supervisor.reading)
