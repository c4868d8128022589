"""The simulated robot behind a wire: it follows the newest command, and brakes when none comes."""

from types import SimpleNamespace

import numpy as np
import pytest

import robots
from sim.field import FieldRobot
from sim.server import BRAKE_KD, STATE_DT, WATCHDOG, RobotServer


class Wire:
    """A link that keeps what is sent and hands over what tests put in."""

    def __init__(self):
        self.inbox, self.states = [], []

    def receive(self):
        commands, self.inbox = self.inbox, []
        return commands

    def publish(self, state):
        self.states.append(state)


def command(position=0.0, kp=0.0):
    zero = np.zeros(12)
    return SimpleNamespace(
        position=np.full(12, position), velocity=zero, torque=zero, kp=np.full(12, kp), kd=np.full(12, 1.0)
    )


@pytest.fixture
def server():
    return RobotServer(FieldRobot(robots.load("go2"), command_dt=STATE_DT), Wire())


def gains(server):
    return server.robot._command[3][0], server.robot._command[4][0]


def test_motors_brake_before_the_first_command(server):
    server.step()
    assert gains(server) == (0.0, BRAKE_KD)
    assert server.report.braked == 0


def test_the_newest_command_counts(server):
    server.link.inbox = [command(kp=10.0), command(kp=20.0)]
    server.step()
    assert gains(server) == (20.0, 1.0) and server.report.commands == 2


def test_every_period_sends_a_state(server):
    for _ in range(10):
        server.step()
    stamps = [state.stamp for state in server.link.states]
    np.testing.assert_allclose(np.diff(stamps), STATE_DT, atol=1e-9)
    assert server.report.states == 10


def test_without_commands_the_motors_brake_once(server):
    server.link.inbox = [command(kp=10.0)]
    for _ in range(round(WATCHDOG / STATE_DT) - 1):
        server.step()
    assert gains(server) == (10.0, 1.0)
    for _ in range(20):
        server.step()
    assert gains(server) == (0.0, BRAKE_KD) and server.report.braked == 1
    server.link.inbox = [command(kp=10.0)]
    server.step()
    assert gains(server) == (10.0, 1.0)


def test_it_runs_for_as_long_as_it_is_told(server):
    report = server.run(seconds=0.2)
    assert report.states > 5 and report.seconds >= 0.2
