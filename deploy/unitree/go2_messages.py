"""Go2's LowCmd and LowState as the bytes of the maker's C structs, over which their checksums go.

A DDS sample (CDR) holds the same fields in the same order with the same alignment, but packs a nested struct without
the padding in front of and behind it; `to_cdr` and `from_cdr` of each message move the few bytes that differ.
Layouts: unitree_sdk2's IDL files `unitree_go/msg` and its packing for the CRC.
"""

from __future__ import annotations

import struct

import numpy as np

from deploy.driver import JointCommand, RobotState, StateLike
from deploy.unitree.crc import crc32
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

SERVO = 0x01  # motor mode: field-oriented control
REMOTE = 40  # bytes of the hand-held remote in both messages

_HEAD = [
    ("head", "u1", 2),
    ("level_flag", "u1"),
    ("frame_reserve", "u1"),
    ("sn", "u4", 2),
    ("version", "u4", 2),
    ("bandwidth", "u2"),
]
_GAINS = [(name, "f4") for name in ("q", "dq", "tau", "kp", "kd")]
_MOTION = [(name, "f4") for name in ("q", "dq", "ddq", "tau_est", "q_raw", "dq_raw", "ddq_raw")]
_MOTOR_CMD = np.dtype([("mode", "u1"), *_GAINS, ("reserve", "u4", 3)], align=True)
_MOTOR_STATE = np.dtype(
    [("mode", "u1"), *_MOTION, ("temperature", "u1"), ("lost", "u4"), ("reserve", "u4", 2)], align=True
)
_IMU = np.dtype(
    [("quaternion", "f4", 4), ("gyroscope", "f4", 3), ("accelerometer", "f4", 3), ("rpy", "f4", 3), ("t", "u1")],
    align=True,
)
_BMS = np.dtype(
    [
        *[(name, "u1") for name in ("version_high", "version_low", "status", "soc")],
        *[("current", "i4"), ("cycle", "u2"), ("bq_ntc", "u1", 2), ("mcu_ntc", "u1", 2), ("cell_vol", "u2", 15)],
    ],
    align=True,
)
LOW_CMD = np.dtype(
    [
        *_HEAD,
        ("motor_cmd", _MOTOR_CMD, SLOTS),
        *[("bms_off", "u1"), ("bms_reserve", "u1", 3), ("wireless_remote", "u1", REMOTE)],
        *[("led", "u1", 12), ("fan", "u1", 2), ("gpio", "u1"), ("reserve", "u4"), ("crc", "u4")],
    ],
    align=True,
)
LOW_STATE = np.dtype(
    [
        *_HEAD,
        ("imu_state", _IMU),
        ("motor_state", _MOTOR_STATE, SLOTS),
        ("bms_state", _BMS),
        *[("foot_force", "i2", 4), ("foot_force_est", "i2", 4), ("tick", "u4")],
        *[("wireless_remote", "u1", REMOTE), ("bit_flag", "u1"), ("adc_reel", "f4")],
        *[("temperature_ntc1", "u1"), ("temperature_ntc2", "u1"), ("power_v", "f4"), ("power_a", "f4")],
        *[("fan_frequency", "u2", 4), ("reserve", "u4"), ("crc", "u4")],
    ],
    align=True,
)
assert (LOW_CMD.itemsize, LOW_STATE.itemsize) == (812, 1180)

# Where CDR and struct part: the first motor's mode follows directly; in the state so does it on the IMU's last byte.
_CMD_MOTORS, _IMU_END, _STATE_MOTORS = 24, 77, 80


def cmd_to_cdr(raw: bytes) -> bytes:
    """Return the body of the DDS sample of a LowCmd struct."""
    start = _CMD_MOTORS
    return raw[: start - 2] + raw[start : start + 1] + b"\0" + raw[start + 4 :]


def cmd_from_cdr(body: bytes) -> bytes:
    """Return the LowCmd struct of a DDS sample's body."""
    start = _CMD_MOTORS - 2
    return body[:start] + b"\0\0" + body[start : start + 1] + b"\0\0\0" + body[start + 2 :]


def state_to_cdr(raw: bytes) -> bytes:
    """Return the body of the DDS sample of a LowState struct."""
    start = _STATE_MOTORS
    return raw[:_IMU_END] + raw[start : start + 1] + b"\0\0" + raw[start + 4 :]


def state_from_cdr(body: bytes) -> bytes:
    """Return the LowState struct of a DDS sample's body."""
    return body[:_IMU_END] + b"\0\0\0" + body[_IMU_END : _IMU_END + 1] + b"\0\0\0" + body[_IMU_END + 3 :]


def sealed(record: np.ndarray) -> bytes:
    """Return the bytes of a message with its checksum."""
    body = record.tobytes()[:-4]
    return body + struct.pack("<I", crc32(body))


def intact(raw: bytes) -> bool:
    """Return whether a message's checksum is right."""
    return struct.unpack("<I", raw[-4:])[0] == crc32(raw[:-4])


def unsealed(raw: bytes) -> bool:
    """Return whether a message carries no checksum at all."""
    return raw[-4:] == b"\0\0\0\0"


def _blank(kind: np.dtype) -> np.ndarray:
    record = np.zeros((), kind)
    record["head"], record["level_flag"] = LOW_LEVEL[:2], LOW_LEVEL[2]
    return record


def pack_command(command: JointCommand) -> bytes:
    """Return the LowCmd struct of a command, with its checksum."""
    record = _blank(LOW_CMD)
    fill_motors(record["motor_cmd"], command, SERVO)
    return sealed(record)


def unpack_command(raw: bytes) -> JointCommand:
    """Return what a robot does with a LowCmd struct."""
    return read_motors(np.frombuffer(raw, LOW_CMD)[0]["motor_cmd"], SERVO)


def pack_state(state: StateLike, remote: bytes = bytes(REMOTE)) -> bytes:
    """Return the LowState struct of a state, with its checksum; the stamp becomes the tick, ms."""
    record = _blank(LOW_STATE)
    imu, motors = record["imu_state"], record["motor_state"][:MOTORS]
    imu["quaternion"], imu["gyroscope"] = state.quaternion, state.angular_velocity
    if state.linear_acceleration is not None:
        imu["accelerometer"] = state.linear_acceleration
    motors["mode"] = SERVO
    motors["q"], motors["dq"] = state.joint_position[TO_SDK], state.joint_velocity[TO_SDK]
    motors["tau_est"] = state.joint_torque[TO_SDK]
    if state.motor_temperature is not None:
        motors["temperature"] = state.motor_temperature[TO_SDK].astype(np.uint8)
    if state.battery is not None:
        record["bms_state"]["soc"] = round(100 * state.battery)
    if state.foot_force is not None:
        record["foot_force"] = np.clip(np.rint(state.foot_force[FEET_TO_SDK]), -32768, 32767)
    record["tick"] = round(1e3 * state.stamp) % 2**32
    record["wireless_remote"] = np.frombuffer(remote, np.uint8)
    return sealed(record)


class StateReader:
    """Turns LowState structs into states, and counts the tick on where it wraps.

    Attributes:
        remote: bytes of the hand-held remote in the last one.
        serial: of the robot, "" while unknown.
    """

    def __init__(self) -> None:
        self.remote, self.serial = bytes(REMOTE), ""
        self._tick: int | None = None
        self._stamp = 0

    def read(self, raw: bytes, received: float) -> RobotState:
        """Return the state.

        Args:
            raw: LowState struct.
            received: when it was sent or received, s; the stamp of a sender that does not count ticks.
        """
        record = np.frombuffer(raw, LOW_STATE)[0]
        imu, motors = record["imu_state"], record["motor_state"][:MOTORS][FROM_SDK]
        self.remote = record["wireless_remote"].tobytes()
        if record["sn"].any():
            self.serial = "{:08x}{:08x}".format(*record["sn"])
        tick = int(record["tick"])
        return RobotState(
            stamp=1e-3 * self._unwrap(tick) if tick else received,
            angular_velocity=imu["gyroscope"].astype(float),
            quaternion=imu["quaternion"].astype(float),
            joint_position=motors["q"].astype(float),
            joint_velocity=motors["dq"].astype(float),
            joint_torque=motors["tau_est"].astype(float),
            foot_force=record["foot_force"][FEET_FROM_SDK].astype(float),
            linear_acceleration=imu["accelerometer"].astype(float),
            motor_temperature=temperatures(motors),
            battery=charge(int(record["bms_state"]["soc"])),
        )

    def _unwrap(self, tick: int) -> int:
        """Return the tick, ms, with its wraps after 49 days counted; one that goes back goes back."""
        if self._tick is None:
            self._stamp = tick
        else:
            step = (tick - self._tick + 2**31) % 2**32 - 2**31
            self._stamp += step
        self._tick = tick
        return self._stamp
