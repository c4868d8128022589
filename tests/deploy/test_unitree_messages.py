"""Unitree's messages: checksums, layouts, joint order and signs both ways, by name."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.driver import JointCommand, RobotState
from deploy.unitree import go1_messages, go2_messages
from deploy.unitree.crc import crc32, go1_command_crc
from deploy.unitree.motors import BRAKE_KD, POSITION_OFF, VELOCITY_OFF
from robots.joints import JOINT_NAMES

# Unitree's motor index of each joint, written out as in unitree_legged_const.py.
SDK_INDEX = {
    **{"FR_hip_joint": 0, "FR_thigh_joint": 1, "FR_calf_joint": 2},
    **{"FL_hip_joint": 3, "FL_thigh_joint": 4, "FL_calf_joint": 5},
    **{"RR_hip_joint": 6, "RR_thigh_joint": 7, "RR_calf_joint": 8},
    **{"RL_hip_joint": 9, "RL_thigh_joint": 10, "RL_calf_joint": 11},
}


def command(**changes):
    return JointCommand(**{**dict.fromkeys(("position", "velocity", "torque", "kp", "kd"), np.zeros(12)), **changes})


def state(**changes):
    values = {
        "stamp": 1.25,
        "angular_velocity": np.array([0.1, -0.2, 0.3]),
        "quaternion": np.array([0.5, -0.5, 0.5, 0.5]),
        "joint_position": np.arange(12) / 10 - 0.5,
        "joint_velocity": np.arange(12) - 5.5,
        "joint_torque": np.arange(12) - 6.5,
        "foot_force": np.array([1.0, 2.0, 3.0, 4.0]),
        "linear_acceleration": np.array([0.5, 0.25, 9.75]),
        "motor_temperature": np.arange(12) + 30.0,
        "battery": 0.87,
    }
    return RobotState(**{**values, **changes})


def bitwise_crc(words):
    """Compute the checksum as the maker's documentation describes it, bit by bit."""
    crc = 0xFFFFFFFF
    for word in words:
        for bit in range(31, -1, -1):
            top = (crc >> 31) ^ (word >> bit & 1)
            crc = (crc << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if top else 0)
    return crc


@given(st.lists(st.integers(0, 2**32 - 1), max_size=40), st.binary(max_size=3))
def test_crc_is_that_of_the_description(words, rest):
    assert crc32(struct.pack(f"<{len(words)}I", *words) + rest) == bitwise_crc(words)


def test_go1_command_crc_is_keyed_and_turned():
    plain = (crc32(b"12345678") ^ 0xEDCAB9DE).to_bytes(4, "little")
    assert go1_command_crc(b"12345678").to_bytes(4, "little") == plain[1:] + plain[:1]


def go2_motor(raw, index):
    return struct.unpack_from("<B3x5f", raw, 24 + 36 * index)


def go1_motor(raw, index):
    mode, q, dq, tau, kp, kd = struct.unpack_from("<BffhHH", raw, 22 + 27 * index)
    return mode, q, dq, tau / 256, kp / 32, kd / 16


WIRES = pytest.mark.parametrize(
    ("messages", "motor"), [(go2_messages, go2_motor), (go1_messages, go1_motor)], ids=["go2", "go1"]
)


@WIRES
@pytest.mark.parametrize("joint", JOINT_NAMES)
def test_a_command_reaches_its_joint_and_no_other(messages, motor, joint):
    ours = JOINT_NAMES.index(joint)
    one = np.zeros(12)
    one[ours] = 1.0
    raw = messages.pack_command(command(position=0.75 * one, velocity=-2 * one, torque=-3 * one, kp=20 * one, kd=one))
    for index in range(12):
        wanted = (0.75, -2, -3, 20, 1) if index == SDK_INDEX[joint] else (0, 0, 0, 0, 0)
        assert motor(raw, index) == (messages.SERVO, *wanted)
    for index in range(12, 20):
        assert motor(raw, index)[1:] == pytest.approx((POSITION_OFF, VELOCITY_OFF, 0, 0, 0))


@WIRES
def test_a_command_comes_back_as_it_was_sent(messages, motor):
    sent = command(
        position=np.arange(12) / 8,
        velocity=np.arange(12) / 4 - 1,
        torque=np.arange(12) - 6.0,
        kp=np.arange(12) + 20.0,
        kd=np.arange(12) / 16,
    )
    back = messages.unpack_command(messages.pack_command(sent))
    for name in ("position", "velocity", "torque", "kp", "kd"):
        np.testing.assert_allclose(getattr(back, name), getattr(sent, name), atol=1e-6)


@WIRES
def test_marks_and_modes_take_control_off(messages, motor):
    stiff = command(position=np.full(12, POSITION_OFF), velocity=np.full(12, VELOCITY_OFF), kp=np.ones(12) * 40)
    free = messages.unpack_command(messages.pack_command(stiff))
    assert not (free.kp.any() or free.kd.any() or free.position.any())
    record = np.frombuffer(messages.pack_command(command(kp=np.full(12, 40.0))), messages.LOW_CMD)[0].copy()
    record["motor_cmd"]["mode"][SDK_INDEX["RL_calf_joint"]] = 0
    braking = messages.read_motors(record["motor_cmd"], messages.SERVO, getattr(messages, "STEPS", {}))
    where = JOINT_NAMES.index("RL_calf_joint")
    assert braking.kp[where] == 0 and braking.kd[where] == BRAKE_KD and braking.kp.sum() == 11 * 40


def test_go1_clips_what_its_integers_cannot_hold():
    raw = go1_messages.pack_command(command(torque=np.full(12, -500.0), kp=np.full(12, 1e6)))
    assert go1_motor(raw, 0)[3:5] == (-128.0, 65535 / 32)


def read_go2(raw):
    return go2_messages.StateReader().read(raw, 0.0)


def read_go1(raw):
    record = go1_messages.unpack_state(raw)
    return go1_messages.state_of(record, record["tick"] * 1e-3)


STATES = pytest.mark.parametrize(
    ("messages", "read"), [(go2_messages, read_go2), (go1_messages, read_go1)], ids=["go2", "go1"]
)


@STATES
def test_a_state_comes_back_as_it_was_sent(messages, read):
    sent = state()
    back = read(messages.pack_state(sent))
    for name, value in vars(sent).items():
        np.testing.assert_allclose(getattr(back, name), value, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("joint", JOINT_NAMES)
def test_a_state_is_of_its_joint(joint):
    ours, sdk = JOINT_NAMES.index(joint), SDK_INDEX[joint]
    raw = go2_messages.pack_state(state())
    q, dq, _, torque = struct.unpack_from("<4f", raw, 80 + 48 * sdk + 4)
    assert (q, dq, torque) == pytest.approx((ours / 10 - 0.5, ours - 5.5, ours - 6.5))
    raw = go1_messages.pack_state(state())
    _, q, dq, _, torque = struct.unpack_from("<Bffhh", raw, 75 + 32 * sdk)
    assert (q, dq, torque / 256) == pytest.approx((ours / 10 - 0.5, ours - 5.5, ours - 6.5))


@STATES
def test_feet_are_in_the_makers_order(messages, read):
    raw = messages.pack_state(state(foot_force=np.array([11.0, 22.0, 33.0, 44.0])))  # FL FR RL RR
    record = np.frombuffer(raw, messages.LOW_STATE)[0]
    assert record["foot_force"].tolist() == [22, 11, 44, 33]


@STATES
def test_a_robot_that_reports_no_temperature_and_no_charge(messages, read):
    back = read(messages.pack_state(state(motor_temperature=None, battery=None)))
    assert back.motor_temperature is None and back.battery is None


def test_go2_checksum():
    raw = go2_messages.pack_state(state())
    assert go2_messages.intact(raw) and not go2_messages.unsealed(raw)
    assert not go2_messages.intact(raw[:100] + bytes([raw[100] ^ 1]) + raw[101:])


@given(st.binary(max_size=900))
def test_go1_refuses_what_is_no_message(packet):
    assert go1_messages.unpack_state(packet) is None
    assert go1_messages.unpack_command(packet) is None


def test_go1_takes_the_longer_packets_of_newer_firmware():
    raw = go1_messages.pack_state(state())
    assert go1_messages.unpack_state(raw + bytes(13)) is not None
    assert go1_messages.unpack_state(raw[:200] + bytes([raw[200] ^ 1]) + raw[201:]) is None


def test_the_tick_wraps_and_time_goes_on():
    reader, stamps = go2_messages.StateReader(), []
    for stamp in (2**32 / 1e3 - 0.004, 2**32 / 1e3 - 0.002, 2**32 / 1e3 + 0.002):
        stamps.append(reader.read(go2_messages.pack_state(state(stamp=stamp)), 0.0).stamp)
    np.testing.assert_allclose(np.diff(stamps), [0.002, 0.004], atol=1e-9)


def test_a_clock_that_goes_back_shows():
    reader = go2_messages.StateReader()
    first, second = (reader.read(go2_messages.pack_state(state(stamp=s)), 0.0).stamp for s in (10.0, 3.0))
    assert second - first == pytest.approx(-7.0)


def test_without_a_tick_the_time_of_sending_is_the_stamp():
    assert go2_messages.StateReader().read(go2_messages.pack_state(state(stamp=0.0)), 12.5).stamp == 12.5


@given(st.binary(min_size=1180, max_size=1180))
def test_any_bytes_are_a_state_that_guards_can_look_at(raw):
    back = read_go2(raw)
    assert back.joint_position.shape == (12,) and back.quaternion.shape == (4,) and isinstance(back.stamp, float)
