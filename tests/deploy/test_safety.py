"""Nothing that a robot may report or a controller may ask for puts a command outside the limits."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import robots
from deploy.driver import JointCommand, RobotState
from deploy.safety import Supervisor

DT = 0.004
SPEC = robots.load("go1")
LOWER, UPPER = SPEC.position_limits


def standing(stamp=0.0, **changes):
    state = {
        "angular_velocity": np.zeros(3),
        "quaternion": np.array([1.0, 0.0, 0.0, 0.0]),
        "joint_position": SPEC.default_position,
        "joint_velocity": np.zeros(12),
        "joint_torque": np.zeros(12),
        **changes,
    }
    return RobotState(stamp=stamp, **state)


def one(size, index, value, base=0.0):
    array = np.full(size, base)
    array[index] = value
    return array


def off(index, value):
    position = SPEC.default_position
    position[index] = value
    return position


FAULTS = {
    "none": (None, "no state received yet"),
    "nan joint": (standing(joint_position=off(3, np.nan)), "joint_position is not finite"),
    "inf velocity": (standing(joint_velocity=one(12, 0, np.inf)), "joint_velocity is not finite"),
    "nan gyro": (standing(angular_velocity=one(3, 1, np.nan)), "angular_velocity is not finite"),
    "nan torque": (standing(joint_torque=one(12, 1, np.nan)), "joint_torque is not finite"),
    "nan stamp": (standing(stamp=np.nan), "time stamp is not finite"),
    "shape": (standing(joint_position=np.zeros(11)), r"joint_position has shape \(11,\), expected \(12,\)"),
    "not numbers": (standing(joint_position=np.array(["a"] * 12)), "cannot be read"),
    "nothing there": (standing(joint_position=None), "joint_position has shape"),
    "quaternion": (standing(quaternion=np.zeros(4)), "quaternion has norm 0.00"),
    "tilt": (standing(quaternion=np.array([np.cos(0.55), np.sin(0.55), 0, 0])), "tilted by 1.10 rad"),
    "upside down": (standing(quaternion=np.array([0.0, 1.0, 0, 0])), "tilted by 3.14 rad"),
    "joint range": (standing(joint_position=off(2, -0.7)), "FL_calf_joint at -0.70 rad, limits are -2.72 to -0.89"),
    "joint speed": (standing(joint_velocity=one(12, 5, -31.0)), "FR_calf_joint at -31.0 rad/s, allowed are 30.1"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_guard_trips(case):
    state, message = FAULTS[case]
    supervisor = Supervisor(SPEC, DT)
    reason = supervisor.check(state)
    assert reason is not None and re.search(message, reason)


def test_normal_states_pass():
    yawed = np.array([np.cos(1.0), 0, 0, np.sin(1.0)])
    tilted = np.array([np.cos(0.45), 0, np.sin(0.45), 0])
    for quaternion in (yawed, tilted, -tilted):
        supervisor = Supervisor(SPEC, DT)
        assert supervisor.check(standing(0.0, quaternion=quaternion)) is None
        assert supervisor.check(standing(DT, quaternion=-quaternion, joint_torque=one(12, 0, 1.0))) is None
    assert Supervisor(SPEC, DT).check(standing(joint_position=LOWER - 0.05)) is None


def test_stale_state_trips_after_50_ms():
    supervisor = Supervisor(SPEC, DT)
    supervisor.check(standing(5.0))
    reasons = [supervisor.check(standing(5.0)) for _ in range(14)]
    assert all(r is None for r in reasons[:12]) and "has not advanced for 52 ms" in reasons[12]
    assert supervisor.check(standing(5.0 + DT)) is None


def test_clock_jumps_trip():
    supervisor = Supervisor(SPEC, DT)
    assert supervisor.check(standing(5.0)) is None
    assert "states were lost for 300 ms" in supervisor.check(standing(5.3))
    assert "clock jumped back by 100 ms" in supervisor.check(standing(5.2))
    assert supervisor.check(standing(5.2 + DT)) is None


@pytest.mark.parametrize(
    ("action", "message"),
    [(one(12, 3, np.nan), "not finite"), (one(12, 3, -np.inf), "not finite"), (one(12, 3, -51.0), "51.0 is beyond")],
)
def test_policy_output(action, message):
    assert message in Supervisor.check_action(action, 10.0)
    assert Supervisor.check_action(np.full(12, 50.0), 10.0) is None


likely = st.floats(-1e6, 1e6)
anything = st.floats(width=64, allow_nan=True, allow_infinity=True)


def spoiled(size, seed, scale, spoil):
    array = np.random.default_rng(seed).normal(0, scale, size)
    for index, value in spoil.items():
        array[index] = value
    return array


def arrays(size, values=anything):
    """Return random arrays of any scale in which some elements are anything."""
    spoil = st.dictionaries(st.integers(0, size - 1), values, max_size=3)
    return st.builds(spoiled, st.just(size), st.integers(0, 2**32), st.sampled_from([0.0, 0.3, 3.0, 50.0]), spoil)


def predicted(command, state):
    return (
        command.kp * (command.position - state.joint_position)
        + command.kd * (command.velocity - state.joint_velocity)
        + command.torque
    )


def assert_within_limits(command, reading, share=1.0):
    for value in (command.position, command.velocity, command.torque, command.kp, command.kd):
        assert value.shape == (12,) and np.isfinite(value).all()
    assert np.all(command.position >= LOWER) and np.all(command.position <= UPPER)
    assert np.all(command.kp >= 0) and np.all(command.kd >= 0)
    if reading.problem is None:
        assert np.all(np.abs(predicted(command, reading)) <= share * SPEC.torque_limit * (1 + 1e-9))
    else:
        assert not command.kp.any() and not command.torque.any()
        assert np.all(command.kd * SPEC.velocity_limit <= SPEC.torque_limit * (1 + 1e-9))


@settings(max_examples=150, deadline=None)
@given(
    state=st.builds(
        RobotState,
        stamp=anything,
        angular_velocity=arrays(3),
        quaternion=arrays(4),
        joint_position=arrays(12),
        joint_velocity=arrays(12),
        joint_torque=arrays(12),
    ),
    command=st.builds(
        JointCommand,
        position=arrays(12, likely),
        velocity=arrays(12, likely),
        torque=arrays(12, likely),
        kp=arrays(12, likely).map(np.abs),
        kd=arrays(12, likely).map(np.abs),
    ),
)
def test_limited_whatever_is_measured(state, command):
    supervisor = Supervisor(SPEC, DT)
    supervisor.check(state)
    supervisor.limit(command)
    assert_within_limits(command, supervisor.reading)


def test_command_within_limits_is_left_alone():
    supervisor = Supervisor(SPEC, DT)
    supervisor.check(standing())
    target = SPEC.default_position + 0.2
    command = JointCommand(target.copy(), np.zeros(12), np.zeros(12), np.full(12, 30.0), np.full(12, 0.8))
    assert supervisor.limit(command) == 0
    assert np.array_equal(command.position, target) and np.all(command.kp == 30.0)


def test_target_gives_way_before_the_gains():
    supervisor = Supervisor(SPEC, DT)
    supervisor.check(standing())
    far = np.tile([0.8, 2.5, -2.7], 4)
    command = JointCommand(far, np.zeros(12), np.zeros(12), np.full(12, 60.0), np.full(12, 0.8))
    assert supervisor.limit(command) > 0
    assert np.allclose(command.kp, 60.0) and np.allclose(command.kd, 0.8)
    assert np.abs(predicted(command, standing())).max() == pytest.approx(35.55)


def test_commands_that_are_not_finite_are_never_sent():
    supervisor = Supervisor(SPEC, DT)
    supervisor.check(standing())
    with pytest.raises(ValueError, match="not finite"):
        supervisor.limit(JointCommand(one(12, 0, np.nan), *(np.zeros(12) for _ in range(4))))
