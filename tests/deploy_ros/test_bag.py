"""A bag that `record:=true` makes is a log to `dmcm adapt`: its targets are read, its commands are another type."""

from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from calibration.read import read
from robots.joints import JOINT_NAMES

MESSAGES = Path(__file__).parents[2] / "ros2_ws" / "src" / "deploy_msgs" / "msg"
LEGS = (0.9, 0.9, 0.9, 1.3)
COMMAND, STATE = "deploy_msgs/msg/JointCommand", "deploy_msgs/msg/ControllerState"


def test_targets_states_and_gains_are_read_from_the_nodes_bag(tmp_path):
    store = get_typestore(Stores.ROS2_HUMBLE)
    for kind in (COMMAND, STATE):
        store.register(get_types_from_msg((MESSAGES / f"{kind.rsplit('/', 1)[1]}.msg").read_text(), kind))
    types, names, zeros = store.types, list(JOINT_NAMES), np.zeros(12)

    def header(time):
        stamp = types["builtin_interfaces/msg/Time"](sec=int(time), nanosec=round(time % 1 * 1e9))
        return types["std_msgs/msg/Header"](stamp=stamp, frame_id="")

    def vector():
        return types["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=0.0)

    def messages(time, i):
        quaternion = types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0)
        unknown = np.zeros(9)
        joints = types["sensor_msgs/msg/JointState"]
        twist = types["geometry_msgs/msg/Twist"](linear=vector(), angular=vector())
        yield "/joint_states", joints(header(time), names, zeros, zeros, zeros)
        yield "/joint_targets", joints(header(time), names, np.full(12, float(i)), np.zeros(0), np.zeros(0))
        yield "/joint_commands", types[COMMAND](header(time), names, *[np.full(12, -1.0)] * 5)
        yield (
            "/imu/data",
            types["sensor_msgs/msg/Imu"](header(time), quaternion, unknown, vector(), unknown, vector(), unknown),
        )
        yield (
            "/controller_state",
            types[STATE](
                header(time),
                *("walk", "", "", ""),
                *(0, 0, "nominal", "flat", 1.25, 2.0, np.array(LEGS), -1.0, False, twist),
            ),
        )

    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for i in range(50):
            time = 1.7e9 + 0.02 * i
            for topic, message in messages(time, i):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=store)
                data = store.serialize_cdr(message, message.__msgtype__)
                writer.write(connections[topic], round(time * 1e9), data)
    log = read(tmp_path / "bag", JOINT_NAMES)
    np.testing.assert_array_equal(log.commands.values["position"][:, 0], np.arange(50.0))
    assert len(log.joints) == len(log.imu) == 50
    assert log.controller.values["state"] == ["walk"] * 50
    np.testing.assert_array_equal(log.controller.values["gains"], np.tile([1.25, 2.0, *LEGS], (50, 1)))
