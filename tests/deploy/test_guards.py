"""Each guard trips on what it is there for, after the time it is given, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import robots
from deploy.driver import JointCommand, RobotState
from deploy.guards import GUARDS, SafetyConfig
from deploy.safety import Supervisor
from tests.deploy.test_safety import assert_within_limits, one, standing

DT = 0.005
SPEC = robots.load("go1")
LIVELY = np.random.default_rng(0).normal(0, 0.01, (1000, 3))


def feed(supervisor, count=20, start=0, problem=None, command=None, **changes):
    """Check `count` states and return the first reason with its tick, or (None, None)."""
    for i in range(start, start + count):
        state = standing(i * DT, angular_velocity=LIVELY[i], joint_torque=np.ones(12), **changes)
        reason = supervisor.check(state, problem)
        if command is not None:
            supervisor.limit(command)
        if reason is not None:
            return reason, i - start
    return None, None


@pytest.fixture
def supervisor():
    made = Supervisor(SPEC, DT)
    assert feed(made) == (None, None)
    return made


def test_frozen_measurements_trip_though_the_clock_runs(supervisor):
    for i in range(20, 40):
        reason = supervisor.check(standing(i * DT, angular_velocity=LIVELY[3], joint_torque=np.ones(12)))
        if reason:
            break
    assert "frozen: the same to the last bit for 55 ms" in reason and i == 31


def test_an_encoder_that_jumps_trips_at_once(supervisor):
    jumped = SPEC.default_position + one(12, 4, 0.3)
    assert feed(supervisor, 1, 20, joint_position=jumped) == ("encoder of FR_thigh_joint jumped by 0.30 rad", 0)


def test_a_joint_that_moves_as_fast_as_it_says_does_not(supervisor):
    position = SPEC.default_position
    for i in range(20, 40):
        position = position + one(12, 4, 20.0 * DT)
        state = standing(i * DT, angular_velocity=LIVELY[i], joint_velocity=one(12, 4, 20.0), joint_position=position)
        assert supervisor.check(state) is None


def test_an_imu_that_turns_without_its_gyro_trips(supervisor):
    half = 0.15
    tilted = np.array([np.cos(half), np.sin(half), 0.0, 0.0])
    reason, tick = feed(supervisor, 1, 20, quaternion=tilted)
    assert "attitude jumped by 0.30 rad" in reason and tick == 0


def test_a_robot_that_rolls_with_its_gyro_does_not():
    supervisor = Supervisor(SPEC, DT)
    for i in range(40):
        half = 0.5 * 4.0 * i * DT
        state = standing(
            i * DT, quaternion=np.array([np.cos(half), np.sin(half), 0, 0]), angular_velocity=one(3, 0, 4.0)
        )
        assert supervisor.check(state) is None


def test_an_impact_trips_and_a_step_does_not(supervisor):
    assert feed(supervisor, 5, 20, linear_acceleration=np.array([20.0, 0.0, 60.0])) == (None, None)
    assert feed(supervisor, 5, 25, linear_acceleration=np.array([90.0, 0.0, 60.0])) == ("impact of 108 m/s^2", 0)
    assert feed(supervisor, 5, 30, linear_acceleration=np.array([np.nan, 0.0, 60.0])) == (None, None)


def test_a_fast_joint_is_given_15_ms_and_an_impossible_one_nothing(supervisor):
    fast, ticks = one(12, 5, 25.0), []
    position = SPEC.default_position
    for i in range(20, 30):
        position = position + fast * DT
        state = standing(i * DT, angular_velocity=LIVELY[i], joint_velocity=fast, joint_position=position)
        ticks.append(supervisor.check(state))
        if ticks[-1]:
            break
    assert len(ticks) == 4 and "FR_calf_joint at 25.0 rad/s, allowed are 24.1" in ticks[-1]
    assert "allowed are 30.1" in feed(Supervisor(SPEC, DT), 1, 0, joint_velocity=one(12, 5, 40.0))[0]


def test_a_motor_that_does_not_answer_trips_after_200_ms(supervisor):
    target = SPEC.default_position + one(12, 1, 0.4)
    command = JointCommand(target, np.zeros(12), np.zeros(12), np.full(12, 30.0), np.full(12, 0.8))
    reason, tick = feed(supervisor, 60, 20, command=command)
    assert "motor of FL_thigh_joint does not answer: asked 12 N m, gives 1.0" in reason and 39 <= tick <= 42


def asking(supervisor, ticks, off=0.4, kp=30.0, **changes):
    """Command a thigh `off` rad off the default pose; return the first reason and how many ticks it took."""
    target = SPEC.default_position + one(12, 1, off)
    for i, tick in enumerate(ticks):
        reason = supervisor.check(standing(tick * DT, angular_velocity=LIVELY[tick], **changes))
        if reason:
            return reason, i
        supervisor.limit(JointCommand(target.copy(), np.zeros(12), np.zeros(12), np.full(12, kp), np.full(12, 0.8)))
    return None, len(ticks)


def test_a_dead_motor_of_a_leg_that_walks_is_found_though_it_is_asked_for_much_for_50_ms_on_end(supervisor):
    for begin in range(20, 80, 20):
        assert asking(supervisor, range(begin, begin + 10), joint_torque=np.ones(12))[0] is None
        assert asking(supervisor, range(begin + 10, begin + 20), 0.05, joint_torque=np.ones(12))[0] is None
    reason, ticks = asking(supervisor, range(80, 100), joint_torque=np.ones(12))
    assert "motor of FL_thigh_joint does not answer" in reason and 9 <= ticks <= 12


@pytest.mark.parametrize("kp", [30.0, 0.0])
def test_a_motor_that_answers_once_or_only_brakes_begins_anew(supervisor, kp):
    assert asking(supervisor, range(20, 50), joint_torque=np.ones(12))[0] is None
    answers = np.full(12, 6.0) if kp else np.ones(12)
    assert asking(supervisor, range(50, 53), kp=kp, joint_torque=answers)[0] is None
    assert asking(supervisor, range(53, 83), joint_torque=np.ones(12))[0] is None
    assert "does not answer" in asking(supervisor, range(83, 103), joint_torque=np.ones(12))[0]


def test_motors_that_are_silent_in_turn_are_not_dead(supervisor):
    for i in range(20, 100):
        leg = 3 * (i // 10 % 4)
        target = SPEC.default_position + one(12, leg + 1, 0.4)
        command = JointCommand(target, np.zeros(12), np.zeros(12), np.full(12, 30.0), np.full(12, 0.8))
        assert supervisor.check(standing(i * DT, angular_velocity=LIVELY[i], joint_torque=np.ones(12))) is None
        supervisor.limit(command)


def test_a_robot_that_reports_no_torque_is_not_accused():
    supervisor = Supervisor(SPEC, DT)
    target = SPEC.default_position + one(12, 1, 0.4)
    for i in range(60):
        assert supervisor.check(standing(i * DT, angular_velocity=LIVELY[i])) is None
        supervisor.limit(JointCommand(target.copy(), np.zeros(12), np.zeros(12), np.full(12, 30.0), np.full(12, 0.8)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"motor_temperature": one(12, 7, 95.0, 40.0)}, "motor of RL_thigh_joint has 95 degC"),
        ({"battery": 0.03}, "battery is at 3 %"),
        ({"problem": "a second writer"}, "a second writer"),
    ],
)
def test_what_only_some_robots_report(supervisor, changes, reason):
    assert feed(supervisor, 1, 20, **changes) == (reason, 0)
    assert feed(Supervisor(SPEC, DT), 5, 0, motor_temperature=np.full(12, 70.0), battery=0.4) == (None, None)


def test_states_out_of_order_are_passed_over(supervisor):
    for i in range(20, 40):
        late = i - 3 if i % 2 else i
        strange = SPEC.default_position + 0.4 * (i % 2)
        state = standing(late * DT, angular_velocity=LIVELY[i], joint_torque=np.ones(12), joint_position=strange)
        assert supervisor.check(state) is None
        assert np.array_equal(supervisor.position, SPEC.default_position)


def test_targets_do_not_run_away(supervisor):
    def command(target):
        return JointCommand(target.copy(), np.zeros(12), np.zeros(12), np.full(12, 1.0), np.full(12, 0.8))

    supervisor.limit(command(SPEC.default_position))
    far = command(SPEC.default_position - one(12, 1, 1.4))
    assert supervisor.limit(far) == 1
    assert np.isclose(far.position[1], SPEC.default_position[1] - SafetyConfig().slew * DT)
    assert supervisor.limit(command(SPEC.default_position - one(12, 1, 1.4))) == 0


def test_a_share_of_the_torque_limit(supervisor):
    command = JointCommand(SPEC.default_position - 0.5, *(np.zeros(12),) * 2, np.full(12, 60.0), np.full(12, 0.8))
    supervisor.limit(command, share=0.5)
    asked = command.kp * (command.position - SPEC.default_position)
    assert np.all(np.abs(asked) <= 0.5 * SPEC.torque_limit + 1e-9) and np.allclose(command.kp, 60.0)


def test_without_a_measurement_damping_stays_within_the_limits_at_any_speed():
    supervisor = Supervisor(SPEC, DT)
    supervisor.check(None)
    command = JointCommand(*(np.full(12, 9.0) for _ in range(5)))
    supervisor.limit(command)
    assert np.all(command.kd * SPEC.velocity_limit <= SPEC.torque_limit + 1e-9) and not command.kp.any()


def test_the_table_says_where_every_guard_trips():
    for guard in GUARDS:
        text = guard.limit.format(**vars(SafetyConfig()))
        assert text and "{" not in text
    assert len({guard.name for guard in GUARDS}) == len(GUARDS)


SIZES = {"angular_velocity": 3, "quaternion": 4, "joint_position": 12, "joint_velocity": 12, "joint_torque": 12}
SPECIAL = (np.nan, np.inf, -np.inf, 1e308, -1e200, 5e-324, 0.0, -0.0)


def wild(draw, size, scale):
    values = draw.normal(0.0, scale, size)
    for _ in range(draw.integers(3)):
        values[draw.integers(size)] = SPECIAL[draw.integers(len(SPECIAL))]
    return values


@settings(max_examples=7000, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-3, 0.3, 3.0, 50.0, 1e6]), stamp=st.floats())
def test_nothing_that_is_measured_puts_a_command_outside_the_limits(seed, scale, stamp):
    draw, supervisor = np.random.default_rng(seed), Supervisor(SPEC, DT)
    supervisor.check(standing(0.0))
    parts = {
        name: wild(draw, size, scale) if draw.random() < 0.5 else getattr(standing(), name)
        for name, size in SIZES.items()
    }
    state = RobotState(DT if draw.random() < 0.7 else stamp, **parts, battery=SPECIAL[draw.integers(8)])
    with np.errstate(all="ignore"):
        reason = supervisor.check(state)
        command = JointCommand(
            *(draw.normal(0, 10.0 ** draw.uniform(-3, 4), 12) for _ in range(3)), *draw.uniform(0, 200, (2, 12))
        )
        supervisor.limit(command, draw.choice([0.3, 1.0]))
    assert_within_limits(command, supervisor.reading)
    believed = supervisor.reading.problem is None
    assert reason is None or "\n" not in reason
    assert (
        believed == all(np.isfinite(value @ value) for value in parts.values())
        or not np.isfinite(state.stamp)
        or stamp != DT
    )
