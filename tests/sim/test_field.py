from types import SimpleNamespace

import numpy as np

import robots
from deploy.driver import RobotDriver
from sim.factors import RobotFactors
from sim.field import FieldGap, FieldRobot
from sim.trial import StairsTrial

SPEC = robots.load("go1")


def hold(robot, position=SPEC.default_position, seconds=2.0):
    command = SimpleNamespace(
        position=position, velocity=np.zeros(12), torque=np.zeros(12), kp=np.full(12, SPEC.kp), kd=np.full(12, SPEC.kd)
    )
    for _ in range(round(seconds / robot.command_dt)):
        robot.write(command)
        robot.wait()
    return robot


def test_it_is_a_driver_without_knowing_deploy():
    robot = FieldRobot(SPEC)
    for name in (n for n in dir(RobotDriver) if not n.startswith("_")):
        assert hasattr(robot, name), name
    assert robot.joint_names == SPEC.joint_names and robot.robot == "go1"


def test_it_stands_and_soft_or_loaded_robots_stand_lower():
    heights = [
        hold(FieldRobot(SPEC, factors, lying=False)).position[2]
        for factors in (RobotFactors(), RobotFactors(kp_scale=0.7), RobotFactors(payload=3.0))
    ]
    assert heights[0] > 0.26 and heights[1] < heights[0] - 0.005 and heights[2] < heights[0] - 0.005


def test_sensors_are_noisy_and_biased_but_near_the_truth():
    robot = hold(FieldRobot(SPEC, lying=False, seed=3))
    readings = np.array([robot.read().joint_position for _ in range(200)])
    assert 0.5e-3 < readings.std(axis=0).mean() < 2e-3
    bias = readings.mean(axis=0) - robot.data.qpos[7:]
    assert 1e-4 < np.abs(bias).max() < 0.03
    other = FieldRobot(SPEC, lying=False, seed=3, noise_seed=9)
    assert np.array_equal(robot._position_bias, other._position_bias)  # the same robot, other noise


def test_commands_take_effect_after_the_delay():
    robot = hold(FieldRobot(SPEC, RobotFactors(latency=0.02), lying=False, gap=FieldGap(motor_lag=0.0)))
    before = robot._torque.copy()
    hold(robot, SPEC.default_position + 0.3, seconds=0.02)
    assert np.abs(robot._torque - before).max() < 1.0
    hold(robot, SPEC.default_position + 0.3, seconds=0.01)
    assert np.abs(robot._torque - before).max() > 3.0


def test_motors_weaken_with_speed():
    robot = FieldRobot(SPEC, lying=False, gap=FieldGap(motor_lag=0.0))
    push = (SPEC.default_position + 10.0, np.zeros(12), np.zeros(12), np.full(12, 50.0), np.zeros(12))
    robot._drive(push)
    still = robot._torque.copy()
    robot.data.qvel[6:] = 0.95 * SPEC.velocity_limit
    robot._drive(push)
    assert np.allclose(still, SPEC.torque_limit) and (robot._torque < 0.2 * SPEC.torque_limit).all()


def test_a_trial_is_won_on_top_of_the_stairs_only():
    trial = StairsTrial(rise=0.1, steps=7)
    robot = FieldRobot(SPEC, boxes=trial.boxes, lying=False)
    assert robot.ground(trial.distance - 0.01, 0.0) == 0.0
    assert np.isclose(robot.ground(trial.distance + 0.01, 0.0), 0.1)
    assert np.isclose(robot.ground(trial.goal, 0.0), 0.7)
    assert trial.reached(np.array([trial.goal + 0.01, 0.0, 1.0]))
    assert not trial.reached(np.array([trial.goal + 0.01, 0.0, 0.3]))
    assert not trial.reached(np.array([trial.goal - 0.1, 0.0, 1.0]))
