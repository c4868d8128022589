"""A launch under test: `ros2 launch` as a process of its own, and a node that talks to what it started."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import rclpy
from deploy_msgs.action import AdaptContext
from deploy_msgs.msg import ControllerState, JointCommand
from deploy_msgs.srv import SetTerrain
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

NODE = "quadruped_controller"
LATEST = {
    "controller_state": ControllerState,
    "joint_commands": JointCommand,
    "joint_states": JointState,
    "/diagnostics": DiagnosticArray,
}


def until(met: Callable[[], Any], seconds: float, what: str = "") -> Any:
    """Return what `met` returns as soon as it is true; fail after that many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := met():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds:g} s: {what or met}")


class Client:
    """Talks to a controller; `latest` holds the newest message of each topic, `count` how many came."""

    def __init__(self, namespace: str = "") -> None:
        self.context = rclpy.Context()
        self.context.init()
        self.node = Node("tester", namespace=namespace, context=self.context)
        self.latest: dict[str, Any] = {}
        self._clients: dict[str, Any] = {}
        self.count = dict.fromkeys(LATEST, 0)
        quality = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        for topic, kind in LATEST.items():
            self.node.create_subscription(kind, topic, lambda message, topic=topic: self._hear(topic, message), quality)
        self.velocity = self.node.create_publisher(Twist, "cmd_vel", 1)
        self._wanted: tuple[float, float, float] | None = None
        self.node.create_timer(0.05, self._drive)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            while self.context.ok():
                self.executor.spin_once(timeout_sec=0.1)

    def _hear(self, topic: str, message: Any) -> None:
        self.latest[topic] = message
        self.count[topic] += 1

    def _drive(self) -> None:
        if self._wanted is not None:
            twist = Twist()
            twist.linear.x, twist.linear.y, twist.angular.z = self._wanted
            self.velocity.publish(twist)

    def drive(self, *velocity: float) -> None:
        """Publish this velocity at 20 Hz from now on; none stops to publish."""
        self._wanted = tuple(float(value) for value in velocity) if velocity else None

    def call(self, kind: Any, name: str, request: Any, seconds: float = 20.0) -> Any:
        if name not in self._clients:  # kept: an answer to a client that is new may come before it is known
            self._clients[name] = self.node.create_client(kind, name)
        client = self._clients[name]
        assert client.wait_for_service(seconds), f"no service {name}"
        future = client.call_async(request)
        until(future.done, seconds, f"answer of {name}")
        return future.result()

    def ask(self, service: str) -> Any:
        """Call one of the controller's services."""
        return self.call(Trigger, service, Trigger.Request())

    def set_terrain(self, terrain: str) -> Any:
        return self.call(SetTerrain, "set_terrain", SetTerrain.Request(terrain=terrain))

    def lifecycle(self) -> str:
        return self.call(GetState, f"{NODE}/get_state", GetState.Request()).current_state.label

    def change(self, transition: int, seconds: float = 20.0) -> bool:
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, f"{NODE}/change_state", request, seconds).success

    @property
    def state(self) -> str:
        """State of the controller, as it last said."""
        return self.latest["controller_state"].state if "controller_state" in self.latest else ""

    def reach(self, state: str, seconds: float = 20.0) -> None:
        until(lambda: self.state == state, seconds, f"state {state}, is {self.state}")

    def walk(self) -> None:
        """Stand up, as soon as the robot reports, and walk."""
        if self.state != "stand":
            until(lambda: self.ask("stand").success, 10.0, "a robot that stands up")
        self.reach("stand")
        assert self.ask("walk").success
        self.reach("walk")

    def adapt(self, feedback: Callable[[Any], None], **goal: Any) -> Any:
        """Send a goal to adapt_context, and return its handle when it was accepted."""
        client = ActionClient(self.node, AdaptContext, "adapt_context")
        assert client.wait_for_server(20.0), "no action server"
        asked = self.send(
            lambda: client.send_goal_async(AdaptContext.Goal(**goal), lambda message: feedback(message.feedback))
        )
        until(asked.done, 20.0, "answer to the goal")
        assert asked.result().accepted
        return asked.result()

    def send(self, request: Callable[[], Any]) -> Any:
        """Return the future of an action's request, sent in the executor's thread: rclpy loses answers to others."""
        futures: list[Any] = []
        self.executor.create_task(lambda: futures.append(request()))
        return until(lambda: futures and futures[0], 20.0, "a request that is sent")

    def result(self, goal: Any, seconds: float) -> Any:
        """Return the result of a goal."""
        future = self.send(goal.get_result_async)
        until(future.done, seconds, "the goal's end")
        return future.result().result

    def close(self) -> None:
        self.context.try_shutdown()
        self._thread.join(timeout=2.0)


class Launch:
    """`ros2 launch deploy quadruped.launch.py ARGUMENTS` in a session of its own."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self.log = log
        self.process = subprocess.Popen(
            ["ros2", "launch", "deploy", "quadruped.launch.py", *arguments],
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which a background job ignores
        )

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace")

    def children(self) -> dict[str, int]:
        """Return the processes of this launch by the name of their executable."""
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except (OSError, IndexError):
                continue
            # session id: the launch is its leader; a zombie has no command line
            if int(fields[3]) == self.process.pid and int(folder.name) != self.process.pid and words[0]:
                script = words[1].decode() if "python" in words[0].decode() and len(words) > 1 else words[0].decode()
                found[os.path.basename(script)] = int(folder.name)
        return found

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 30.0) -> int:
        """Return the exit code."""
        return self.process.wait(seconds)

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process.poll() is None:
            self.signal(signal.SIGINT)
            try:
                self.wait(20.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pid in self.children().values():
            os.kill(pid, signal.SIGKILL)
