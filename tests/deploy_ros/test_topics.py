"""A robot behind topics is a driver: by name, by time stamp, and with its faults told."""

import numpy as np
import pytest
from deploy_ros import messages
from deploy_ros.topics import TopicsDriver

from deploy.driver import JointCommand
from robots.joints import ISAAC_LAB, JOINT_NAMES, SDK
from tests.deploy_ros.fakes import Message


class Link:
    def __init__(self):
        self.waiting, self.sent = [None, None], []

    def take(self):
        taken, self.waiting = self.waiting, [None, None]
        return tuple(taken)

    def send(self, command):
        self.sent.append(command)


def joint_state(stamp=10.0, names=JOINT_NAMES, values=None, effort=True):
    message = Message("sensor_msgs/msg/JointState")
    values = np.arange(12.0) if values is None else values
    message.name = list(names)
    order = [JOINT_NAMES.index(name) for name in names if name in JOINT_NAMES]
    message.position, message.velocity = messages.floats(values[order]), messages.floats(-values[order])
    if effort:
        message.effort = messages.floats(2 * values[order])
    messages.set_stamp(message.header.stamp, round(stamp * 1e9))
    return message


def imu(stamp=10.0):
    message = Message("sensor_msgs/msg/Imu")
    messages.set_quaternion(message.orientation, np.array([0.5, 0.1, 0.2, 0.3]))
    messages.set_vector(message.angular_velocity, np.array([1.0, 2.0, 3.0]))
    messages.set_vector(message.linear_acceleration, np.array([0.0, 0.0, 9.81]))
    messages.set_stamp(message.header.stamp, round(stamp * 1e9))
    return message


@pytest.fixture
def link():
    return Link()


@pytest.fixture
def driver(link):
    return TopicsDriver("go1", 0.005, link)


@pytest.mark.parametrize("names", [JOINT_NAMES, SDK, ISAAC_LAB])
def test_joints_are_taken_by_name(driver, link, names):
    link.waiting = [joint_state(names=names), imu()]
    state = driver.read()
    np.testing.assert_array_equal(state.joint_position, np.arange(12.0))
    np.testing.assert_array_equal(state.joint_velocity, -np.arange(12.0))
    np.testing.assert_array_equal(state.joint_torque, 2 * np.arange(12.0))
    np.testing.assert_array_equal(state.quaternion, [0.5, 0.1, 0.2, 0.3])
    assert driver.problem is None


def test_no_state_until_both_topics_have_spoken(driver, link):
    assert driver.read() is None
    link.waiting = [joint_state(), None]
    assert driver.read() is None
    link.waiting = [None, imu()]
    assert driver.read() is not None


def test_the_stamp_is_the_older_one_so_that_a_topic_that_stops_shows(driver, link):
    link.waiting = [joint_state(10.0), imu(10.0)]
    assert driver.read().stamp == pytest.approx(10.0)
    link.waiting = [joint_state(10.04), None]
    assert driver.read().stamp == pytest.approx(10.0) and driver.problem is None
    link.waiting = [joint_state(10.2), None]
    driver.read()
    assert "200 ms apart" in driver.problem


@pytest.mark.parametrize(
    ("names", "said"),
    [(JOINT_NAMES[:11], "missing ['RR_calf_joint']"), ((*JOINT_NAMES[:11], "FL_hip_joint"), "repeated")],
)
def test_joints_that_are_missing_or_repeated_are_a_problem_and_the_last_state_stays(driver, link, names, said):
    link.waiting = [joint_state(10.0), imu(10.0)]
    driver.read()
    link.waiting = [joint_state(10.005, names), None]
    assert driver.read().stamp == pytest.approx(10.0)
    assert said in driver.problem
    link.waiting = [joint_state(10.01), None]
    driver.read()
    assert driver.problem is None


def test_lengths_that_do_not_fit_are_a_problem_and_absent_efforts_are_zero(driver, link):
    short = joint_state()
    short.velocity = messages.floats(np.zeros(11))
    link.waiting = [short, imu()]
    assert driver.read() is None and "11 values of velocity for 12 joints" in driver.problem
    link.waiting = [joint_state(effort=False), None]
    assert not driver.read().joint_torque.any()


def test_an_imu_without_accelerometer(driver, link):
    message = imu()
    message.linear_acceleration_covariance[0] = -1.0
    link.waiting = [joint_state(), message]
    assert driver.read().linear_acceleration is None


def test_a_second_writer_and_a_robot_that_is_gone_are_problems(driver):
    driver.writers = 2
    assert "2 nodes publish joint_commands" in driver.problem
    driver.writers, driver.gone = 1, True
    assert "gone" in driver.problem


def test_commands_go_out_and_come_back_in_any_order(driver, link):
    command = JointCommand(*(np.arange(12.0) + i for i in range(5)))
    driver.write(command)
    assert link.sent == [command]
    message = Message("deploy_msgs/msg/JointCommand")
    message.names = list(JOINT_NAMES)
    messages.fill_command(message, command)
    shuffled = Message("deploy_msgs/msg/JointCommand")
    order = [JOINT_NAMES.index(name) for name in SDK]
    shuffled.names = list(SDK)
    for field in ("position", "velocity", "effort", "stiffness", "damping"):
        setattr(shuffled, field, messages.floats(np.asarray(getattr(message, field))[order]))
    read = messages.read_command(shuffled, messages.JointOrder(JOINT_NAMES))
    for field in ("position", "velocity", "torque", "kp", "kd"):
        np.testing.assert_array_equal(getattr(read, field), getattr(command, field))
