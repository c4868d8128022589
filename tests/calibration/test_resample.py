"""The grid of the policy's ticks: latest state at or before, gaps, faster commands, and windows with history."""

import numpy as np
import pytest

import robots
from calibration.read import Series, read
from calibration.resample import motion, policy_ticks, resample, samples, segments
from deploy.gains import Gains
from robots.frame import FRAME_SIZE, STATE_SIZE
from robots.kinematics import projected_gravity

SPEC = robots.load("go1")
DT = SPEC.control_dt


@pytest.fixture
def ticks_of(bench):
    return lambda walk: resample(bench.raw(walk), SPEC)


def test_frames_hold_what_the_controller_saw(bench, bag):
    ticks, walk = resample(read(bag(), SPEC.joint_names), SPEC), bench.walk
    assert ticks.clock == "header"
    assert ticks.usable.all() and (ticks.segment == 0).all()
    np.testing.assert_allclose(ticks.part("angular_velocity"), walk.angular_velocity)
    np.testing.assert_allclose(ticks.part("projected_gravity"), projected_gravity(walk.quaternion), atol=1e-12)
    np.testing.assert_allclose(ticks.part("joint_position"), walk.position - SPEC.default_position)
    np.testing.assert_allclose(ticks.part("joint_velocity"), walk.velocity)
    np.testing.assert_allclose(ticks.part("action"), (walk.target - SPEC.default_position) / SPEC.action_scale)


def series(time, **values):
    return Series(np.asarray(time), np.asarray(time), values)


def test_faster_states_are_held_from_before_the_command(bench, bag):
    log = bench.raw()
    time = np.arange(0, 20, 0.002) + 0.0007
    index = np.repeat(np.arange(len(time))[:, None], 12, axis=1)
    joints = series(time, position=index, velocity=0.0 * index, effort=0.0 * index)
    imu = series(time, angular_velocity=index[:, :3], quaternion=np.tile([1.0, 0, 0, 0], (len(time), 1)),
                 linear_acceleration=index[:, :3])  # fmt: skip
    commands = log.commands
    log = type(log)(path=log.path, imu=imu, joints=joints, commands=commands)
    ticks = resample(log, SPEC)
    seen = ticks.frames[:, 6] + SPEC.default_position[0]
    assert (time[seen.astype(int)] <= ticks.time).all()
    assert (time[seen.astype(int) + 1] > ticks.time).all()
    np.testing.assert_allclose(ticks.age, ticks.time - time[seen.astype(int)], atol=1e-9)
    assert ticks.age.max() <= 0.002


def test_where_gains_changed_on_the_way_the_last_ones_count(bench, bag):
    walk = bench.walk
    gains = np.where(walk.time[:, None] < 5.0, 1.0, Gains(1.25, 2.0).row())
    walk = walk.but(state=["calibrate"] * len(walk.time), gains=gains)
    for ticks in (resample(bench.raw(walk), SPEC), resample(read(bag(walk), SPEC.joint_names), SPEC)):
        assert ticks.gains == Gains(1.25, 2.0)
        np.testing.assert_array_equal(ticks.usable, walk.time >= 5.0)


def test_headers_of_another_clock_are_not_trusted(bench, ticks_of):
    log = bench.raw()
    shifted = Series(log.commands.log_time, log.commands.stamp + 0.3, log.commands.values)
    ticks = resample(type(log)(path=log.path, imu=log.imu, joints=log.joints, commands=shifted), SPEC)
    assert ticks.clock == "log"
    np.testing.assert_allclose(ticks.age, 0.0, atol=1e-9)


def test_every_write_to_the_motors_may_be_logged():
    time = np.arange(0, 4, 0.002) + np.random.default_rng(0).uniform(0, 2e-4, 2000)
    target = np.repeat(np.arange(200.0), 10)[3:][:, None] * np.ones(12)
    ticks = policy_ticks(time[:1997], target, DT)
    np.testing.assert_array_equal(target[ticks[:-1], 0], np.arange(1, 200))  # the last may be the end of the log
    assert (np.diff(ticks[:-1]) == 10).all()
    still = policy_ticks(time, np.zeros((2000, 12)), DT)
    np.testing.assert_allclose(np.diff(time[still])[:-1], DT, atol=1.1e-3)


def test_policy_ticks_of_nothing_and_across_a_gap():
    assert len(policy_ticks(np.zeros(0), np.zeros((0, 12)), DT)) == 0
    time = np.r_[0:0.1:DT, 3:3.1:DT]
    np.testing.assert_array_equal(policy_ticks(time, np.arange(len(time))[:, None], DT), np.arange(len(time)))


def test_a_gap_and_a_stale_state_split_segments(bench, ticks_of):
    keep = np.ones(1000, dtype=bool)
    keep[300:350] = False
    ticks = ticks_of(bench.walk.rows(keep))
    assert ticks.segment.max() == 1
    assert np.diff(ticks.time)[np.flatnonzero(np.diff(ticks.segment))] == pytest.approx(51 * DT)
    log = bench.raw()
    hole = np.r_[0:500, 510:1000]
    joints = Series(
        log.joints.log_time[hole], log.joints.stamp[hole], {k: v[hole] for k, v in log.joints.values.items()}
    )
    ticks = resample(type(log)(path=log.path, imu=log.imu, joints=joints, commands=log.commands), SPEC)
    assert not ticks.usable[501:510].any() and ticks.segment.max() == 1


def test_only_the_best_walking_state_counts(bench, ticks_of):
    states = ["stand"] * 100 + ["walk"] * 300 + ["calibrate"] * 500 + ["stand"] * 100
    assert np.flatnonzero(ticks_of(bench.walk.but(state=states)).usable).tolist() == list(range(400, 900))
    states = ["stand"] * 600 + ["walk"] * 400
    assert ticks_of(bench.walk.but(state=states)).usable.sum() == 400


def test_without_a_controller_the_joints_motion_decides(bench, ticks_of):
    still = np.r_[0:300]
    position = bench.walk.position.copy()
    position[still] = SPEC.default_position
    usable = ticks_of(bench.walk.but(position=position)).usable
    assert not usable[:270].any() and usable[310:].all()


def test_motion_is_the_spread_within_a_second():
    time = np.arange(0, 10, DT)
    swing = np.where(time < 5, 0.0, 1.0)[:, None] * np.sin(2 * np.pi * 2 * time)[:, None] + 1000.0
    spread = motion(swing, DT)
    assert spread[:200] == pytest.approx(0.0, abs=1e-4)
    assert spread[300:450] == pytest.approx(np.sqrt(0.5), rel=0.05)
    assert len(motion(np.zeros((0, 12)), DT)) == 0


def test_samples_have_the_oldest_frame_first_and_stay_in_a_segment(bench, ticks_of):
    ticks = ticks_of(bench.walk.rows(np.r_[0:10, 20:24, 30:32]))
    made = samples(type(ticks)(**{**vars(ticks), "segment": segments(ticks.time, np.ones(16, bool), DT)}), 3)
    assert made.tick.tolist() == [2, 3, 4, 5, 6, 7, 8, 12]
    assert made.frames.shape == (8, 3 * FRAME_SIZE) and made.frames.dtype == np.float32
    np.testing.assert_allclose(made.frames[-1], ticks.frames[10:13].ravel(), rtol=1e-6)
    np.testing.assert_allclose(made.targets[-1], (ticks.frames[13] - ticks.frames[12])[:STATE_SIZE], atol=1e-5)
    assert len(samples(ticks, 1)) >= len(made)
    assert len(samples(ticks, 40)) == 0
