"""Lays the simulated field robot down in a random pose, as it is found on the ground."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from sim.field import FieldRobot

DROP = 0.35  # m: height of the trunk from which the limp robot sinks
SETTLE = 2.5  # s
DAMPING = 2.0  # N m s/rad, of the joints meanwhile
LEG = ((-0.7, 0.7), (0.0, 2.6), (-2.65, -1.0))  # rad: hip (to the outside), thigh, calf of the poses it sinks from
LEAN = 0.3  # rad: roll and pitch it sinks with, at most
HIGHEST, STEEPEST = 0.75, 0.5  # of the standing height, and rad of tilt: above that it does not lie


def lay(robot: FieldRobot, rng: np.random.Generator) -> None:
    """Let the robot sink to the ground from a random pose, its motors damped, until it lies."""
    while True:
        _sink(robot, rng)
        x, y = robot.data.qpos[4:6]
        tilt = np.arccos(np.clip(1.0 - 2.0 * (x * x + y * y), -1.0, 1.0))
        if robot.position[2] < HIGHEST * robot.spec.standing_height and tilt < STEEPEST:
            return


def _sink(robot: FieldRobot, rng: np.random.Generator) -> None:
    low, high = np.array(LEG).T
    side = np.tile([1.0, 1.0, 1.0, -1.0, 1.0, 1.0], 2)
    joints = np.clip(side * rng.uniform(low, high, (4, 3)).reshape(12), *robot.spec.position_limits)
    roll, pitch, yaw = rng.uniform([-LEAN, -LEAN, -np.pi], [LEAN, LEAN, np.pi])
    robot.place(joints, DROP, (roll, pitch, yaw))
    limp = SimpleNamespace(**dict.fromkeys(("position", "velocity", "torque", "kp"), np.zeros(12)))
    limp.kd = np.full(12, DAMPING)
    robot.write(limp)
    for _ in range(round(SETTLE / robot.command_dt)):
        robot.wait()
