"""Go1 over UDP against a stand-in that speaks the same packets."""

import numpy as np
import pytest

import robots
from deploy.driver import JointCommand
from deploy.unitree import remote
from deploy.unitree.go1_server import Go1Server
from deploy.unitree.go1_udp import Go1Driver
from tests.deploy.fake_robot import FakeRobot
from tests.deploy.pumped import eventually, pumped


@pytest.fixture
def robot():
    return FakeRobot(robots.load("go1"))


@pytest.fixture
def opened(robot):
    """Return (driver, pump)."""
    with pumped(Go1Server(port=0), robot) as pump:
        driver = Go1Driver("127.0.0.1", pump.server.port)
        yield driver, pump
        driver.close()


def command(position):
    return JointCommand(position, np.zeros(12), np.zeros(12), np.full(12, 20.0), np.ones(12))


def test_the_first_commands_let_the_motors_damp(opened):
    _, pump = opened
    first = pump.commands[0]
    assert first.kd.all() and not first.kp.any() and not first.torque.any()


def test_states_and_commands_cross_by_name(opened, robot):
    driver, pump = opened
    robot.state.joint_position = robot.state.joint_position + np.arange(12) / 100
    assert eventually(lambda: np.allclose(driver.read().joint_position, robot.state.joint_position, atol=1e-6))
    sent = command(np.arange(12) / 10)
    assert eventually(
        lambda: np.allclose(pump.commands[-1].position, sent.position, atol=1e-6),
        meanwhile=lambda: driver.write(sent),
    )
    assert driver.problem is None


def test_a_robot_sends_nothing_before_it_is_commanded(robot):
    with pumped(Go1Server(port=0), robot) as pump:
        import socket

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.settimeout(0.1)
            deaf.connect(("127.0.0.1", pump.server.port))
            with pytest.raises(OSError):
                deaf.recv(2048)


def test_nobody_there():
    server = Go1Server(port=0)
    server.close()
    with pytest.raises(OSError, match="no state from a Go1 at 127"):
        Go1Driver("127.0.0.1", server.port, timeout=0.1)


def test_a_robot_that_falls_silent_and_returns(opened):
    driver, pump = opened
    pump.silent = True
    assert eventually(lambda: "silent" in (driver.problem or ""), meanwhile=driver.read)
    stale = driver.read().stamp
    pump.silent = False
    assert eventually(lambda: driver.problem is None and driver.read().stamp > stale, meanwhile=driver.read)


def test_packets_that_are_none_are_a_problem_and_leave_the_state(opened):
    driver, pump = opened
    pump.silent = True
    good = driver.read()
    for _ in range(20):
        pump.server._socket.sendto(bytes(807), pump.server._peer)
    assert eventually(lambda: "cannot be read" in (driver.problem or ""), meanwhile=driver.read)
    np.testing.assert_array_equal(driver.read().joint_position, good.joint_position)


def test_the_remotes_emergency_stop(opened):
    driver, pump = opened
    pump.server.remote = remote.Remote(keys=remote.L2 | remote.B)
    assert eventually(lambda: (wish := driver.remote()) and wish.event == "damping", meanwhile=driver.read)
