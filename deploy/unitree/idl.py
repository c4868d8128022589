"""The DDS types of Unitree's topics; `types()` makes them when DDS is used, since they need cyclonedds.

Names and fields: the IDL of unitree_sdk2 (`unitree_go/msg`, `unitree_api/msg`).
"""

from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

_LITTLE_ENDIAN = b"\0\1\0\0"  # CDR's header


def _as_bytes(kind: Any) -> Any:
    """Make a message of fixed size travel as the bytes `sample.body`; `kind.of(body)` makes one.

    Taking a LowState apart field by field costs Python a millisecond, 500 times a second; see `go2_messages`.
    """

    def of(cls: Any, body: bytes) -> Any:
        sample = cls.__new__(cls)
        sample.body = body
        return sample

    def serialize(self: Any, buffer: Any = None, endianness: Any = None, use_version_2: Any = None) -> bytes:
        return _LITTLE_ENDIAN + self.body

    def deserialize(cls: Any, data: bytes, has_header: bool = True, use_version_2: Any = None) -> Any:
        return of(cls, bytes(data[4:] if has_header else data))

    kind.of, kind.serialize, kind.deserialize = classmethod(of), serialize, classmethod(deserialize)
    return kind


@cache
def types() -> SimpleNamespace:
    """Return the types LowCmd, LowState (both as bytes), WirelessController, Request, Response and what is in these.

    Raises:
        ModuleNotFoundError: if cyclonedds is not installed.
    """
    import cyclonedds.idl.annotations as annotate
    import cyclonedds.idl.types as t
    from cyclonedds.idl import make_idl_struct

    def struct(name: str, package: str = "unitree_go", **fields: Any) -> Any:
        kind = make_idl_struct(f"{name}_", f"{package}.msg.dds_.{name}_", fields, dataclassify=False)
        return dataclass(annotate.final(annotate.autoid("sequential")(kind)))

    def several(kind: Any, *names: str) -> dict[str, Any]:
        return dict.fromkeys(names, kind)

    head = {
        "head": t.array[t.uint8, 2],
        **several(t.uint8, "level_flag", "frame_reserve"),
        **several(t.array[t.uint32, 2], "sn", "version"),
        "bandwidth": t.uint16,
    }
    motor_cmd = struct(
        "MotorCmd",
        mode=t.uint8,
        **several(t.float32, "q", "dq", "tau", "kp", "kd"),
        reserve=t.array[t.uint32, 3],
    )
    motor_state = struct(
        "MotorState",
        mode=t.uint8,
        **several(t.float32, "q", "dq", "ddq", "tau_est", "q_raw", "dq_raw", "ddq_raw"),
        temperature=t.uint8,
        lost=t.uint32,
        reserve=t.array[t.uint32, 2],
    )
    imu_state = struct(
        "IMUState",
        quaternion=t.array[t.float32, 4],
        **several(t.array[t.float32, 3], "gyroscope", "accelerometer", "rpy"),
        temperature=t.uint8,
    )
    bms_state = struct(
        "BmsState",
        **several(t.uint8, "version_high", "version_low", "status", "soc"),
        current=t.int32,
        cycle=t.uint16,
        **several(t.array[t.uint8, 2], "bq_ntc", "mcu_ntc"),
        cell_vol=t.array[t.uint16, 15],
    )
    low_cmd = struct(
        "LowCmd",
        **head,
        motor_cmd=t.array[motor_cmd, 20],
        bms_cmd=struct("BmsCmd", off=t.uint8, reserve=t.array[t.uint8, 3]),
        wireless_remote=t.array[t.uint8, 40],
        led=t.array[t.uint8, 12],
        fan=t.array[t.uint8, 2],
        gpio=t.uint8,
        **several(t.uint32, "reserve", "crc"),
    )
    low_state = struct(
        "LowState",
        **head,
        imu_state=imu_state,
        motor_state=t.array[motor_state, 20],
        bms_state=bms_state,
        **several(t.array[t.int16, 4], "foot_force", "foot_force_est"),
        tick=t.uint32,
        wireless_remote=t.array[t.uint8, 40],
        bit_flag=t.uint8,
        adc_reel=t.float32,
        **several(t.uint8, "temperature_ntc1", "temperature_ntc2"),
        **several(t.float32, "power_v", "power_a"),
        fan_frequency=t.array[t.uint16, 4],
        **several(t.uint32, "reserve", "crc"),
    )
    controller = struct("WirelessController", **several(t.float32, "lx", "ly", "rx", "ry"), keys=t.uint16)
    identity = struct("RequestIdentity", "unitree_api", **several(t.int64, "id", "api_id"))
    lease = struct("RequestLease", "unitree_api", id=t.int64)
    policy = struct("RequestPolicy", "unitree_api", priority=t.int32, noreply=bool)
    status = struct("ResponseStatus", "unitree_api", code=t.int32)
    asking = struct("RequestHeader", "unitree_api", identity=identity, lease=lease, policy=policy)
    answering = struct("ResponseHeader", "unitree_api", identity=identity, status=status)
    rest = {"binary": t.sequence[t.uint8]}
    return SimpleNamespace(
        LowCmd=_as_bytes(low_cmd),
        LowState=_as_bytes(low_state),
        WirelessController=controller,
        RequestIdentity=identity,
        RequestLease=lease,
        RequestPolicy=policy,
        RequestHeader=asking,
        Request=struct("Request", "unitree_api", header=asking, parameter=str, **rest),
        ResponseStatus=status,
        ResponseHeader=answering,
        Response=struct("Response", "unitree_api", header=answering, data=str, **rest),
    )
