"""Preflight says what is wrong before a motor moves, and nothing else."""

from __future__ import annotations

import shutil

import pytest

from deploy.preflight import preflight
from tests.deploy.fake_robot import FakeRobot
from tests.helpers_onnx import make_context


@pytest.fixture
def models(artifacts, tmp_path):
    folder = tmp_path / "models"
    shutil.copytree(artifacts, folder)
    shutil.copy(folder / "vanilla.onnx", folder / "calibration.onnx")
    return folder


def verdicts(checks):
    return {check.name: check.verdict for check in checks}


def test_everything_in_order(models, spec, tmp_path):
    context = make_context(tmp_path / "context.json", spec)
    checks = preflight("go1", models, context=context, jitter_seconds=0.2, driver=FakeRobot(spec), log=tmp_path)
    found = verdicts(checks)
    timing = found.pop("timing")
    assert timing in ("ok", "warn", "fail") and "jitter p99" in checks[-1].text
    assert set(found) == {"policy", "calibration policy", "context bank", "robot context", "log folder", "robot"}
    assert set(found.values()) <= {"ok", "warn"} and found["policy"] == found["robot context"] == "ok"


def test_what_does_not_belong_together(models, spec, tmp_path):
    wrong = make_context(tmp_path / "context.json", spec, dynamics_digest="f" * 16)
    found = verdicts(preflight("go1", models, context=wrong, jitter_seconds=0.2))
    assert found["robot context"] == "fail" and "timing" not in found


def test_gains_that_come_with_a_context_are_told(models, spec, tmp_path):
    context = make_context(tmp_path / "context.json", spec, gains={"kp": 1.5, "kd": 1.0})
    checks = preflight("go1", models, context=context, jitter_seconds=0, log=tmp_path)
    told = next(check for check in checks if check.name == "robot context")
    assert told.verdict == "ok" and told.text.endswith("; gains of walking: kp x 1.50, kd x 1.00")


@pytest.mark.parametrize("file", ["multi.onnx", "calibration.onnx", "bank.safetensors"])
def test_damaged_files(models, file):
    content = bytearray((models / file).read_bytes())
    content[len(content) // 2] ^= 1
    (models / file).write_bytes(content[: len(content) - 40])
    assert "fail" in verdicts(preflight("go1", models, jitter_seconds=0)).values()


def test_missing_files(models, tmp_path):
    (models / "multi.onnx").unlink()
    assert verdicts(preflight("go1", models, jitter_seconds=0))["policy"] == "fail"
    assert verdicts(preflight("go1", models, "vanilla.onnx", jitter_seconds=0))["policy"] == "ok"


def test_the_robot_is_asked(models, spec):
    robot = FakeRobot(spec)
    robot.problem = "another program writes commands"
    checks = preflight("go1", models, jitter_seconds=0, driver=robot)
    assert checks[-1].verdict == "fail" and checks[-1].text == robot.problem
    robot.problem, robot.state.battery = None, 0.1
    assert preflight("go1", models, jitter_seconds=0, driver=robot)[-1].verdict == "warn"


def test_a_log_folder_that_cannot_be_written(models, tmp_path):
    (tmp_path / "file").write_text("")
    found = preflight("go1", models, jitter_seconds=0, log=tmp_path / "file" / "logs")
    assert verdicts(found)["log folder"] == "fail"
