"""Logs: what is read from them, where the robot is in them, and what is refused."""

import dataclasses
import shutil

import numpy as np
import pytest

import models
from deploy.odometry import LegOdometry
from deploy.replay import ReplayDriver
from viewer.knowledge import Knowledge, Plane
from viewer.log import load
from viewer.track import Recent, Track, pack, prediction_error


def test_states_and_faults_are_on_the_time_bar(log):
    recording = load(log)
    assert [span.state for span in recording.spans] == ["stand", "walk", "fault"]
    assert recording.spans[1].begin == pytest.approx(2.02, abs=0.03)
    assert [(round(e.time, 1), e.fault) for e in recording.events] == [(7.2, True)]
    assert "tilted" in recording.events[0].text
    assert (recording.state(1.0), recording.state(5.0), recording.state(7.5)) == ("stand", "walk", "fault")


def test_rows_hold_what_was_logged(log, spec):
    track = load(log).track
    assert len(track) == 400
    np.testing.assert_allclose(track["time"], 0.02 * np.arange(400), atol=1e-6)
    np.testing.assert_allclose(track["target"] - track["joint_position"], 0.05, atol=1e-9)
    np.testing.assert_allclose(track["command"][:, 0], 0.5)
    assert track["walking"][150] == 1.0 and track["walking"][50] == 0.0
    np.testing.assert_array_equal(track["contact"][200], [1, 0, 0, 1])


def test_dead_reckoning_is_the_controllers_own_odometry(log, spec):
    odometry, driver = LegOdometry(spec, spec.control_dt), ReplayDriver(log, "go1", spec.control_dt, fast=True)
    told = []
    while not driver.ended:
        state = driver.read()
        told.append(odometry.update(state, state.foot_force)[:2])
        driver.wait()
    velocity = load(log).track["velocity"][:, :2]
    np.testing.assert_allclose(velocity[20:], np.array(told)[20 : len(velocity)], atol=1e-6)


def test_the_lowest_foot_stands_on_the_ground(log, spec):
    from robots.kinematics import foot_positions

    track = load(log).track
    feet = foot_positions(spec, track["joint_position"])[:, :, 2].min(axis=1) + track["position"][:, 2]
    np.testing.assert_allclose(feet, spec.foot_radius, atol=1e-9)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"robot": "go2"}, "is of robot 'go2', not 'go1'"),
        ({"robot": "spot"}, "is of robot 'spot', not 'go1'"),
    ],
)
def test_a_log_of_another_robot_is_refused(tmp_path, spec, spoil, message):
    from viewer.bench import write_log

    write_log(tmp_path / "log", dataclasses.replace(spec, name=spoil["robot"]), 0.5)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "log", "go1")


def test_a_log_of_an_unknown_robot_is_refused(tmp_path, spec):
    from viewer.bench import write_log

    write_log(tmp_path / "log", dataclasses.replace(spec, name="spot"), 0.5)
    with pytest.raises(ValueError, match=r"'spot', which is not known here: .*go1"):
        load(tmp_path / "log")


def test_a_log_of_other_constants_is_shown_with_a_warning(tmp_path, spec):
    from viewer.bench import write_log

    write_log(tmp_path / "log", dataclasses.replace(spec, kp=1.0), 0.5)
    assert "other constants" in load(tmp_path / "log").warning


def test_a_missing_or_damaged_log_is_one_sentence(tmp_path, log):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load(tmp_path / "nothing.mcap")
    copy = tmp_path / "log.mcap"
    shutil.copy(next(log.glob("*.mcap")), copy)
    copy.write_bytes(copy.read_bytes()[:5000])
    with pytest.raises(ValueError, match="truncated"):
        load(copy)


def test_a_track_finds_its_rows():
    track = Track(pack(5, time=np.array([[0.0], [0.1], [0.2], [0.3], [0.4]])))
    assert (track.at(-1.0), track.at(0.1), track.at(0.25), track.at(9.0)) == (0, 1, 2, 4)
    np.testing.assert_allclose(track.until(3, 2)["time"], [0.2, 0.3])
    assert len(track.until(0, 10)) == 1


def test_recent_rows_begin_anew_when_time_goes_back():
    recent = Recent(3)
    for time in (0.0, 0.1, 0.2, 0.3):
        recent.add(pack(1, time=time)[0])
    np.testing.assert_allclose(recent.track()["time"], [0.1, 0.2, 0.3])
    recent.add(pack(1, time=0.0)[0])
    assert len(recent.track()) == 1


def test_prediction_error_is_known_while_a_policy_walks(log, spec):
    knowledge, track = Knowledge(spec, models.path("go1")), load(log).track
    error = prediction_error(track, spec, knowledge.model, knowledge.bank.nominal_robot, knowledge.terrain("flat"))
    known = np.isfinite(error)
    assert not known[:101].any() and known[110:355].all() and not known[365:].any()
    assert (error[known] >= 0).all()


def test_errors_are_told_of_the_nominal_and_of_the_context_in_use(log, spec):
    knowledge, track = Knowledge(spec, models.path("go1")), load(log).track
    assert list(knowledge.errors(track, None, "flat")) == ["nominal"]
    assert list(knowledge.errors(track, knowledge.bank.robot_contexts[0], "no such terrain")) == ["nominal", "in use"]


def test_the_plane_shows_where_contexts_differ():
    rng = np.random.default_rng(0)
    contexts = rng.standard_normal((200, 5)) * [9.0, 0.1, 3.0, 0.1, 0.1]
    plane = Plane(contexts)
    assert plane.shares[0] > 0.85 and sum(plane.shares) > 0.99
    assert abs(np.corrcoef(plane.project(contexts)[:, 0], contexts[:, 0])[0, 1]) > 0.99
