"""What a policy sees over time: frames, their order, and what a reset forgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from deploy.driver import RobotState
from deploy.observe import Observer
from robots.kinematics import projected_gravity
from robots.observation import LINEAR_VELOCITY, PROPRIOCEPTION, scales


@dataclass
class Sees:
    """What an observer asks of a policy."""

    default_position: np.ndarray
    terms: tuple = PROPRIOCEPTION
    history: int = 1
    control_dt: float = 0.02

    @property
    def scale(self):
        return np.array(scales(self.terms))


def state(seed):
    draw = np.random.default_rng(seed)
    half = draw.normal(0, 0.1, 3)
    quaternion = np.array([1.0, *half]) / np.sqrt(1 + half @ half)
    return RobotState(0.0, draw.normal(0, 1, 3), quaternion, draw.normal(0, 1, 12), draw.normal(0, 1, 12), np.zeros(12))


def frame(measured, velocity, action, pose):
    gravity = projected_gravity(measured.quaternion)
    return np.concatenate(
        [
            0.25 * measured.angular_velocity,
            gravity,
            np.array([2.0, 2.0, 0.25]) * velocity,
            measured.joint_position - pose,
            0.05 * measured.joint_velocity,
            action,
        ]
    )


@pytest.mark.parametrize("history", [1, 3])
def test_frames_from_the_oldest_to_the_newest(spec, history):
    observer = Observer(Sees(spec.default_position + 0.1, history=history), spec)
    frames, seen = [], []
    for i in range(5):
        velocity, action = np.array([0.1 * i, 0.2, -0.3]), np.full(12, 0.01 * i)
        seen.append(observer.observe(state(i), velocity, action))
        frames.append(frame(state(i), velocity, action, spec.default_position + 0.1))
    for i in range(5):
        expected = [frames[max(0, i - age)] for age in range(history - 1, -1, -1)]
        np.testing.assert_allclose(seen[i], np.concatenate(expected), rtol=0, atol=1e-12)


def test_a_reset_forgets(spec):
    observer = Observer(Sees(spec.default_position, history=4), spec)
    for i in range(6):
        observer.observe(state(i), np.zeros(3), np.zeros(12))
    observer.reset()
    seen = observer.observe(state(9), np.ones(3), np.zeros(12))
    expected = frame(state(9), np.ones(3), np.zeros(12), spec.default_position)
    np.testing.assert_array_equal(seen.reshape(4, 45), np.tile(expected, (4, 1)))


def test_base_velocity_where_the_policy_wants_it(spec):
    observer = Observer(Sees(spec.default_position, terms=(LINEAR_VELOCITY, *PROPRIOCEPTION)), spec)
    measured = state(0)
    seen = observer.observe(measured, np.zeros(3), np.zeros(12))
    assert seen.shape == (48,) and np.abs(seen[:3]).max() > 0.1
    np.testing.assert_allclose(seen[3:], frame(measured, np.zeros(3), np.zeros(12), spec.default_position))
