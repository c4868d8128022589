"""The viewer's source inside ROS, without ROS."""

import numpy as np
import pytest
from deploy_ros.watch import TopicSource

from robots.joints import SDK
from tests.deploy_ros.fakes import Message


def _joints(spec, names=SDK, **values):
    message = Message("sensor_msgs/msg/JointState")
    message.name = list(names)
    for field, value in values.items():
        getattr(message, field).extend(value[[spec.joint_names.index(name) for name in names]])
    return message


def _imu(stamp):
    message = Message("sensor_msgs/msg/Imu")
    message.header.stamp.sec, message.orientation.w = stamp, 1.0
    return message


def _state():
    message = Message("deploy_msgs/msg/ControllerState")
    message.state, message.terrain, message.velocity.linear.x = "walk", "flat", 0.5
    return message


def _speak(source, spec, stamp, names=SDK):
    q = spec.default_position
    source.hear("controller_state", _state())
    source.hear("joint_targets", _joints(spec, position=q + 0.1))
    source.hear("joint_states", _joints(spec, names, position=q, velocity=0 * q, effort=q))
    source.hear("imu/data", _imu(stamp))


def test_a_report_a_policy_period_joints_by_name(spec):
    source = TopicSource(spec)
    _speak(source, spec, 7)
    source.hear("imu/data", _imu(8))  # the IMU may be faster than the policy
    _speak(source, spec, 9)
    first, second = source.take()
    assert source.take() == []
    assert (float(first.values["stamp"][0]), float(second.values["stamp"][0])) == (7.0, 9.0)
    np.testing.assert_allclose(first.values["joint_position"], spec.default_position)
    np.testing.assert_allclose(first.values["target"] - first.values["joint_position"], 0.1)
    assert first.status["state"] == "walk" and first.values["command"][0] == 0.5
    assert first.robot == spec.name


def test_the_viewer_takes_them(spec):
    pytest.importorskip("viser", reason="viser is not installed: pip install 'dmcm[view]'")
    from viewer.live import measured
    from viewer.reckon import Reckoner

    source = TopicSource(spec)
    for stamp in range(3):
        _speak(source, spec, stamp)
    rows = Reckoner(spec).rows(measured(source.take()))
    assert len(rows) == 3 and np.isfinite(rows[:, 1:8]).all()


def test_joints_of_another_robot_are_passed_over(spec):
    source = TopicSource(spec)
    bad = _joints(spec, position=spec.default_position)
    bad.name = ["wheel", *bad.name[1:]]
    source.hear("controller_state", _state())
    source.hear("joint_targets", bad)
    source.hear("joint_states", bad)
    source.hear("imu/data", _imu(1))
    assert source.take() == []
