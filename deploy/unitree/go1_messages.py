"""Go1's LowCmd and LowState as they travel over UDP. UNTESTED ON HARDWARE.

The maker's SDK 3.8 sends its structs packed and shortened. Layout, units and checksums are known from those who looked
at the wire: Bin4ry's free-dog-sdk and a decoder of recorded SDK 3.8.6 traffic agree on every field used here.
"""

from __future__ import annotations

import struct
from types import MappingProxyType

import numpy as np

from deploy.driver import JointCommand, RobotState, StateLike
from deploy.unitree.crc import crc32, go1_command_crc
from deploy.unitree.motors import (
    FEET_FROM_SDK,
    FEET_TO_SDK,
    FROM_SDK,
    LOW_LEVEL,
    MOTORS,
    SLOTS,
    TO_SDK,
    charge,
    fill_motors,
    read_motors,
    temperatures,
)

SERVO, DAMPING = 0x0A, 0x00  # motor modes
BANDWIDTH = 0xC03A  # what the maker's SDK puts there
STEPS = MappingProxyType({"tau": 1 / 256, "kp": 1 / 32, "kd": 1 / 16})  # N m, N m/rad, N m s/rad
REMOTE = 40  # bytes of the hand-held remote

_HEAD = [
    *[("head", "u1", 2), ("level_flag", "u1"), ("frame_reserve", "u1")],
    *[("sn", "u1", 8), ("version", "u1", 8), ("bandwidth", "<u2")],
]
_MOTOR_CMD = np.dtype(
    [
        *[("mode", "u1"), ("q", "<f4"), ("dq", "<f4")],
        *[("tau", "<i2"), ("kp", "<u2"), ("kd", "<u2"), ("reserve", "<u4", 3)],
    ]
)
_MOTOR_STATE = np.dtype(
    [
        *[("mode", "u1"), ("q", "<f4"), ("dq", "<f4"), ("ddq", "<i2"), ("tau_est", "<i2")],
        *[("q_raw", "<f4"), ("dq_raw", "<f4"), ("ddq_raw", "<i2"), ("temperature", "i1"), ("reserve", "<u4", 2)],
    ]
)
_IMU = np.dtype(
    [("quaternion", "<f4", 4), ("gyroscope", "<f4", 3), ("accelerometer", "<f4", 3), ("rpy", "<f4", 3), ("t", "i1")]
)
_BMS = np.dtype(
    [
        *[(name, "u1") for name in ("version_high", "version_low", "status", "soc")],
        *[("current", "<i4"), ("cycle", "<u2"), ("bq_ntc", "i1", 2), ("mcu_ntc", "i1", 2), ("cell_vol", "u1", 10)],
    ]
)
LOW_CMD = np.dtype(
    [
        *_HEAD,
        ("motor_cmd", _MOTOR_CMD, SLOTS),
        *[("bms_off", "u1"), ("bms_reserve", "u1", 3)],
        *[("wireless_remote", "u1", REMOTE), ("reserve", "<u4"), ("crc", "<u4")],
    ]
)
LOW_STATE = np.dtype(
    [
        *_HEAD,
        ("imu", _IMU),
        ("motor_state", _MOTOR_STATE, SLOTS),
        ("bms", _BMS),
        *[("foot_force", "<i2", 4), ("foot_force_est", "<i2", 4), ("tick", "<u4")],
        *[("wireless_remote", "u1", REMOTE), ("reserve", "<u4"), ("crc", "<u4")],
    ]
)
assert (LOW_CMD.itemsize, LOW_STATE.itemsize) == (614, 807)


def _blank(kind: np.dtype) -> np.ndarray:
    record = np.zeros((), kind)
    record["head"], record["level_flag"], record["bandwidth"] = LOW_LEVEL[:2], LOW_LEVEL[2], BANDWIDTH
    return record


def pack_command(command: JointCommand, mode: int = SERVO) -> bytes:
    """Return the packet of a command, 614 bytes."""
    record = _blank(LOW_CMD)
    fill_motors(record["motor_cmd"], command, mode, STEPS)
    body = record.tobytes()[:-4]
    return body + struct.pack("<I", go1_command_crc(body))


def unpack_command(packet: bytes) -> JointCommand | None:
    """Return what a robot does with a packet, None if it is none or its checksum is wrong."""
    if len(packet) != LOW_CMD.itemsize or packet[:3] != bytes(LOW_LEVEL):
        return None
    if struct.unpack("<I", packet[-4:])[0] != go1_command_crc(packet[:-4]):
        return None
    return read_motors(np.frombuffer(packet, LOW_CMD)[0]["motor_cmd"], SERVO, STEPS)


def pack_state(state: StateLike, remote: bytes = bytes(REMOTE)) -> bytes:
    """Return the packet of a state, 807 bytes; the stamp becomes the tick, ms."""
    record = _blank(LOW_STATE)
    imu, motors = record["imu"], record["motor_state"][:MOTORS]
    imu["quaternion"], imu["gyroscope"] = state.quaternion, state.angular_velocity
    if state.linear_acceleration is not None:
        imu["accelerometer"] = state.linear_acceleration
    motors["mode"] = SERVO
    motors["q"], motors["dq"] = state.joint_position[TO_SDK], state.joint_velocity[TO_SDK]
    motors["tau_est"] = np.clip(np.rint(state.joint_torque[TO_SDK] / STEPS["tau"]), -32768, 32767)
    if state.motor_temperature is not None:
        motors["temperature"] = state.motor_temperature[TO_SDK]
    if state.battery is not None:
        record["bms"]["soc"] = round(100 * state.battery)
    if state.foot_force is not None:
        record["foot_force"] = np.clip(np.rint(state.foot_force[FEET_TO_SDK]), -32768, 32767)
    record["tick"] = round(1e3 * state.stamp) % 2**32
    record["wireless_remote"] = np.frombuffer(remote, np.uint8)
    body = record.tobytes()[:-4]
    return body + struct.pack("<I", crc32(body))


def unpack_state(packet: bytes) -> np.ndarray | None:
    """Return the record of a packet, None if it is none or its checksum is wrong; some firmware appends 13 bytes."""
    packet = packet[: LOW_STATE.itemsize]
    if len(packet) != LOW_STATE.itemsize or packet[:3] != bytes(LOW_LEVEL):
        return None
    if struct.unpack("<I", packet[-4:])[0] != crc32(packet[:-4]):
        return None
    return np.frombuffer(packet, LOW_STATE)[0]


def state_of(record: np.ndarray, stamp: float) -> RobotState:
    """Return the state of a record."""
    imu, motors = record["imu"], record["motor_state"][:MOTORS][FROM_SDK]
    return RobotState(
        stamp=stamp,
        angular_velocity=imu["gyroscope"].astype(float),
        quaternion=imu["quaternion"].astype(float),
        joint_position=motors["q"].astype(float),
        joint_velocity=motors["dq"].astype(float),
        joint_torque=motors["tau_est"] * STEPS["tau"],
        foot_force=record["foot_force"][FEET_FROM_SDK].astype(float),
        linear_acceleration=imu["accelerometer"].astype(float),
        motor_temperature=temperatures(motors),
        battery=charge(int(record["bms"]["soc"])),
    )
