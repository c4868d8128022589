"""A robot that was laid down lies, in a pose that the seed decides."""

from __future__ import annotations

import numpy as np
import pytest

import robots
from sim.field import FieldRobot
from sim.lying import HIGHEST, lay


@pytest.mark.parametrize("name", ["go1", "go2"])
def test_it_lies_at_rest_somewhere_else_each_time(name):
    poses = []
    for seed in (1, 2, 1):
        robot = FieldRobot(robots.load(name), seed=0, command_dt=0.01)
        lay(robot, np.random.default_rng(seed))
        assert robot.position[2] < HIGHEST * robot.spec.standing_height
        assert np.abs(robot.data.qvel).max() < 0.5
        poses.append(robot.data.qpos[7:].copy())
    assert np.array_equal(poses[0], poses[2]) and np.abs(poses[0] - poses[1]).max() > 0.3
