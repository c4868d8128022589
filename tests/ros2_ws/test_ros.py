"""The package on a real ROS 2: launched, commanded, recorded, killed. Skips where there is none, as in CI.

Its DDS domain is of its own and its network the loopback, if the environment says nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: source its setup.bash and the workspace's")
pytest.importorskip("deploy_msgs", reason="the workspace is not built or not sourced: colcon build in ros2_ws")
pytest.importorskip("mujoco")

from lifecycle_msgs.msg import Transition

import models
from tests.ros2_ws.harness import Client, Launch, until

ROBOT = os.environ.get("DEPLOY_TEST_ROBOT", "go1")
ARGUMENTS = (f"robot:={ROBOT}", "driver:=sim", "payload:=2.0")
PRIORITY = int(os.environ.get("DEPLOY_TEST_PRIORITY", "0"))  # SCHED_FIFO, for a machine that has other work

BANK = Path(models.__file__).parent / ROBOT / "bank.safetensors"
ADAPTS = pytest.mark.skipif(not BANK.exists(), reason=f"no dynamics model is shipped for {ROBOT}")


@pytest.fixture(autouse=True, scope="module")
def loopback():
    os.environ.setdefault("ROS_DOMAIN_ID", "77")


@pytest.fixture
def client():
    made = Client()
    yield made
    made.close()


@pytest.fixture
def launch(tmp_path):
    launched, config = [], tmp_path / "config.yaml"

    def start(*more: str, **parameters: object) -> Launch:
        values = {"contexts": str(tmp_path / "contexts"), "realtime_priority": PRIORITY, **parameters}
        lines = "\n".join(f"    {name}: {json.dumps(value)}" for name, value in values.items())
        config.write_text(f"/**:\n  ros__parameters:\n{lines}\n")
        log = tmp_path / f"launch{len(launched)}.log"
        launched.append(Launch(log, *ARGUMENTS, f"config:={config}", *more))
        return launched[-1]

    yield start
    for one in launched:
        one.end()


def active(client: Client, seconds: float = 60.0) -> None:
    """Wait until the controller runs."""
    until(lambda: client.state == "passive", seconds, "an active controller")


def gone(launched: Launch, seconds: float = 10.0) -> None:
    try:
        until(lambda: not launched.children(), seconds)
    except AssertionError:
        raise AssertionError(f"after {seconds:g} s there are still {launched.children()}") from None


def test_stands_walks_and_lies_down(client, launch):
    launched = launch()
    active(client)
    assert client.lifecycle() == "active"
    refused = client.ask("walk")
    assert not refused.success and "not allowed in state 'passive'" in refused.message
    client.walk()
    assert client.latest["controller_state"].command_stale
    client.drive(0.4, 0.0, 0.0)
    until(lambda: client.latest["controller_state"].velocity.linear.x == pytest.approx(0.4), 10.0, "velocity")
    time.sleep(4.0)
    assert client.state == "walk", client.latest["controller_state"].fault
    if BANK.exists():
        assert client.set_terrain("stairs_9cm").success
        until(lambda: client.latest["controller_state"].terrain == "stairs_9cm", 5.0)
    unknown = client.set_terrain("the moon")
    assert not unknown.success and ("the moon" in unknown.message or "no context bank" in unknown.message)
    client.drive()
    until(lambda: client.latest["controller_state"].command_stale, 5.0, "a stale command")
    assert client.ask("stand").success
    client.reach("stand")
    assert client.ask("lie_down").success
    client.reach("passive")
    names = [status.name for status in client.latest["/diagnostics"].status]
    assert len(names) == 3 and any("control loop" in name for name in names)
    launched.signal(signal.SIGINT)
    assert launched.wait() == 0, launched.text
    gone(launched)


def test_emergency_stop_and_reset(client, launch):
    launch()
    active(client)
    client.walk()
    assert client.ask("e_stop").success
    client.reach("damping", 2.0)
    until(lambda: not any(client.latest["joint_commands"].stiffness), 2.0)
    assert any(client.latest["joint_commands"].damping)
    assert not client.ask("stand").success
    assert client.ask("reset").success
    client.reach("passive", 5.0)


def test_lifecycle_deactivate_damps_and_activate_begins_again(client, launch):
    launched = launch()
    active(client)
    client.walk()
    assert client.change(Transition.TRANSITION_DEACTIVATE)
    assert client.lifecycle() == "inactive"
    until(lambda: "motors damped" in launched.text, 5.0)
    assert not any(client.latest["joint_commands"].stiffness)
    assert not client.ask("stand").success
    assert client.change(Transition.TRANSITION_ACTIVATE)
    active(client)
    client.walk()
    assert client.change(Transition.TRANSITION_DEACTIVATE) and client.change(Transition.TRANSITION_CLEANUP)
    assert client.lifecycle() == "unconfigured"
    assert client.change(Transition.TRANSITION_CONFIGURE) and client.change(Transition.TRANSITION_ACTIVATE)
    with pytest.raises(AssertionError, match="answer"):  # rclpy does not answer a transition that does not exist
        client.change(Transition.TRANSITION_CONFIGURE, 2.0)
    assert client.lifecycle() == "active"
    assert not client.ask("walk").success


@ADAPTS
def test_adapts_with_feedback_and_walks_on(client, launch, tmp_path):
    launch()
    active(client)
    feedback = []
    goal = client.adapt(feedback.append, accept=True)
    found = client.result(goal, 300.0)
    assert found.accepted, found.reason
    assert Path(found.context).is_file() and "payload" in found.report
    assert len(feedback) >= 15 and {"walk", "adapt"} <= {message.phase for message in feedback}
    assert [m.progress for m in feedback] == sorted(m.progress for m in feedback)
    assert max(message.walked for message in feedback) > 2.0
    assert client.latest["controller_state"].context not in ("", "nominal")
    assert client.ask("walk").success
    client.reach("walk")
    print(f"\n> adapt_context: {len(feedback)} times feedback, the last: {_text(feedback[-1])}")
    print(f"> result: accepted, context {Path(found.context).name}; {found.report}")


@ADAPTS
def test_adapts_with_corrected_gains_and_walks_with_them(client, launch, tmp_path):
    launch("compensate:=true", "payload:=2.0")
    active(client)
    found = client.result(client.adapt(lambda message: None, accept=True), 300.0)
    assert found.accepted, found.reason
    gains = json.loads(Path(found.context).read_text())["gains"]
    wanted = [gains["kp"], gains["kd"], *gains["legs"]]
    assert gains["kp"] != 1.0 and _factors(client) == [1.0] * 6
    assert client.ask("walk").success
    client.reach("walk")
    until(lambda: _factors(client) == wanted, 5.0, "corrected gains")
    print(f"\n> compensated: {found.report}")


def _factors(client) -> list[float]:
    status = client.latest["controller_state"]
    return [status.kp_factor, status.kd_factor, *status.leg_factors]


def _text(feedback) -> str:
    return f"{feedback.phase} {feedback.progress:.2f}, walked {feedback.walked:.1f} m, data {feedback.quality}"


@ADAPTS
def test_adaptation_can_be_canceled_and_stopped(client, launch, tmp_path):
    launch()
    active(client)
    feedback = []
    goal = client.adapt(feedback.append, accept=True)
    until(lambda: any(message.phase == "walk" and message.progress > 0.1 for message in feedback), 30.0, "the walk")
    client.send(goal.cancel_goal_async)
    canceled = client.result(goal, 30.0)
    assert not canceled.accepted and canceled.reason == "canceled"
    assert client.latest["controller_state"].context == "nominal"
    goal = client.adapt(feedback.append, accept=True)
    time.sleep(5.0)
    assert client.ask("e_stop").success
    assert "emergency stop" in client.result(goal, 30.0).reason


def test_killed_controller_is_damped_and_the_launch_fails(client, launch):
    launched = launch()
    active(client)
    client.walk()
    before = client.count["joint_commands"]
    os.kill(launched.children()["quadruped_controller"], signal.SIGKILL)
    until(lambda: client.count["joint_commands"] > before and _damped(client), 20.0, "damping commands")
    assert launched.wait() != 0
    assert "motors damped at the end" in launched.text, launched.text
    gone(launched)
    again = launch()
    active(client)
    client.walk()
    again.signal(signal.SIGINT)
    assert again.wait() == 0


def _damped(client: Client) -> bool:
    command = client.latest["joint_commands"]
    return not any(command.stiffness) and min(command.damping) > 0.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_ends_damped_and_without_orphans(client, launch, number):
    launched = launch()
    active(client)
    client.walk()
    launched.signal(number)
    code = launched.wait()
    assert (code == 0) == (number == signal.SIGINT)
    gone(launched)
    assert _damped(client)
    if number == signal.SIGINT:  # to the others nobody is left to print
        assert "motors damped at the end" in launched.text


def test_refuses_what_does_not_fit_and_says_why(launch, tmp_path):
    launched = launch("context:=/nowhere/context.json")
    assert launched.wait(60.0) != 0
    assert "cannot configure" in launched.text and "/nowhere/context.json" in launched.text
    gone(launched)


def test_a_second_writer_is_a_fault(client, launch):
    from deploy_msgs.msg import JointCommand

    launch()
    active(client)
    client.walk()
    rival = client.node.create_publisher(JointCommand, "joint_commands", 1)
    try:
        client.reach("fault", 10.0)
        assert "2 nodes publish joint_commands" in client.latest["controller_state"].fault
        assert not client.ask("reset").success
    finally:
        client.node.destroy_publisher(rival)
    until(lambda: client.ask("reset").success, 10.0, "reset once the other writer is gone")


def test_a_robot_that_dies_is_a_fault_and_ends_the_launch(client, launch):
    launched = launch()
    active(client)
    client.walk()
    os.kill(launched.children()["simulated_robot"], signal.SIGKILL)
    client.reach("fault", 5.0)
    assert launched.wait() != 0
    gone(launched)


def test_namespace_and_stamped_velocity(launch, tmp_path):
    from geometry_msgs.msg import TwistStamped

    launch("namespace:=left/dog", cmd_vel_stamped=True)
    client = Client("left/dog")
    try:
        active(client)
        client.walk()
        publisher = client.node.create_publisher(TwistStamped, "cmd_vel", 1)
        message = TwistStamped()
        message.twist.angular.z = 0.5
        end = time.monotonic() + 10.0
        while client.latest["controller_state"].velocity.angular.z != 0.5 and time.monotonic() < end:
            publisher.publish(message)
            time.sleep(0.05)
        assert client.latest["controller_state"].velocity.angular.z == 0.5
    finally:
        client.close()


def _has(package: str) -> bool:
    done = subprocess.run(["ros2", "pkg", "prefix", package], capture_output=True, check=False)
    return done.returncode == 0


@ADAPTS
def test_bag_is_read_by_rosbags_and_by_dmcm_adapt(client, launch, tmp_path):
    if not _has("rosbag2_storage_mcap") or not _has("ros2bag"):
        pytest.skip("rosbag2 with MCAP is not installed")
    bag = tmp_path / "bag"
    launched = launch("record:=true", f"bag:={bag}")
    active(client)
    found = client.result(client.adapt(lambda message: None, accept=False), 300.0)
    assert found.report, found.reason
    assert client.state == "stand", client.latest["controller_state"].fault
    client.drive(0.3, 0.0, 0.0)
    client.walk()
    time.sleep(2.0)
    launched.signal(signal.SIGINT)
    assert launched.wait() == 0
    gone(launched)

    from rosbags.rosbag2 import Reader

    with Reader(bag) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
    assert {"/joint_states", "/imu/data", "/joint_commands", "/joint_targets", "/controller_state"} <= set(counts)
    assert counts["/joint_states"] > 3000 and counts["/cmd_vel"] > 10
    out = tmp_path / "context.json"
    command = [
        sys.executable,
        "-c",
        "from cli.main import run; run()",
        "adapt",
        str(bag),
        "--robot",
        ROBOT,
        "--out",
        str(out),
    ]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    print(f"\n> bag: {', '.join(f'{topic} {count}' for topic, count in sorted(counts.items()))}")
    print("\n".join(f"> dmcm adapt: {line}" for line in done.stdout.splitlines() if line.strip()))
    assert done.returncode == 0 and out.is_file(), done.stderr
