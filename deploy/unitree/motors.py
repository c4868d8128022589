"""The order and the conventions of Unitree's motors, shared by Go1 and Go2.

Motors are FR FL RR RL x hip thigh calf, feet FR FL RR RL; joint angles have the signs of the maker's URDF, as in
`robots`. Everything that crosses the wire is converted here, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from deploy.driver import JointCommand
from robots.joints import JOINT_NAMES, LEGS, SDK, permutation

MOTORS = 12
SLOTS = 20  # in the messages; those beyond the motors are unused
POSITION_OFF, VELOCITY_OFF = 2.146e9, 16000.0  # "PosStopF" and "VelStopF": no control of position, of velocity
LOW_LEVEL = (0xFE, 0xEF, 0xFF)  # head and level flag of every low-level message

TO_SDK = permutation(JOINT_NAMES, SDK)
FROM_SDK = permutation(SDK, JOINT_NAMES)
_SDK_LEGS = ("FR", "FL", "RR", "RL")
FEET_TO_SDK = permutation(LEGS, _SDK_LEGS)
FEET_FROM_SDK = permutation(_SDK_LEGS, LEGS)

Steps = Mapping[str, float]
WHOLE: Steps = MappingProxyType({})
_FIELDS = {"q": "position", "dq": "velocity", "tau": "torque", "kp": "kp", "kd": "kd"}

BRAKE_KD = 3.0  # N m s/rad, how a stand-in's motor brakes when it is not in servo mode; [chosen]


def fill_motors(motors: np.ndarray, command: JointCommand, servo: int, steps: Steps = WHOLE) -> None:
    """Write a command into the motor slots of a message, (20,) records with mode, q, dq, tau, kp and kd.

    Slots beyond the motors are told to do nothing, as in the maker's examples.

    Args:
        motors: the slots.
        command: what to write.
        servo: the mode in which a motor follows commands.
        steps: what one unit of an integer field stands for, by field.
    """
    used, unused = motors[:MOTORS], motors[MOTORS:]
    motors["mode"] = servo
    for name, attribute in _FIELDS.items():
        values = np.asarray(getattr(command, attribute))[TO_SDK]
        if name in steps:
            whole = np.iinfo(motors.dtype[name])
            values = np.clip(np.rint(values / steps[name]), whole.min, whole.max)
        used[name] = values
    unused["q"], unused["dq"] = POSITION_OFF, VELOCITY_OFF


def read_motors(motors: np.ndarray, servo: int, steps: Steps = WHOLE) -> JointCommand:
    """Return what a robot does with the motor slots of a command: off marks and modes become gains."""
    used = motors[:MOTORS][FROM_SDK]
    position, velocity, torque, kp, kd = (used[name].astype(float) * steps.get(name, 1.0) for name in _FIELDS)
    for values, gains, off in ((position, kp, POSITION_OFF), (velocity, kd, VELOCITY_OFF)):
        free = np.abs(values) >= 0.99 * off
        values[free] = gains[free] = 0.0
    braking = used["mode"] != servo
    kp[braking] = torque[braking] = velocity[braking] = 0.0
    kd[braking] = BRAKE_KD
    return JointCommand(position, velocity, torque, kp, kd)


def temperatures(motors: np.ndarray) -> np.ndarray | None:
    """Return the motors' temperatures, degC, (12,); None from a robot that does not report any: all are zero."""
    values = motors["temperature"].astype(float)
    return values if values.any() else None


def charge(percent: int) -> float | None:
    """Return the battery's state of charge, 0 to 1; None from a robot that reports zero: it has no battery."""
    return percent / 100 if percent else None
