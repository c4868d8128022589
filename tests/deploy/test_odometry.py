"""The velocity of the base is found where the feet that are down stand still, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from deploy.odometry import SMOOTHING, LegOdometry
from robots.kinematics import foot_jacobians, foot_positions, projected_gravity

DT = 0.02


@dataclass
class Motion:
    angular_velocity: np.ndarray
    quaternion: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray


def carried(spec, velocity, standing=(0, 1, 2, 3), seed=0, level=None):
    """Return the motion of a base whose standing feet roll on the ground without slipping; the others swing.

    The base is tilted and the joints are near the default pose, or it is level and they are at `level`.
    """
    draw = np.random.default_rng(seed)
    half = np.array([*draw.normal(0, 0.05 if level is None else 0.0, 2), 0.0])
    quaternion = np.array([1.0, *half]) / np.sqrt(1 + half @ half)
    rates = draw.normal(0, 0.5, 3)
    q = spec.default_position + draw.normal(0, 0.05, 12) if level is None else level
    contact = np.tile(spec.foot_radius * projected_gravity(quaternion), (4, 1))
    points, jacobians = foot_positions(spec, q) + contact, foot_jacobians(spec, q, contact)
    dq = draw.normal(0, 5, (4, 3))
    for leg in standing:
        dq[leg] = -np.linalg.solve(jacobians[leg], velocity + np.cross(rates, points[leg]))
    return Motion(rates, quaternion, q, dq.ravel())


@pytest.mark.parametrize("standing", [(0, 1, 2, 3), (0, 3), (2,)])
def test_velocity_from_the_feet_that_carry(spec, standing):
    velocity = np.array([0.8, -0.2, 0.05])
    force = np.array([50.0 + leg if leg in standing else 1.0 for leg in range(4)])
    found = LegOdometry(spec, DT).update(carried(spec, velocity, standing), force)
    np.testing.assert_allclose(found, velocity, atol=1e-9)


def test_a_foot_that_just_lands_does_not_count(spec):
    odometry, velocity = LegOdometry(spec, DT), np.array([0.5, 0.0, 0.0])
    odometry.update(carried(spec, velocity, (0, 3)), np.array([50.0, 0.0, 0.0, 50.0]))
    landing = np.array([50.0, 50.0, 0.0, 50.0])
    found = odometry.update(carried(spec, velocity, (0, 3), seed=1), landing)
    np.testing.assert_allclose(found, velocity, atol=1e-9)


def test_without_force_sensors_the_lowest_feet_count(spec):
    velocity = np.array([0.3, 0.1, 0.0])
    pose = np.tile([0.0, 0.9, -1.5], (4, 1))
    pose[[0, 3], 2] -= 0.5  # two legs are drawn up
    found = LegOdometry(spec, DT).update(carried(spec, velocity, (1, 2), level=pose.ravel()))
    np.testing.assert_allclose(found, velocity, atol=1e-9)


def test_smoothing_flight_and_reset(spec):
    odometry, all_down = LegOdometry(spec, DT), np.full(4, 30.0)
    first, second = np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.5, 0.0])
    odometry.update(carried(spec, first), all_down)
    keep = SMOOTHING / (SMOOTHING + DT)
    found = odometry.update(carried(spec, second), all_down)
    np.testing.assert_allclose(found, keep * first + (1 - keep) * second, atol=1e-9)
    odometry.update(carried(spec, second, (0,)), np.array([30.0, 0, 0, 0]))
    kept = odometry.update(carried(spec, -first, (1,)), np.array([0, 30.0, 0, 0]))  # no foot stood twice
    assert kept @ first > -0.1
    odometry.reset()
    np.testing.assert_allclose(odometry.update(carried(spec, -first), all_down), -first, atol=1e-9)
