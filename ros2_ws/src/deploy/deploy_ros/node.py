"""The lifecycle node `quadruped_controller`: declares what `interface` lists and hands everything on."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import TransformStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rosidl_runtime_py.utilities import get_message, get_service

from deploy_ros import core, declare, interface, stopping

try:
    core.require("models")
except core.CoreMissingError as missing:
    sys.exit(f"{interface.NODE}: {missing}")

from deploy.controller import Controller
from deploy.driver import RobotDriver
from deploy.loop import LATE_TICKS, SINK, LoopReport, run
from deploy_ros import assembly, diagnostics
from deploy_ros.adapt_action import AdaptContext
from deploy_ros.adaptation import Adaptation, Goal
from deploy_ros.inbox import E_STOP, Answer, Gamepad, Inbox
from deploy_ros.links import RosLink
from deploy_ros.shown import Publications, ShownDriver, Snapshot
from deploy_ros.topics import TopicsDriver

EVENTS = {"stand": "stand", "walk": "walk", "lie_down": "lie_down", "e_stop": E_STOP, "reset": "reset"}
ENDING = 2 * SINK  # s in which control ends, also on a machine that is late
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class QuadrupedController(LifecycleNode):
    """Walks a robot: configure loads and checks, activate runs the control loop in its own thread, deactivate damps.

    Attributes:
        broken: why the process must end, "" while it need not.
        inbox: where requests go.
        controller: that runs or ran last, whose contexts the next one takes; None before activation and after cleanup.
        report: of the last run of the control loop.

    Args:
        open_driver: makes the robot's driver from the settings, where it is not reached over topics.
    """

    def __init__(self, open_driver: Callable[[assembly.Settings], RobotDriver] = assembly.open_driver) -> None:
        super().__init__(interface.NODE)
        self._open_driver = open_driver
        self._values = declare.declare(self, interface.PARAMETERS)
        self.add_on_set_parameters_callback(_may_be_set)
        self.broken = ""
        self.inbox = Inbox()
        self.report: LoopReport | None = None
        self._driver: RobotDriver | None = None
        self._shown: ShownDriver | None = None
        self.controller: Controller | None = None
        self._thread: threading.Thread | None = None
        self._over_topics = self._values["driver"] == "topics"
        self._publish()
        self._subscribe()
        self._serve()

    # What it says to the world: robot and driver are read-only parameters, so that all of it is known from the start

    def _publish(self) -> None:
        self._out = {}
        for topic in interface.PUBLISHED:
            if topic.driver == "own" and self._over_topics:
                continue
            make = self.create_publisher if topic.name == "/diagnostics" else self.create_lifecycle_publisher
            watch = declare.publisher_events(deadline=self._late) if topic.qos is interface.COMMAND else None
            kind, quality = get_message(topic.type), declare.quality(topic.qos)
            self._out[topic.name] = make(kind, topic.name, quality, event_callbacks=watch)

    def _subscribe(self) -> None:
        kind = "geometry_msgs/msg/TwistStamped" if self._values["cmd_vel_stamped"] else None
        self._cmd_vel = declare.subscribe(self, declare.subscribed("cmd_vel"), kind)
        self._joy = declare.subscribe(self, declare.subscribed("joy"))
        self._gamepad = Gamepad()
        if self._over_topics:
            self._link = RosLink(self, self._out["joint_commands"], self._robot_gone)

    def _serve(self) -> None:
        for service in interface.SERVICES:
            answer = self._set_terrain if service.name == "set_terrain" else partial(self._event, EVENTS[service.name])
            self.create_service(get_service(service.type), service.name, answer)
        AdaptContext(self, self._adapt)
        self.create_timer(1.0, self._diagnose)
        self.create_timer(0.5, self._count_writers)

    # Transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, check, and open the robot's driver; nothing is sent yet."""
        try:
            settings = assembly.Settings({p.name: self.get_parameter(p.name).value for p in interface.PARAMETERS})
            if self._over_topics:
                self._driver = TopicsDriver(settings["robot"], settings.command_dt, self._link)
            else:
                self._driver = self._open_driver(settings)
            failed = self._preflight(settings)
            if not failed:
                assembly.controller(settings)
        except (ValueError, OSError, ImportError) as problem:
            failed = " ".join(str(problem).split())
        if failed:
            self.get_logger().error(f"cannot configure: {failed}")
            self._close()
            return FAILURE
        self._settings = settings
        return super().on_configure(state)

    def _preflight(self, settings: assembly.Settings) -> str:
        """Log what the checks before a run found, and return the first failure, "" if there is none."""
        checks = assembly.preflight(settings, self._driver)
        logger = self.get_logger()  # refuses to say things of different severity on one line of code
        for check in checks:
            if check.verdict == "ok":
                logger.info(f"preflight: {check.name}: {check.text}")
            elif check.verdict == "warn":
                logger.warning(f"preflight: {check.name}: {check.text}")
        return next((f"{check.name}: {check.text}" for check in checks if check.verdict == "fail"), "")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start the control loop; the robot is passive until it is told to stand."""
        self._count_writers()
        self.controller = assembly.controller(self._settings, before=self.controller)
        if problem := assembly.lasting_problem(self._settings, self._driver, self.controller):
            self.get_logger().error(f"cannot activate: {problem}")
            return FAILURE
        self._publications = self._new_publications()
        self._shown = ShownDriver(self._driver, self.controller, self._spend_the_rest)
        self.inbox = Inbox()
        for heard in (self._cmd_vel, self._joy):  # while nobody listened
            declare.taken(heard)
        self.inbox.open()
        done = super().on_activate(state)
        self._thread = threading.Thread(target=self._control, name="control", daemon=True)
        self._thread.start()
        return done

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the control loop; the motors damp."""
        self.end_control()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the robot."""
        self._close()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Damp the motors and release the robot."""
        self._close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Damp the motors, release the robot, and be unconfigured again."""
        self._close()
        return SUCCESS

    # The control loop

    def _new_publications(self) -> Publications:
        types = {topic.name: topic.type for topic in interface.PUBLISHED}

        def new(name: str) -> Any:
            return TransformStamped() if name == "transform" else get_message(types[name])()

        left_out = {"/diagnostics"} | ({"joint_commands"} if self._over_topics else set())
        send = {name: pub.publish for name, pub in self._out.items() if name not in left_out}
        clock = self.get_clock()
        frames = self._settings["world_frame"], self._settings["frame_prefix"]
        own_clock = not self._over_topics
        return Publications(self.controller, new, send, lambda: clock.now().nanoseconds, frames, own_clock)

    def _spend_the_rest(self, snapshot: Snapshot) -> None:
        """Publish, and hear the operator, once a policy period in the control loop's thread."""
        self._publications.show(snapshot)
        message = declare.newest(self._cmd_vel)
        if message is not None:
            twist = getattr(message, "twist", message)
            self.inbox.set_velocity(twist.linear.x, twist.linear.y, twist.angular.z)
        for message in declare.taken(self._joy):
            self._hear_gamepad(message)

    def _hear_gamepad(self, message: Any) -> None:
        axes, buttons = (self.get_parameter(name).value for name in ("joy_axes", "joy_buttons"))
        events, velocity = self._gamepad.read(message, axes, buttons, self._values["velocity_limit"])
        for event in events:
            self.inbox.put(event)
        if velocity is not None:
            self.inbox.set_velocity(*velocity)

    def _control(self) -> None:
        """Run the loop until it is told to end; in a thread of its own."""
        controller, driver = self.controller, self._shown
        realtime = self._settings.realtime()
        try:
            commands = self.inbox.commands
            self.report = run(controller, driver, commands, realtime=realtime, late_limit=LATE_TICKS, sink=SINK)
            self.get_logger().info(
                f"control ended: motors damped; {self.report.ticks} ticks, {self.report.late} of them late"
            )
        except Exception as problem:  # whatever it was, a robot that nobody controls must not seem to be controlled
            self.broken = f"the control loop failed, and the motors are damped: {problem}"
        finally:
            self.inbox.close()

    def end_control(self) -> None:
        """Damp the motors and wait until the control loop has ended."""
        self.inbox.stop()
        if self._thread is not None:
            self._thread.join(timeout=ENDING)
            self._thread = None

    def _close(self) -> None:
        self.end_control()
        if self._driver is not None:
            self._driver.close()
        self._driver = self._shown = self.controller = None

    # Callbacks

    def _event(self, event: str, request: Any, response: Any) -> Any:
        return _reply(response, self.inbox.ask(event))

    def _set_terrain(self, request: Any, response: Any) -> Any:
        def change(controller: Any) -> str:
            controller.set_terrain(request.terrain)
            return f"terrain is {request.terrain}"

        return _reply(response, self.inbox.change(change))

    def _adapt(self, goal: Goal) -> Adaptation | None:
        if self._shown is None or self.controller is None or not self.inbox.is_open:
            return None
        folder = Path(self._settings["contexts"]).expanduser()
        models, compensate = self._settings.models(), self._settings["compensate"]
        return Adaptation(goal, self.inbox, self._shown, self.controller, models, folder, compensate)

    def _robot_gone(self, gone: bool) -> None:
        if isinstance(self._driver, TopicsDriver):
            self._driver.gone = gone

    def _count_writers(self) -> None:
        if isinstance(self._driver, TopicsDriver):
            self._driver.writers = self.count_publishers("joint_commands")

    def _late(self, event: Any) -> None:
        if self._thread is not None and self._thread.is_alive() and event.total_count_change > 0:
            deadline = 1e3 * interface.COMMAND.deadline
            self.get_logger().warning(f"no joint command for {deadline:.0f} ms: the robot damps its motors meanwhile")

    def _diagnose(self) -> None:
        if self._shown is None or self.controller is None:
            return
        shown = self._shown
        state = shown.snapshot.state if shown.snapshot else None
        wakes, age = shown.recent_wakes(), self.inbox.velocity_age
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        for status in diagnostics.statuses(self.controller, shown, state, wakes, age):
            values = [KeyValue(key=key, value=value) for key, value in status.values.items()]
            name = f"{self.get_fully_qualified_name()}: {status.name}"
            level, about = bytes([status.level]), shown.serial or shown.robot
            line = DiagnosticStatus(level=level, name=name, message=status.message, hardware_id=about, values=values)
            message.status.append(line)
        self._out["/diagnostics"].publish(message)


def _may_be_set(parameters: list[Parameter]) -> SetParametersResult:
    """Check values that are set while the node runs as those it starts with."""
    try:
        assembly.Settings({parameter.name: parameter.value for parameter in parameters})
    except ValueError as refused:
        return SetParametersResult(successful=False, reason=str(refused))
    return SetParametersResult(successful=True)


def _reply(response: Any, answer: Answer) -> Any:
    response.success, response.message = answer.accepted, answer.text
    return response


def main() -> None:
    """Run the node until SIGINT or SIGTERM; leave the motors damped."""
    ended = stopping.start()
    node, executor = QuadrupedController(), SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not ended.is_set() and not node.broken:
            try:
                executor.spin_once(timeout_sec=0.5)
            except Exception as problem:  # such as a transition that does not exist; control must go on
                node.get_logger().error(f"a request failed: {problem}")
    finally:
        node.end_control()
        if node.broken:
            node.get_logger().fatal(node.broken)
        executor.shutdown()
        rclpy.shutdown()
    sys.exit(1 if node.broken else 0)
