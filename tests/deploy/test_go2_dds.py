"""Go2 over DDS on the loopback interface: driver and robot's end, in this process but as two participants."""

from __future__ import annotations

import dataclasses
import os
import time

import numpy as np
import pytest

pytest.importorskip("cyclonedds", reason="DDS needs cyclonedds: pip install '.[unitree]'")

import robots
from deploy.driver import JointCommand
from deploy.unitree import dds, go2_dds, go2_messages, remote
from deploy.unitree.go2_dds import Go2Driver
from deploy.unitree.go2_server import Go2Server
from deploy.unitree.idl import types
from robots.joints import JOINT_NAMES
from tests.deploy.fake_robot import FakeRobot
from tests.deploy.pumped import eventually, pumped

DOMAIN = 60 + os.getpid() % 150  # of this process alone; Cyclone DDS takes 0 to 230


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(go2_dds, "DISCOVERY", 0.4)
    monkeypatch.setattr(go2_dds, "RIVAL", 0.3)


@pytest.fixture
def robot():
    return FakeRobot(robots.load("go2"), position=np.tile([0.05, 1.3, -2.6], 4))


@pytest.fixture
def server():
    return Go2Server("lo", DOMAIN)


@pytest.fixture
def opened(robot, server):
    """Return (driver, pump)."""
    with pumped(server, robot) as pump:
        driver = Go2Driver("lo", DOMAIN)
        yield driver, pump
        driver.close()


def command(position=0.0, kp=0.0):
    return JointCommand(np.full(12, position), np.zeros(12), np.zeros(12), np.full(12, kp), np.ones(12))


def rival_writer():
    return dds.writer(dds.participant(DOMAIN, "lo"), dds.LOW_CMD, types().LowCmd)


def sample(of):
    return types().LowCmd.of(go2_messages.cmd_to_cdr(go2_messages.pack_command(of)))


def test_type_names_are_the_makers():
    names = {name: kind.__idl_typename__.replace(".", "::") for name, kind in vars(types()).items()}
    assert names["LowCmd"] == "unitree_go::msg::dds_::LowCmd_"
    assert names["LowState"] == "unitree_go::msg::dds_::LowState_"
    assert names["WirelessController"] == "unitree_go::msg::dds_::WirelessController_"
    assert names["Request"] == "unitree_api::msg::dds_::Request_"


@pytest.mark.parametrize(
    ("kind", "layout", "to_cdr", "from_cdr"),
    [
        ("LowCmd", go2_messages.LOW_CMD, go2_messages.cmd_to_cdr, go2_messages.cmd_from_cdr),
        ("LowState", go2_messages.LOW_STATE, go2_messages.state_to_cdr, go2_messages.state_from_cdr),
    ],
)
def test_our_bytes_are_those_of_cyclonedds(kind, layout, to_cdr, from_cdr):
    """Fill every field, let cyclonedds read our bytes field by field, and let it write them again."""
    record, kind = np.zeros((), layout), getattr(types(), kind)
    rng = np.random.default_rng(3)
    fill(record, rng)
    body = to_cdr(record.tobytes())
    read = kind.__idl__.deserialize(b"\0\1\0\0" + body)
    assert numbers(read) == numbers(record)
    assert kind.__idl__.serialize(read, use_version_2=False)[4:] == body
    assert from_cdr(body) == record.tobytes()


def fill(record, rng):
    """Put a number into every field, none into the padding."""
    for name in record.dtype.names:
        field = record.dtype[name]
        if field.base.names:
            for part in np.atleast_1d(record[name]) if field.shape else [record[name]]:
                fill(part, rng)
        else:
            record[name] = rng.integers(1, 100, field.shape)


def numbers(value):
    """Return a message's numbers in their order, of one that cyclonedds read or of ours."""
    if dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
    elif isinstance(value, (np.ndarray, np.void)) and value.dtype.names and not value.shape:
        parts = [value[name] for name in value.dtype.names]
    elif isinstance(value, np.ndarray) and not value.dtype.names:
        return value.ravel().tolist()
    elif isinstance(value, (list, tuple, bytes, np.ndarray)):
        parts = list(value)
    else:
        return [value]
    return [number for part in parts for number in numbers(part)]


def test_states_arrive_by_name(opened, robot):
    driver, _ = opened
    robot.state.joint_position = robot.state.joint_position + np.arange(12) / 100
    assert eventually(lambda: np.allclose(driver.read().joint_position, robot.state.joint_position, atol=1e-6))
    assert driver.joint_names == JOINT_NAMES and driver.problem is None
    before = driver.read().stamp
    assert eventually(lambda: driver.read().stamp > before)


def test_commands_arrive_by_name(opened):
    driver, pump = opened
    sent = command()
    sent.position += np.arange(12) / 10
    assert eventually(lambda: pump.commands, meanwhile=lambda: driver.write(sent))
    np.testing.assert_allclose(pump.commands[-1].position, sent.position, atol=1e-6)
    assert pump.server.damaged == 0


def test_damaged_commands_are_counted_and_not_followed(server, robot):
    with pumped(server, robot) as pump:
        rival, raw = rival_writer(), go2_messages.pack_command(command(kp=10.0))
        wrong = types().LowCmd.of(go2_messages.cmd_to_cdr(raw[:-1] + bytes([raw[-1] ^ 1])))
        assert eventually(lambda: pump.server.damaged > 0, meanwhile=lambda: rival.write(wrong))
        assert not pump.commands


def test_nobody_there():
    with pytest.raises(OSError, match=f"no state from a Go2 on DDS domain {DOMAIN}, interface lo"):
        Go2Driver("lo", DOMAIN, timeout=0.2)


def test_no_such_interface():
    with pytest.raises(OSError, match="cannot join DDS domain"):
        dds.participant(DOMAIN + 1 if DOMAIN < 209 else 59, "no_such_if")


def test_another_program_that_commands_is_refused(server, robot):
    with pumped(server, robot):
        rival = rival_writer()
        with pytest.raises(OSError, match="another program is ready to send low-level commands"):
            Go2Driver("lo", DOMAIN)
        driver = Go2Driver("lo", DOMAIN, silent_rivals=True)
        assert driver.read() is not None and driver.problem is None
        rival.write(sample(command()))
        assert eventually(lambda: driver.problem is not None, meanwhile=driver.read)
        assert "another program sends low-level commands" in driver.problem
        del rival
        assert eventually(lambda: driver.problem is None, meanwhile=driver.read)
        driver.close()


def test_another_program_that_comes_later_is_a_problem(opened):
    driver, _ = opened
    rival = rival_writer()
    assert eventually(lambda: driver.problem is not None, meanwhile=driver.read)
    assert "another program" in driver.problem
    del rival
    assert eventually(lambda: driver.problem is None, meanwhile=driver.read)


def test_a_robot_that_falls_silent_and_returns(opened):
    driver, pump = opened
    pump.silent = True
    assert eventually(lambda: driver.problem is not None, meanwhile=driver.read)
    assert "the robot is silent" in driver.problem
    pump.silent = False
    assert eventually(lambda: driver.problem is None, meanwhile=driver.read)


def test_a_robot_restarted_with_its_own_controller_active(opened, monkeypatch):
    driver, pump = opened
    monkeypatch.setattr(go2_dds, "AWAY", 0.2)
    pump.silent = True
    time.sleep(0.4)
    pump.server.sport_mode, pump.silent = "normal", False
    assert eventually(lambda: "'normal' is active" in (driver.problem or ""), meanwhile=driver.read)
    pump.server.sport_mode = ""  # let go by the maker's app
    assert eventually(lambda: driver.problem is None, meanwhile=driver.read)


def test_sport_mode_must_be_released_lying(server, robot):
    server.sport_mode = "normal"
    with pumped(server, robot) as pump:
        with pytest.raises(OSError, match=r"controller 'normal' is active.*--release-sport"):
            Go2Driver("lo", DOMAIN)
        lying, robot.state.joint_position = robot.state.joint_position, robots.load("go2").default_position
        with pytest.raises(OSError, match="holds it up"):
            Go2Driver("lo", DOMAIN, release_sport=True)
        robot.state.joint_position = lying
        driver = Go2Driver("lo", DOMAIN, release_sport=True)
        assert pump.server.sport_mode == ""
        assert eventually(lambda: driver.problem is None, meanwhile=driver.read)
        driver.close()


def test_a_controller_that_does_not_answer_counts_as_active(server, robot, monkeypatch):
    answers = iter(["normal", None, "normal", ""])
    monkeypatch.setattr(dds.MotionSwitcher, "wait", lambda switcher, seconds: next(answers))
    server.sport_mode = "normal"
    with pumped(server, robot) as pump:
        driver = Go2Driver("lo", DOMAIN, release_sport=True)
        assert eventually(lambda: pump.server.sport_mode == "")
        assert not list(answers)
        driver.close()


def test_the_remotes_emergency_stop(opened):
    driver, pump = opened
    assert driver.remote() is None
    pump.server.remote = remote.Remote(keys=remote.L2 | remote.B)
    assert eventually(lambda: (wish := driver.remote()) and wish.event == "damping", meanwhile=driver.read)


def test_the_remotes_own_topic_is_forgotten_when_it_falls_silent(opened):
    driver, pump = opened
    held = types().WirelessController(0.0, 1.0, 0.0, 0.0, 0)
    assert eventually(driver.remote, meanwhile=lambda: (pump.server._sticks.write(held), driver.read()))
    assert eventually(lambda: driver.remote() is None, meanwhile=driver.read)


def test_commands_that_cannot_be_sent_are_a_problem(opened, monkeypatch):
    driver, _ = opened
    monkeypatch.setattr(dds, "write", lambda by, sample: False)
    driver.write(command())
    driver.read()
    assert "cannot be sent" in driver.problem
    monkeypatch.undo()
    driver.write(command())
    assert eventually(lambda: driver.problem is None, meanwhile=driver.read)


def test_states_with_a_wrong_checksum_are_left_out(opened, monkeypatch):
    driver, _ = opened
    monkeypatch.setattr(go2_messages, "crc32", lambda data: 1234)
    assert eventually(lambda: driver.problem is not None, meanwhile=driver.read)
    monkeypatch.undo()
    assert eventually(lambda: driver.problem is None, meanwhile=driver.read)
