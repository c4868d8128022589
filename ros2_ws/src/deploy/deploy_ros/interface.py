"""What the node says to the world, as data: the node declares itself from it, and the reference is written from it.

Names are relative, so that a namespace moves them all; types are ROS 2 names.
"""

from __future__ import annotations

from dataclasses import dataclass

from deploy_ros import core

NODE = "quadruped_controller"


@dataclass(frozen=True)
class Qos:
    """A quality of service.

    Attributes:
        reliable: or best effort.
        depth: messages kept.
        latched: a late subscriber gets the last message (transient local).
        deadline: s between two messages that is promised or asked for, None for none.
        lease: s after which a silent publisher counts as dead, None for none.
        text: for the reference.
    """

    reliable: bool
    depth: int = 1
    latched: bool = False
    deadline: float | None = None
    lease: float | None = None

    @property
    def text(self) -> str:
        """Say it in words."""
        parts = ["reliable" if self.reliable else "best effort", f"keep last {self.depth}"]
        parts += ["transient local"] if self.latched else []
        parts += [f"deadline {1e3 * self.deadline:g} ms"] if self.deadline else []
        parts += [f"liveliness lease {1e3 * self.lease:g} ms"] if self.lease else []
        return ", ".join(parts)


# Sensor data: the newest counts, a lost one is not sent again. What is offered here a reader may ask for.
SENSOR_OUT = Qos(reliable=False, depth=5, deadline=0.1, lease=0.3)
SENSOR_IN = Qos(reliable=False, depth=1)
# Commands: each must arrive; a robot's driver damps its motors when the deadline is missed or the writer is gone.
COMMAND = Qos(reliable=True, deadline=0.1, lease=0.3)
OPERATOR = Qos(reliable=False, depth=10)  # takes reliable and best-effort publishers alike
STATE = Qos(reliable=True, latched=True)
RECORD = Qos(reliable=True, depth=10)
DYNAMIC_TF = Qos(reliable=True, depth=100)  # as tf2's own broadcaster


@dataclass(frozen=True)
class Topic:
    """A topic.

    Attributes:
        name: relative, or absolute where a convention of ROS has it so.
        type: ROS 2 type.
        qos: as above.
        rate: how often, for the reference.
        text: what it is.
        driver: "topics" for what exists with `driver: topics` only, "own" for the other drivers only, "" for all.
    """

    name: str
    type: str
    qos: Qos
    rate: str
    text: str
    driver: str = ""


@dataclass(frozen=True)
class Service:
    """A service or action: relative name, ROS 2 type, what it does."""

    name: str
    type: str
    text: str


@dataclass(frozen=True)
class Parameter:
    """A parameter.

    Attributes:
        name: of the parameter.
        default: its value unless it is given, whose type is the parameter's.
        text: what it is, with its unit.
        read_only: whether it can be set at start only.
        lower, upper: range of a number.
        choices: what a text may be.
    """

    name: str
    default: str | float | int | bool | list[float] | list[int]
    text: str
    read_only: bool = True
    lower: float | None = None
    upper: float | None = None
    choices: tuple[str, ...] = ()


SUBSCRIBED = (
    Topic(
        "cmd_vel",
        "geometry_msgs/msg/Twist",
        OPERATOR,
        "10 Hz or more",
        "velocity command: linear x, y in m/s, angular z in rad/s, base frame; older than 0.5 s, the robot walks in "
        "place. With `cmd_vel_stamped: true` the type is geometry_msgs/msg/TwistStamped",
    ),
    Topic("joy", "sensor_msgs/msg/Joy", OPERATOR, "as it comes", "gamepad: e-stop, stand, walk, lie down, velocity"),
    Topic(
        "joint_states",
        "sensor_msgs/msg/JointState",
        SENSOR_IN,
        "200 Hz or more",
        "measured position, velocity and effort of the 12 joints, in any order, converted by name",
        driver="topics",
    ),
    Topic(
        "imu/data",
        "sensor_msgs/msg/Imu",
        SENSOR_IN,
        "200 Hz or more",
        "orientation and angular velocity of the base; its stamps are of the same clock as those of `joint_states`",
        driver="topics",
    ),
)
PUBLISHED = (
    Topic(
        "joint_commands",
        "deploy_msgs/msg/JointCommand",
        COMMAND,
        "every command period",
        "what the motors are told; with another driver than `topics` a report, at the policy's rate",
    ),
    Topic(
        "joint_targets",
        "sensor_msgs/msg/JointState",
        RECORD,
        "policy's rate",
        "joint targets before the torque limit, rad: what `dmcm adapt` reads of a bag",
    ),
    Topic(
        "joint_states",
        "sensor_msgs/msg/JointState",
        SENSOR_OUT,
        "policy's rate",
        "measured joints",
        driver="own",
    ),
    Topic("imu/data", "sensor_msgs/msg/Imu", SENSOR_OUT, "policy's rate", "the base's inertial unit", driver="own"),
    Topic(
        "controller_state",
        "deploy_msgs/msg/ControllerState",
        STATE,
        "policy's rate",
        "state, cause, fault, context, gains",
    ),
    Topic(
        "/diagnostics",
        "diagnostic_msgs/msg/DiagnosticArray",
        RECORD,
        "1 Hz",
        "rate and jitter of the control loop, trips, age of the velocity command, temperatures, battery",
    ),
    Topic(
        "/tf",
        "tf2_msgs/msg/TFMessage",
        DYNAMIC_TF,
        "policy's rate",
        "attitude of the base: from `world_frame` to `base`, without translation, for nothing measures one",
    ),
)
SERVICES = (
    Service("stand", "std_srvs/srv/Trigger", "stand up, or stop walking and stand"),
    Service("walk", "std_srvs/srv/Trigger", "walk by `cmd_vel`"),
    Service("lie_down", "std_srvs/srv/Trigger", "lie down and let the motors go"),
    Service("e_stop", "std_srvs/srv/Trigger", "damp the motors now, in whatever state"),
    Service("reset", "std_srvs/srv/Trigger", "leave a fault or an e-stop for passive"),
    Service("set_terrain", "deploy_msgs/srv/SetTerrain", "walk with the context of another terrain of the bank"),
)
ACTIONS = (
    Service(
        "adapt_context", "deploy_msgs/action/AdaptContext", "the field routine: walk 20 s, find the robot's context"
    ),
)

ROBOTS = core.robots()
DRIVERS = ("topics", "unitree_dds", "unitree_udp")
PARAMETERS = (
    Parameter("robot", "go2", "which robot", choices=ROBOTS),
    Parameter("driver", "topics", "how the robot is reached", choices=DRIVERS),
    Parameter("policy", "", "ONNX file, or a name in the robot's models; empty takes the best that is shipped"),
    Parameter("models", "", "folder with the robot's models; empty takes the shipped one"),
    Parameter("context", "", "context file of this robot (`dmcm adapt`); empty is the nominal robot's"),
    Parameter(
        "compensate", False, "`adapt_context` reads the motors first, and finds the context with corrected gains"
    ),
    Parameter("terrain", "flat", "terrain context to start with"),
    Parameter(
        "command_rate", 200.0, "commands a second, Hz; a multiple of the policy's rate", lower=50.0, upper=1000.0
    ),
    Parameter("interface", "", "network interface of the robot, such as eth0, for `unitree_dds`"),
    Parameter("robot_domain", 0, "DDS domain of the robot for `unitree_dds`: 0 on a Go2", lower=0, upper=232),
    Parameter("release_sport", False, "let the Go2's own controller go first; the robot must lie"),
    Parameter("silent_rivals", False, "accept other writers of a Go2's commands as long as they send nothing"),
    Parameter("contexts", "~/.ros/contexts", "folder where `adapt_context` keeps logs and contexts"),
    Parameter("preflight_jitter", 0.0, "s of measuring the machine's timing at configure", lower=0.0, upper=30.0),
    Parameter("realtime_priority", 0, "SCHED_FIFO priority of the control loop; 0 is none", lower=0, upper=99),
    Parameter("cpu", -1, "core on which the control loop stays; -1 is any", lower=-1, upper=1023),
    Parameter("velocity_limit", [1.0, 0.6, 1.2], "velocity commands are clipped to it: m/s, m/s, rad/s"),
    Parameter("acceleration_limit", [1.0, 1.0, 3.0], "commands change no faster, also to rest: m/s², m/s², rad/s²"),
    Parameter("cmd_vel_stamped", False, "whether `cmd_vel` is a TwistStamped"),
    Parameter("world_frame", "world", "tf frame of which the base's attitude is told"),
    Parameter("frame_prefix", "", "put before every tf frame, as robot_state_publisher's"),
    Parameter("joy_axes", [1, 0, 3], "axes of the gamepad: forward, left, turn", read_only=False),
    Parameter(
        "joy_buttons",
        [1, 0, 3, 2, 4],
        "buttons of the gamepad: e-stop, stand, walk, lie down, and the one to hold for velocity",
        read_only=False,
    ),
)
