"""What the loop publishes: once a policy period, in rclpy's types, without changing what passes through."""

import time

import numpy as np
import pytest
from deploy_ros import diagnostics, interface, messages
from deploy_ros.inbox import Inbox
from deploy_ros.shown import Publications, ShownDriver

from deploy.loop import run
from tests.deploy.fake_robot import FakeRobot
from tests.deploy_ros.fakes import Message, fields

TYPES = {topic.name: topic.type for topic in interface.PUBLISHED}
NOW = 1_700_000_000_000_000_000  # ns


def new(name):
    return Message("geometry_msgs/msg/TransformStamped" if name == "transform" else TYPES[name])


class Heard:
    """Keeps how often each topic was published and a copy of the last numbers."""

    def __init__(self, *without):
        self.count = {name: 0 for name in TYPES if name not in ("/diagnostics", *without)}
        self.last = {}

    def send(self):
        return {name: lambda message, name=name: self._take(name, message) for name in self.count}

    def _take(self, name, message):
        self.count[name] += 1
        self.last[name] = message


@pytest.fixture
def shown(controller):
    """Return (heard, driver) after a run of 2 s that stands up."""
    heard = Heard()
    publications = Publications(controller, new, heard.send(), lambda: NOW, ("odom", "dog/"))
    driver = ShownDriver(FakeRobot(controller.spec, controller.config.command_dt), controller, publications.show)
    inbox, ticks = Inbox(), round(2.0 / controller.config.command_dt)

    def commands(control, state):
        nonlocal ticks
        ticks -= 1
        if ticks == 0:
            inbox.stop()
        wish = inbox.commands(control, state)
        return wish if wish is None or control.state != "passive" else type(wish)(event="stand_up")

    run(controller, driver, commands)
    return heard, driver


def test_everything_is_published_once_a_policy_period(shown, controller):
    heard, driver = shown
    assert set(heard.count.values()) == {round(2.0 / controller.spec.control_dt)}
    assert driver.ticks == pytest.approx(2.0 / controller.config.command_dt, abs=1)


def test_messages_say_what_was_measured_and_sent(shown, controller):
    heard, driver = shown
    state, command = driver.snapshot.state, driver.snapshot.command
    assert heard.last["joint_states"].name == list(controller.spec.joint_names)
    np.testing.assert_allclose(heard.last["joint_commands"].stiffness, command.kp)
    np.testing.assert_allclose(heard.last["joint_targets"].position, controller.target, atol=0.1)
    assert heard.last["imu/data"].orientation.w == state.quaternion[0]
    assert heard.last["imu/data"].header.frame_id == "dog/imu"
    status = heard.last["controller_state"]
    assert status.state in ("stand_up", "stand") and status.context == "nominal" and -1.0 <= status.progress <= 1.0
    assert [status.kp_factor, status.kd_factor, *status.leg_factors] == [1.0] * 6
    transform = heard.last["/tf"].transforms[0]
    assert (transform.header.frame_id, transform.child_frame_id) == ("dog/odom", "dog/base")


def test_the_robots_own_clock_counts_from_the_first_state(shown):
    heard, _ = shown
    stamp = messages.seconds(heard.last["joint_states"].header.stamp)
    assert NOW * 1e-9 + 1.9 < stamp < NOW * 1e-9 + 2.1
    assert messages.seconds(heard.last["joint_targets"].header.stamp) == stamp


def test_stamps_in_ros_time_are_left_alone_and_a_robot_that_is_silent_shows_no_state(controller):
    heard = Heard("joint_commands", "joint_states", "imu/data")
    publications = Publications(controller, new, heard.send(), lambda: NOW, own_clock=False)
    robot = FakeRobot(controller.spec, controller.config.command_dt)
    robot.state.stamp = 5e8
    driver = ShownDriver(robot, controller, publications.show)
    command = controller.step(driver.read(), _still())
    driver.write(command)
    driver.wait()
    assert messages.seconds(heard.last["joint_targets"].header.stamp) == 5e8
    driver._state = None
    driver.wait()
    assert heard.count["controller_state"] == 2 and heard.count["joint_targets"] == 1


def _still(event=None):
    from deploy.driver import Operator

    return Operator(event=event)


def test_the_definitions_of_the_fakes_are_those_of_the_package():
    assert set(fields("deploy_msgs/msg/JointCommand")) == {
        *("header", "names", "position", "velocity", "effort", "stiffness", "damping")
    }


def test_a_log_gets_records_in_its_states_only(controller):
    class Log:
        records = 0

        def record(self, *values):
            assert len(values) == 5
            self.records += 1

    log, robot = Log(), FakeRobot(controller.spec, controller.config.command_dt)
    driver = ShownDriver(robot, controller, lambda snapshot: None)
    for states, expected in (("stand",), 0), (("passive",), 1), ((), 1):
        driver.record(log, states)
        controller._tick = -1
        driver.write(controller.step(driver.read(), _still()))
        driver.wait()
        assert log.records == expected
    driver.record(None)
    driver.wait()


def test_a_robot_sinks_for_as_long_as_it_takes_though_nothing_can_be_shown(controller):
    robot = FakeRobot(controller.spec, controller.config.command_dt)

    def show(snapshot):
        if controller.state == "stand_up":
            raise RuntimeError("the publisher is gone")

    with pytest.raises(RuntimeError, match="the publisher is gone"):
        run(controller, ShownDriver(robot, controller, show), lambda *_: _still("stand_up"), sink=0.5)
    sunk = [command for command in robot.commands if not command.kp.any() and command.kd.any()]
    assert len(sunk) * controller.config.command_dt > 0.5
    assert robot.state.stamp > 0.5, "the robot was waited for, period by period"


def test_diagnostics_name_what_is_wrong(controller):
    robot = FakeRobot(controller.spec, controller.config.command_dt)
    period = controller.config.command_dt
    good = np.arange(100) * period

    def levels(wakes=good, state=robot.state):
        found = diagnostics.statuses(controller, robot, state, wakes, 0.1)
        assert all(isinstance(v, str) for s in found for v in s.values.values())
        return {status.name: (status.level, status.message) for status in found}

    assert {level for level, _ in levels().values()} == {diagnostics.OK}
    assert levels(wakes=2 * good)["control loop"][0] == diagnostics.WARN
    assert levels(wakes=good[:1])["control loop"][1] == "has not run yet"
    assert levels(state=None)["robot"] == (diagnostics.ERROR, "reports no state")
    robot.problem = "no answer"
    assert levels()["robot"] == (diagnostics.ERROR, "no answer")
    robot.problem, robot.state.battery = None, 0.1
    assert levels()["robot"] == (diagnostics.WARN, "battery at 10%")
    robot.state.motor_temperature = np.full(12, 80.0)
    assert "hot" in levels()["robot"][1]
    controller.fault = "tilted by 2.00 rad"
    assert levels()["controller"] == (diagnostics.ERROR, "fault: tilted by 2.00 rad")


def test_wakes_are_in_order_after_the_ring_is_full(controller):
    driver = ShownDriver(FakeRobot(controller.spec), controller, lambda snapshot: None)
    driver.wakes = np.zeros(8)
    for _ in range(13):
        driver.read()
        time.sleep(0.0005)
    wakes = driver.recent_wakes()
    assert len(wakes) == 8 and (np.diff(wakes) > 0).all()
