"""Walks of field robots are kept; the compensated one is the field routine's."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("mujoco")

import models
from benchmarks import field_trials
from benchmarks.motion_bench import errors, examine
from benchmarks.motions import COMPENSATED, candidates
from sim.factors import RobotFactors

SHIPPED = models.path("go1")


def job(folder, factors=None):
    motions = {COMPENSATED: candidates()[COMPENSATED]}
    (made,) = field_trials.jobs("go1", SHIPPED, motions, [factors or RobotFactors()], 7, folder)
    return made


def test_a_compensated_walk_that_fails_is_told_and_not_walked_twice(tmp_path, monkeypatch):
    walked = []

    def compensated_walk(robot, models, adapt_with, log, watch):
        for place in (0.0, 1.2, 0.5):
            robot.data.qpos[0] = place
            watch(None)
        walked.append(log)
        raise ValueError("the robot could not be calibrated: leaning")

    monkeypatch.setattr(field_trials, "compensated_walk", compensated_walk)
    for _ in range(2):
        found = field_trials.walk(job(tmp_path))
    assert len(walked) == 1 and found.fault.endswith("leaning") and found.away == pytest.approx(1.2)
    assert examine((found, "go1", SHIPPED)).problem.startswith("fell")


def test_a_walk_is_another_ones_only_if_all_that_it_depends_on_is_the_same(tmp_path):
    motions = {name: motion for name, motion in candidates().items() if name in ("shipped", COMPENSATED)}

    def kept(count, models=SHIPPED):
        drawn = field_trials.draw_robots(count, 7)
        return [one.folder for one in field_trials.jobs("go1", models, motions, drawn, 7, tmp_path)]

    assert kept(3) == kept(3) and len({*kept(3), *kept(4)}) == 14, "another count draws other robots"
    other = tmp_path / "models"
    other.mkdir()
    for file in (field_trials.POLICY, "dynamics.onnx", "bank.safetensors"):
        (other / file).write_bytes((SHIPPED / file).read_bytes())
    assert kept(2, other) == kept(2)
    (other / "bank.safetensors").write_bytes(b"another")
    assert [here == there for here, there in zip(kept(2, other), kept(2), strict=True)] == [True, True, False, False]


def test_readings_of_a_compensated_walk_are_of_the_motors(tmp_path):
    soft = RobotFactors(kp_scale=0.6)
    found = field_trials.walk(job(tmp_path, soft))
    assert json.loads((found.log.parent / "walk.json").read_text()) == {"fault": "", "away": found.away}
    off = errors(examine((found, "go1", SHIPPED)))
    assert off["kp"] < 0.2 and off["kp_torques"] < 0.02 and np.isfinite(off["payload"])
