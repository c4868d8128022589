"""The log is what rosbag2's readers say it is, and survives whatever ends the run."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from deploy.driver import JointCommand
from deploy.log import LogError, LogWriter
from tests.deploy.fake_robot import FakeRobot

EPOCH = 1_700_000_000.0
TOPICS = (
    *("/imu/data", "/joint_states", "/joint_commands", "/cmd_vel"),
    *("/motor_commands", "/controller_state", "/foot_force"),
)


def fill(log, spec, count, start=0.0):
    """Record `count` states 20 ms apart whose joints are numbered, with commands 1 rad above."""
    robot = FakeRobot(spec)
    for i in range(count):
        robot.state.stamp = start + 0.02 * i
        robot.state.joint_position = np.arange(12.0) + i
        target = robot.state.joint_position + 1.0
        command = JointCommand(target, *(np.full(12, v) for v in (0.0, 0.5, 30.0, 0.8)))
        log.record(robot.state, target, np.array([0.1, 0.2, 0.3]), command, json.dumps({"state": "walk", "i": i}))


def read(path):
    """Return {topic: [(time, message)]} as rosbags reads it."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    found = {}
    with Reader(path) as reader:
        for connection, stamp, data in reader.messages(reader.connections):
            message = store.deserialize_cdr(data, connection.msgtype)
            found.setdefault(connection.topic, []).append((stamp, message))
    return found


@pytest.fixture
def log(tmp_path, spec):
    return LogWriter(tmp_path / "log", spec, {"robot": spec.name}, EPOCH)


@pytest.mark.parametrize("bare", [False, True], ids=["folder", "file"])
def test_round_trip(log, spec, bare):
    with log:
        fill(log, spec, 100, start=12.5)
    topics = read(log.file if bare else log.folder)
    assert {name: len(messages) for name, messages in topics.items()} == dict.fromkeys(TOPICS, 100)
    stamp, joints = topics["/joint_states"][7]
    assert stamp == round(EPOCH * 1e9) + 140_000_000
    assert (joints.header.stamp.sec, joints.header.stamp.nanosec) == (round(EPOCH), 140_000_000)
    assert tuple(joints.name) == spec.joint_names
    assert np.array_equal(joints.position, np.arange(12.0) + 7) and np.array_equal(joints.effort, np.zeros(12))
    command = topics["/joint_commands"][7][1]
    assert np.array_equal(command.position, np.arange(12.0) + 8) and np.all(command.effort == 0.5)
    imu = topics["/imu/data"][7][1]
    assert (imu.orientation.w, imu.orientation.x) == (1.0, 0.0) and imu.linear_acceleration.z == 9.81
    twist = topics["/cmd_vel"][7][1].twist
    assert (twist.linear.x, twist.linear.y, twist.angular.z) == (0.1, 0.2, 0.3)
    sent = topics["/motor_commands"][7][1]
    assert [d.size for d in sent.layout.dim] == [5, 12] and np.all(sent.data.reshape(5, 12)[3] == 30.0)
    assert json.loads(topics["/controller_state"][7][1].data) == {"state": "walk", "i": 7}
    assert np.all(topics["/foot_force"][7][1].data == 30.0)


def test_events_are_on_the_disk_at_once(log, spec):
    fill(log, spec, 3)
    log.event(0.05, {"from": "walk", "to": "fault", "cause": "tilted by 1.10 rad"})
    metadata = log.folder / "metadata.yaml"
    wait_for(lambda: metadata.exists() and '"message_count": 22' in metadata.read_text())
    ((stamp, message),) = read(log.folder)["/events"]
    assert stamp == round(EPOCH * 1e9) + 50_000_000
    assert json.loads(message.data) == {"stamp": 0.05, "from": "walk", "to": "fault", "cause": "tilted by 1.10 rad"}
    log.event(float("nan"), {"refused": "no"})
    log.close()
    assert len(read(log.folder)["/events"]) == 2


def test_definitions_are_those_of_ros(log, spec):
    with log:
        fill(log, spec, 1)
    store = get_typestore(Stores.ROS2_HUMBLE)
    with Reader(log.folder) as reader:
        for connection in reader.connections:
            own = get_typestore(Stores.EMPTY)
            own.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
            assert own.hash_rihs01(connection.msgtype) == store.hash_rihs01(connection.msgtype), connection.topic


def test_the_official_reader_agrees(log, spec):
    mcap = pytest.importorskip("mcap.reader")
    with log:
        fill(log, spec, 10)
    with log.file.open("rb") as file:
        reader = mcap.make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary.statistics.message_count == 70 and len(summary.channels) == 8
        assert [(r.name, r.metadata) for r in reader.iter_metadata()] == [("dmcm", {"robot": spec.name})]
        assert sum(1 for _ in reader.iter_messages()) == 70
    from mcap.stream_reader import StreamReader

    with log.file.open("rb") as file:
        assert [type(r).__name__ for r in StreamReader(file).records][-1] == "Footer"


def test_empty_log_is_readable(log):
    log.close()
    assert read(log.folder) == {} and read(log.file) == {}


def test_missing_sensors(log, spec):
    robot = FakeRobot(spec)
    robot.state.foot_force = robot.state.linear_acceleration = None
    with log:
        log.record(robot.state, np.zeros(12), np.zeros(3), JointCommand(*(np.zeros(12) for _ in range(5))), "{}")
    topics = read(log.folder)
    assert "/foot_force" not in topics
    assert topics["/imu/data"][0][1].linear_acceleration_covariance[0] == -1.0


def test_spoiled_states_do_not_raise(log, spec):
    robot = FakeRobot(spec)
    command = JointCommand(*(np.zeros(12) for _ in range(5)))
    with log:
        for stamp in (0.0, np.nan, np.inf, 1e300, -1e9, 0.02):
            robot.state.stamp = stamp
            log.record(robot.state, np.full(12, np.nan), np.zeros(3), command, "{}")
        robot.state.joint_position = np.zeros(11)
        log.record(robot.state, np.zeros(12), np.zeros(3), command, "{}")
    stamps = [stamp for stamp, _ in read(log.folder)["/joint_states"]]
    assert np.diff(stamps).tolist() == [0, 0, 0, 0, 20_000_000] and log.skipped == 1 and log.records == 6


def test_refuses_an_existing_or_impossible_folder(log, spec, tmp_path):
    log.close()
    with pytest.raises(LogError, match="exists already"):
        LogWriter(log.folder, spec, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot write the log"):
        LogWriter(tmp_path / "file" / "log", spec, {})


KILLED = """
import sys, time, robots
from deploy.log import LogWriter
from tests.deploy.test_log import fill
spec = robots.load("go1")
log = LogWriter(sys.argv[1], spec, {})
fill(log, spec, 50)
time.sleep(1.3)
fill(log, spec, 50, start=1.0)
print("ready", flush=True)
time.sleep(60)
"""


def test_killed_process_leaves_a_readable_log(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout.readline() == b"ready\n"
        process.kill()
    assert len(read(tmp_path / "log")["/joint_states"]) >= 50


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_full_disk_ends_the_log_not_the_run(log, spec, monkeypatch):
    monkeypatch.setattr("deploy.log.FLUSH", 0.05)
    fill(log, spec, 50)
    metadata = log.folder / "metadata.yaml"
    wait_for(lambda: metadata.exists() and '"message_count": 350' in metadata.read_text())
    write = os.pwrite

    def full(file, data, offset):
        if len(data) > 5000:
            write(file, data[:1000], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    fill(log, spec, 50, start=1.0)
    wait_for(lambda: log.error)
    fill(log, spec, 50, start=2.0)
    log.close()
    assert "ends early: No space left on device" in log.error
    assert len(read(log.folder)["/joint_states"]) == 50


def test_folder_that_vanishes_is_made_anew_once(log, spec, tmp_path, monkeypatch):
    monkeypatch.setattr("deploy.log.FLUSH", 0.05)
    metadata = log.folder / "metadata.yaml"
    wait_for(metadata.exists)
    log.folder.rename(tmp_path / "elsewhere")
    fill(log, spec, 10)
    wait_for(log.folder.exists)
    fill(log, spec, 5, start=1.0)
    wait_for(lambda: metadata.exists() and '"message_count": 35' in metadata.read_text())
    assert len(read(log.folder)["/joint_states"]) == 5 and not log.error
    log.folder.rename(tmp_path / "elsewhere too")
    fill(log, spec, 10)
    wait_for(lambda: log.error)
    assert "No such file" in log.error
    log.close()
    log.close()


def test_a_folder_that_vanishes_before_the_end_does_not_keep_the_log_from_ending(log, spec, tmp_path):
    fill(log, spec, 10)
    wait_for(lambda: log._queue.empty())
    log.folder.rename(tmp_path / "elsewhere")
    closing = threading.Thread(target=log.close, daemon=True)
    closing.start()
    closing.join(20.0)
    assert not closing.is_alive() and (log.folder / "metadata.yaml").exists()
