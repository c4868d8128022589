"""A log played back as a robot."""

import numpy as np
import pytest

from deploy.driver import Operator
from deploy.log import LogWriter
from deploy.loop import run
from deploy.replay import ReplayDriver
from deploy.script import Script, parse
from tests.deploy.conftest import DT
from tests.deploy.fake_robot import FakeRobot


@pytest.fixture
def log(tmp_path, controller, spec):
    """Return the log of a robot that stands up and lies down."""
    with LogWriter(tmp_path / "walk", spec, controller.provenance()) as writer:
        run(controller, FakeRobot(spec, DT), Script(parse("stand_up; lie_down"), DT), writer)
    return tmp_path / "walk"


def test_states_come_at_their_times(log, spec):
    driver = ReplayDriver(log, "go1", DT, fast=True)
    stamps, positions = [], []
    while not driver.ended:
        state = driver.read()
        stamps.append(state.stamp)
        positions.append(state.joint_position)
        driver.wait()
    assert len(stamps) * DT == pytest.approx(stamps[-1], abs=0.05)
    assert np.diff(stamps).min() == 0 and np.diff(stamps).max() == pytest.approx(spec.control_dt, abs=1e-6)
    assert np.ptp(positions, axis=0).max() > 0.5


def test_the_controller_runs_on_a_log(log, controller, spec):
    driver = ReplayDriver(log, "go1", DT, fast=True)
    report = run(controller, driver, lambda made, state: None if driver.ended else Operator())
    assert report.ticks > 500 and report.trips == 0


def test_no_log(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        ReplayDriver(tmp_path / "none", "go1")


def test_a_damaged_log(log):
    file = next(log.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(ValueError, match="cannot be read"):
        ReplayDriver(log, "go1")
