"""Launch a quadruped, real or simulated: its controller, what it needs, and what watches it.

Ctrl-C and SIGTERM end everything with damped motors. If the controller dies, the motors are damped by a process of
their own, everything ends, and the exit code is 1; so does everything if the controller refuses to be configured.
"""

import shutil
import threading
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from deploy_ros import core, interface
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch_ros.actions import Node
from launch_ros.ros_adapters import get_ros_node
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState

# name, default, choices, text
ARGUMENTS = (
    ("robot", "go2", interface.ROBOTS, "which robot"),
    ("driver", "sim", ("sim", *interface.DRIVERS), "how the robot is reached; sim starts a simulated one"),
    ("policy", "", (), "ONNX file or name of a shipped policy"),
    ("context", "", (), "context file of this robot"),
    ("compensate", "false", ("true", "false"), "let adapt_context correct the gains"),
    ("terrain", "flat", (), "terrain context"),
    ("interface", "", (), "network interface of the robot, for the Unitree drivers"),
    ("release_sport", "false", ("true", "false"), "let a Go2's own controller go first; the robot must lie"),
    ("silent_rivals", "false", ("true", "false"), "accept other writers of a Go2's commands that send nothing"),
    ("config", "", (), "parameter file; by default the package's config/quadruped.yaml"),
    ("record", "false", ("true", "false"), "record the topics as a rosbag2 folder with MCAP"),
    ("bag", "", (), "folder to record to; by default rosbag2's own choice"),
    ("teleop", "none", ("joy", "key", "none"), "who gives velocities: a gamepad, the keyboard, or nobody"),
    ("rviz", "false", ("true", "false"), "show the robot in RViz"),
    ("namespace", "", (), "put before every topic, service and tf frame"),
    ("payload", "0.0", (), "on the simulated robot's back, kg"),
    ("stairs", "0.0", (), "height of the steps 2 m ahead of the simulated robot, m; 0 is flat ground"),
)
SWITCHES = ("compensate", "release_sport", "silent_rivals")  # parameters that the configuration may turn on as well
RECORDED = (
    *("joint_states", "imu/data", "joint_commands", "joint_targets", "controller_state", "cmd_vel"),
    *("/tf", "/tf_static", "/diagnostics"),
)
BRING_UP = {"unconfigured": Transition.TRANSITION_CONFIGURE, "inactive": Transition.TRANSITION_ACTIVATE}
# A child whose launch is gone gets SIGINT from the kernel, so that nothing outlives even a killed launch.
TIED = "setpriv --pdeathsig INT --" if shutil.which("setpriv") else None


def generate_launch_description() -> LaunchDescription:
    """Return the arguments, and the function that makes the rest of them."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=list(choices) or None)
        for name, default, choices, text in ARGUMENTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_everything)])


def _everything(context: LaunchContext) -> list[Action]:
    core.require("models")
    given = {name: context.launch_configurations[name] for name, *_ in ARGUMENTS}
    namespace = given["namespace"].strip("/")
    prefix = f"{namespace}/" if namespace else ""
    config = given["config"] or str(Path(get_package_share_directory("deploy")) / "config" / "quadruped.yaml")
    chosen = {name: given[name] for name in ("robot", "policy", "context", "terrain", "interface")}
    chosen |= {name: True for name in SWITCHES if given[name] == "true"}
    chosen |= {"driver": "topics" if given["driver"] == "sim" else given["driver"], "frame_prefix": prefix}
    controller = Node(name=interface.NODE, **_ours(interface.NODE, namespace, config, chosen))
    damper = Node(name="damp", **_ours("damp", namespace, config, chosen))
    started = [controller, OpaqueFunction(function=_bring_up, args=[namespace]), *_guard(controller, damper)]
    started.append(_describer(given["robot"], namespace, prefix))
    if given["driver"] == "sim":
        condition = {"robot": given["robot"], "payload": float(given["payload"]), "stairs": float(given["stairs"])}
        robot = Node(**{**_ours("simulated_robot", namespace, config, condition), "package": _simulation()})
        started += [robot, _fatal(robot, "the simulated robot has died")]
    if given["teleop"] == "key":
        started.append(Node(**_ours("teleop_key", namespace)))
    if given["teleop"] == "joy":
        started.append(Node(package="joy", executable="joy_node", namespace=namespace, prefix=TIED))
    if given["record"] == "true":
        started.append(_recorder(given["bag"], prefix))
    if given["rviz"] == "true":
        started.append(Node(package="rviz2", executable="rviz2", arguments=["-f", f"{prefix}world"], prefix=TIED))
    return started


def _simulation() -> str:
    """Return the package of the simulated robot, which a robot's own computer does without."""
    try:
        get_package_share_directory("deploy_sim")
    except PackageNotFoundError:
        raise RuntimeError(
            "driver:=sim needs the package 'deploy_sim': build it too, or give another driver, such as driver:=topics"
        ) from None
    return "deploy_sim"


def _ours(executable: str, namespace: str, *parameters: str | dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `Node` that is one of this package's executables."""
    return {
        "package": "deploy",
        "executable": executable,
        "exec_name": executable,
        "namespace": namespace,
        "parameters": list(parameters),
        "output": "screen",
        "prefix": TIED,
    }


def _bring_up(context: LaunchContext, namespace: str) -> None:
    """Configure and activate the controller; asks for its state, as a transition event may come before it is heard."""
    names = (f"/{namespace}/{interface.NODE}/{service}".replace("//", "/") for service in ("get_state", "change_state"))
    node = get_ros_node(context)
    state, change = (node.create_client(kind, name) for kind, name in zip((GetState, ChangeState), names, strict=True))

    def ask(client: Any, request: Any, seconds: float) -> Any:
        """Return the answer, None if it does not come."""
        answered = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: answered.set())
        return future.result() if answered.wait(seconds) else None

    def work() -> None:
        while not context.is_shutdown:
            if not (state.wait_for_service(1.0) and change.wait_for_service(1.0)):
                continue
            answer = ask(state, GetState.Request(), 2.0)
            if answer is not None and answer.current_state.label == "active":
                return
            request = ChangeState.Request()
            request.transition.id = BRING_UP.get(answer.current_state.label, 0) if answer else 0
            if request.transition.id and (done := ask(change, request, 30.0)) and not done.success:
                _fail(context, "the controller refuses to start: its log says why")

    context.add_completion_future(context.asyncio_loop.run_in_executor(None, work))


def _guard(controller: Node, damper: Node) -> list[Action]:
    """If the controller dies, damp the motors and end with exit code 1."""

    def react(event: object, context: LaunchContext) -> list[Action]:
        if context.is_shutdown:
            return []
        return [LogInfo(msg=f"{interface.NODE} has died: damping the motors"), damper]

    return [
        RegisterEventHandler(OnProcessExit(target_action=controller, on_exit=react)),
        _fatal(damper, "the controller has died, and the motors are damped"),
    ]


def _describer(robot: str, namespace: str, prefix: str) -> Action:
    """Publish the robot's description and the frames of its legs, where the package for that is installed."""
    import robots
    from robots import urdf

    package = "robot_state_publisher"
    try:
        get_package_share_directory(package)
    except PackageNotFoundError:
        return LogInfo(msg=f"{package} is not installed: no robot_description and no tf of the legs")
    description = {"robot_description": urdf.robot(robots.load(robot)), "frame_prefix": prefix}
    return Node(package=package, executable=package, namespace=namespace, parameters=[description], prefix=TIED)


def _fatal(node: Node, reason: str) -> Action:
    return RegisterEventHandler(
        OnProcessExit(target_action=node, on_exit=[OpaqueFunction(function=_fail, args=[reason])])
    )


def _fail(context: LaunchContext, reason: str) -> None:
    """End the launch with exit code 1, which an exception is the way to, unless it is ending already."""
    if not context.is_shutdown:
        raise RuntimeError(reason)


def _recorder(folder: str, prefix: str) -> Action:
    names = [name if name.startswith("/") else f"/{prefix}{name}" for name in RECORDED]
    tied = TIED.split() if TIED else []
    to = ["-o", folder] if folder else []
    return ExecuteProcess(cmd=[*tied, "ros2", "bag", "record", "-s", "mcap", *to, *names], output="screen")
