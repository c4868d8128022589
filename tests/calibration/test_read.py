"""Reading logs: every storage, every joint order, and one clear sentence for what cannot be read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import robots
from calibration.errors import RefusedError
from calibration.read import Topics, read
from deploy.driver import JointCommand
from deploy.log import LogWriter
from robots.joints import ISAAC_LAB, SDK

SPEC = robots.load("go1")
NAMES = SPEC.joint_names


@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        ("mcap", "none"),
        ("mcap", "file"),
        ("mcap", "message"),
        ("mcap", "storage"),
        ("sqlite3", "none"),
        ("sqlite3", "file"),
        ("sqlite3", "message"),
    ],
)
def test_every_storage_gives_the_same_series(bench, bag, storage, compression):
    walk = bench.walk.rows(slice(0, 30)).but(state=["walk"] * 30)
    metadata = {"robot": "go1"}
    log = read(bag(walk, storage=storage, compression=compression, metadata=metadata), NAMES)
    np.testing.assert_array_equal(log.joints.values["position"], walk.position)
    np.testing.assert_array_equal(log.joints.values["velocity"], walk.velocity)
    np.testing.assert_array_equal(log.joints.values["effort"], walk.effort)
    np.testing.assert_array_equal(log.commands.values["position"], walk.target)
    np.testing.assert_array_equal(log.imu.values["quaternion"], walk.quaternion)
    np.testing.assert_array_equal(log.imu.values["angular_velocity"], walk.angular_velocity)
    np.testing.assert_allclose(log.imu.stamp, walk.time - walk.time[0], atol=1e-9)
    assert log.controller is not None and log.controller.values["state"] == ["walk"] * 30
    assert log.metadata["robot"] == "go1"


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_bare_file_is_read(bench, bag, storage):
    folder = bag(bench.walk.rows(slice(0, 30)), storage=storage)
    (file,) = (p for p in folder.iterdir() if p.suffix in (".mcap", ".db3"))
    assert len(read(file, NAMES).imu) == 30


def test_a_folder_without_metadata_is_read_if_its_one_file_is_whole(bench, bag):
    folder = bag(bench.walk.rows(slice(0, 30)))
    (folder / "metadata.yaml").unlink()
    assert len(read(folder, NAMES).imu) == 30
    (folder / "log.mcap").rename(folder / "log.bag")
    with pytest.raises(RefusedError, match=r"no metadata.yaml.*ros2 bag reindex"):
        read(folder, NAMES)


@pytest.mark.parametrize("order", [SDK, ISAAC_LAB])
def test_joints_are_matched_by_name(bench, bag, order):
    walk = bench.walk.rows(slice(0, 30))
    log = read(bag(walk, names=order, command_names=NAMES), NAMES)
    np.testing.assert_array_equal(log.joints.values["position"], walk.position)
    np.testing.assert_array_equal(log.commands.values["position"], walk.target)


def test_other_joints_and_publishers_are_passed_over(bench, tmp_path):
    tools, kind = bench.tools, "sensor_msgs/msg/JointState"
    more = ["gripper", *SDK, "arm"]
    q = np.arange(14.0)
    messages = [("/imu/data", "sensor_msgs/msg/Imu", 1.0, tools.imu_message(1.0, bench.walk, 0))]
    for topic in ("/joint_states", "/joint_commands"):
        messages.append((topic, kind, 1.0, tools.joint_message(1.0, ["gripper"], [7.0], [0.0])))
        messages.append((topic, kind, 1.1, tools.joint_message(1.1, more, q, q)))
    log = read(tools.write_messages(tmp_path / "log", messages), NAMES)
    assert len(log.joints) == 1
    np.testing.assert_array_equal(log.joints.values["position"][0], [more.index(name) for name in NAMES])
    assert np.isnan(log.joints.values["effort"]).all()


def test_the_controllers_own_log_is_read(bench, tmp_path):
    class State:
        stamp, foot_force = 0.0, None
        angular_velocity, linear_acceleration = np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.0, 9.8])
        quaternion = np.array([1.0, 0.0, 0.0, 0.0])
        joint_position, joint_velocity, joint_torque = np.arange(12.0), np.arange(12.0) / 10, np.arange(12.0) / 5

    still = JointCommand(*(np.zeros(12) for _ in range(5)))
    with LogWriter(tmp_path / "log", SPEC, {"robot": "go1", "robot_digest": SPEC.digest()}, epoch=1e9) as writer:
        for i in range(5):
            State.stamp = 3.0 + 0.02 * i
            writer.record(State(), SPEC.default_position, np.array([0.5, 0.0, 0.1]), still, '{"state": "calibrate"}')
    for path in (tmp_path / "log", writer.file):
        log = read(path, NAMES)
        assert log.metadata == {"robot": "go1", "robot_digest": SPEC.digest()}
        np.testing.assert_allclose(log.joints.stamp, 0.02 * np.arange(5), atol=1e-8)
        np.testing.assert_array_equal(log.joints.values["effort"][2], State.joint_torque)
        np.testing.assert_array_equal(log.imu.values["quaternion"][0], State.quaternion)
        assert log.velocity_command is not None and log.controller is not None
        np.testing.assert_array_equal(log.velocity_command.values["command"][0], [0.5, 0.0, 0.1])
        assert set(log.controller.values["state"]) == {"calibrate"}


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing.mcap does not exist"):
        read(tmp_path / "nothing.mcap", NAMES)
    (tmp_path / "log.txt").write_text("hello")
    with pytest.raises(RefusedError, match=r"no \.mcap or \.db3"):
        read(tmp_path / "log.txt", NAMES)
    (tmp_path / "log.mcap").touch()
    with pytest.raises(RefusedError, match=r"empty \(0 bytes\)"):
        read(tmp_path / "log.mcap", NAMES)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_mcap_says_so_and_what_to_do(bench, bag, share):
    folder = bag(bench.walk.rows(slice(0, 100)))
    file = folder / "log.mcap"
    content = file.read_bytes()
    file.write_bytes(content[: max(9, int(share * len(content)))])
    for path in (folder, file):
        with pytest.raises(RefusedError, match=r"is truncated .*mcap recover log.mcap.*record the walk again"):
            read(path, NAMES)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_an_empty_log(bench, tmp_path, storage):
    topics = [("/imu/data", "sensor_msgs/msg/Imu"), ("/joint_states", "sensor_msgs/msg/JointState")]
    folder = bench.tools.write_messages(tmp_path / "log", [], storage=storage, topics=topics)
    with pytest.raises(RefusedError, match=r"is empty \(no message in it\)"):
        read(folder, NAMES)


def test_missing_silent_and_mistyped_topics(bench, bag, tmp_path):
    walk = bench.walk.rows(slice(0, 5))
    with pytest.raises(RefusedError, match=r"lacks topic /imu/data, /joint_commands \(it has /joint_states\)"):
        read(bag(walk, "a", leave_out=["/imu/data", "/joint_commands"]), NAMES)
    silent = bag(walk, "b", leave_out=["/imu/data"], topics=[("/imu/data", "sensor_msgs/msg/Imu")])
    with pytest.raises(RefusedError, match="no message on /imu/data"):
        read(silent, NAMES)
    text = [("/imu/data", "std_msgs/msg/String", 1.0, bench.tools.text_message("hello"))]
    folder = bench.tools.write_messages(tmp_path / "c", text, topics=[
        ("/joint_states", "sensor_msgs/msg/JointState"),
        ("/joint_commands", "sensor_msgs/msg/JointState"),
    ])  # fmt: skip
    with pytest.raises(RefusedError, match="/imu/data is of type std_msgs/msg/String"):
        read(folder, NAMES)
    with pytest.raises(RefusedError, match="lacks topic /my/imu"):
        read(bag(walk, "d"), NAMES, Topics(imu="/my/imu"))


def test_joints_of_another_robot(bench, bag):
    names = [f"leg{i}_{part}" for i in range(4) for part in "abc"]
    with pytest.raises(RefusedError, match=r"/joint_states lacks joints FL_hip_joint, .*leg0_a.*another robot"):
        read(bag(bench.walk.rows(slice(0, 5)), names=names), NAMES)


def test_values_that_do_not_go_with_the_names(bench, tmp_path):
    tools, kind = bench.tools, "sensor_msgs/msg/JointState"
    messages = [("/imu/data", "sensor_msgs/msg/Imu", 1.0, tools.imu_message(1.0, bench.walk, 0))]
    for topic in ("/joint_states", "/joint_commands"):
        messages.append((topic, kind, 1.0, tools.joint_message(1.0, NAMES, np.zeros(12))))
    with pytest.raises(RefusedError, match="/joint_states has 0 values of velocity for 12 names"):
        read(tools.write_messages(tmp_path / "log", messages), NAMES)


@pytest.fixture(scope="module")
def whole(bench, tmp_path_factory) -> Path:
    return bench.tools.write_bag(tmp_path_factory.mktemp("fuzz") / "log", bench.walk.rows(slice(0, 20)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_a_flipped_byte_is_read_or_refused(whole, place, value):
    content = bytearray((whole / "log.mcap").read_bytes())
    content[int(place * len(content))] ^= value
    damaged = whole.parent / "damaged.mcap"
    damaged.write_bytes(content)
    try:
        read(damaged, NAMES)
    except ValueError as error:
        assert "\n" not in str(error) and "damaged.mcap" in str(error)
