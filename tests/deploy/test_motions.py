"""The designed motions: calibration walk and joint paths."""

from __future__ import annotations

import numpy as np

from deploy.calibration_motion import MOTION, RAMP, SECONDS, ideal_path, velocity_at
from deploy.trajectory import JointPath


def test_calibration_lasts_20_s_and_stays_in_3_by_3_m():
    assert SECONDS == 20.0
    assert np.abs(ideal_path()[:, :2]).max() < 1.2


def test_calibration_excites_every_direction_and_stands():
    velocities = np.array([velocity_at(t) for t in np.arange(0, SECONDS, 0.02)])
    assert np.all(velocities.max(0) >= [0.8, 0.3, 0.9]) and np.all(velocities.min(0) <= [-0.5, -0.3, -0.9])
    assert np.all(np.abs(velocities) <= [0.8, 0.5, 1.0])
    assert (np.abs(velocities).sum(1) == 0).mean() > 0.08
    judged = velocities[800:]
    assert np.all(judged.max(0) > [0.5, -0.01, 0.5]) and np.any(np.abs(judged).sum(1) == 0)


def test_calibration_starts_and_ends_standing_without_steps():
    assert not velocity_at(0.0).any() and not velocity_at(SECONDS).any() and not velocity_at(-1.0).any()
    assert MOTION.phases[0].velocity == MOTION.phases[-1].velocity == (0, 0, 0)
    velocities = np.array([velocity_at(t) for t in np.arange(0, SECONDS + 0.02, 0.02)])
    assert np.abs(np.diff(velocities, axis=0)).max() <= 2.0 * 0.02 / RAMP + 1e-9


def test_joint_path_starts_where_told_ends_at_the_pose_and_never_jumps():
    a, b, c = np.zeros(12), np.ones(12), np.full(12, -1.0)
    path = JointPath(a, [(a, 0.5), (b, 1.0), (c, 1.5)])
    assert path.seconds == 3.0
    times = np.arange(0, 3.5, 0.002)
    positions = np.array([path.position(t) for t in times])
    assert np.array_equal(positions[0], a) and np.array_equal(positions[-1], c)
    assert np.allclose(path.position(1.5), b)
    assert np.abs(np.diff(positions, axis=0)).max() < 1.01 * 2 * 1.875 / 1.5 * 0.002
