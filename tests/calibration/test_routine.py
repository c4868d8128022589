"""The whole routine: a bag in, a context file out that the controller takes, or one sentence and nothing changed."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import calibration
import robots
from calibration import report
from calibration.context_file import log_sha256
from deploy.context import load_bank, load_context
from deploy.gains import NOMINAL, Gains

SPEC = robots.load("go1")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "context.json"


def refused(log, bench, out) -> calibration.RefusedError:
    """Return the refusal of a log, having made sure that it left everything as it was."""
    out.write_text("previous")
    with pytest.raises(calibration.RefusedError) as caught:
        calibration.run(log, "go1", out, bench.models)
    assert out.read_text() == "previous" and os.listdir(out.parent) == [out.name]
    assert "\n" not in str(caught.value) and "log" in str(caught.value)
    return caught.value


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_walk_becomes_a_context_that_the_controller_takes(bench, bag, out, storage):
    log = bag(storage=storage, metadata={"robot": "go1", "robot_digest": SPEC.digest()})
    result = calibration.run(log, "go1", out, bench.models, command="dmcm adapt log")
    context = load_context(out, SPEC, "0123456789abcdef")
    np.testing.assert_allclose(context.values, bench.context, atol=0.02)
    content = json.loads(out.read_text())
    assert content == result.context
    assert content["terrain"] == "flat" and content["command"] == "dmcm adapt log"
    assert content["log"]["file"] == str(log) and content["log"]["sha256"] == log_sha256(log)
    assert content["log"]["seconds"] == pytest.approx(20, abs=0.1) and 790 <= content["log"]["samples"] <= 800
    assert content["error"]["after"] < content["error"]["before"]
    assert len(content["uncertainty"]) == 8
    known = {reading["name"]: reading["known"] for reading in content["readings"]}
    assert known == {"payload": True, "kp_strength": True, "friction": False}
    figures = json.loads(json.dumps(result.figures()))
    assert figures["error"] == content["error"] and figures["checks"][0]["verdict"] == "ok"


def test_the_report_shows_readings_and_hides_what_is_unknown(bench, bag, out):
    text = report.text(calibration.run(bag(), "go1", out, bench.models))
    payload, gain, friction = (next(row for row in text.splitlines() if row.split()[:1] == [n])
                               for n in ("payload", "kp_strength", "friction"))  # fmt: skip
    assert "1.60 kg" in payload and "x 0.82" in gain and "unknown" in friction
    assert "0.31" in friction and "FAIL" not in text and str(out) in text


def test_gains_that_make_up_for_what_was_read(bench, bag, out):
    plain = calibration.run(bag(name="a"), "go1", out, bench.models).context
    assert Gains(**plain["gains"]) == NOMINAL
    result = calibration.run(bag(name="b"), "go1", out, bench.models, compensate=True)
    context, strength = load_context(out, SPEC), {r["name"]: r["value"] for r in plain["readings"]}["kp_strength"]
    assert context.gains == Gains(1 / strength, 1.0)
    assert np.array_equal(context.values, load_bank(bench.models / "bank.safetensors", SPEC).nominal_robot)
    assert (
        f"walks with kp x {1 / strength:.2f}" in report.plain(result.context) and result.context["error"]["after"] > 0
    )
    assert result.context["found_context"] == plain["robot_context"] == plain["found_context"]
    told = report.text(result)
    assert f"Robot context  {plain['robot_context'][0]:+.2f}" in told and "whose context goes with them" in told
    assert "whose context goes with them" not in report.text(calibration.run(bag(name="c"), "go1", out, bench.models))


@pytest.mark.parametrize("unit", [0.1, 1 / 6.33])
def test_torques_in_another_unit_are_said_and_left_out(bench, bag, out, unit):
    result = calibration.run(bag(bench.walk.but(effort=unit * bench.walk.effort)), "go1", out, bench.models)
    (check,) = (check for check in result.checks if check.verdict == "warn")
    assert check.name == "joint torques" and "which no motor has" in check.text
    assert result.context["torque_readings"] == []


def test_motors_that_cannot_be_read_leave_the_file_and_name_the_log(bench, bag, out, monkeypatch):
    monkeypatch.setattr("calibration.compensation.KP", "nothing")
    out.write_text("previous")
    with pytest.raises(calibration.RefusedError, match=r"^log .*: gains cannot be corrected: nothing was not read"):
        calibration.run(bag(), "go1", out, bench.models, compensate=True)
    assert out.read_text() == "previous"


def test_a_context_found_with_corrected_gains_keeps_them_and_reads_the_motors(bench, bag, out):
    plain = calibration.run(bag(name="a"), "go1", out, bench.models).context
    walk = bench.walk
    walk = walk.but(state=["walk"] * len(walk.time), gains=np.tile(Gains(1.25, 2.0).row(), (len(walk.time), 1)))
    content = calibration.run(bag(walk, name="b"), "go1", out, bench.models).context
    assert content["robot_context"] == plain["robot_context"] and load_context(out, SPEC).gains == Gains(1.25, 2.0)
    for one, other in zip(content["readings"], plain["readings"], strict=True):
        assert one["value"] == pytest.approx(other["value"] / (1.25 if one["name"] == "kp_strength" else 1.0))


def test_permuted_joints_give_the_same_context(bench, bag, out):
    from robots.joints import ISAAC_LAB, SDK

    plain = calibration.run(bag(name="a"), "go1", out, bench.models).context
    mixed = calibration.run(bag(name="b", names=SDK, command_names=ISAAC_LAB), "go1", out, bench.models).context
    assert mixed["robot_context"] == plain["robot_context"]


def test_a_gap_is_survived(bench, bag, out):
    keep = np.ones(1000, dtype=bool)
    keep[400:450] = False
    result = calibration.run(bag(bench.walk.rows(keep)), "go1", out, bench.models)
    np.testing.assert_allclose(result.context["robot_context"], bench.context, atol=0.02)
    assert [c.name for c in result.checks if c.verdict == "warn"] == ["gaps"]


def test_bad_logs_leave_the_previous_context(bench, bag, out):
    walk = bench.walk
    still = np.broadcast_to(SPEC.default_position, walk.position.shape)
    velocity = walk.velocity.copy()
    velocity[500, 3] = np.nan
    swap = [3, 1, 2, 0, *range(4, 12)]
    for name, bad, words in (
        ("short", walk.rows(slice(0, 250)), "5.0 s of usable walking"),
        ("still", walk.but(position=still), "stood still"),
        ("nan", walk.but(velocity=velocity), "velocity of FR_hip_joint is not a number"),
        ("gap", walk.rows(np.r_[0:400, 700:1000]), "are missing"),
        ("clock", walk.but(time=walk.time - 3.0 * (np.arange(1000) > 600), log_time=walk.time), "goes back"),
        ("swapped", walk.but(target=walk.target[:, swap]), "swapped"),
    ):
        error = refused(bag(bad, name), bench, out)
        assert words in str(error) and error.checks
        assert "FAIL" in report.checks_text(error.checks)
    truncated = bag(name="truncated") / "truncated.mcap"
    truncated.write_bytes(truncated.read_bytes()[:-5000])
    assert "truncated" in str(refused(truncated.parent, bench, out))
    others = [f"joint{i}" for i in range(12)]
    assert "another robot" in str(refused(bag(walk, "other", names=others), bench, out))


def test_missing_files_are_named(bench, bag, out, tmp_path):
    with pytest.raises(FileNotFoundError, match="nolog does not exist"):
        calibration.run(tmp_path / "nolog", "go1", out, bench.models)
    with pytest.raises(FileNotFoundError, match=r"dynamics model not found: .*dynamics.onnx"):
        calibration.run(bag(), "go1", out, tmp_path)
    (tmp_path / "dynamics.onnx").write_bytes((bench.models / "dynamics.onnx").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"bank not found: .*bank.safetensors"):
        calibration.run(tmp_path / "log", "go1", out, tmp_path)
    with pytest.raises(ValueError, match="unknown robot 'spot'"):
        calibration.run(tmp_path / "log", "spot", out, bench.models)
    with pytest.raises(ValueError, match="unknown terrain 'moon'"):
        calibration.run(tmp_path / "log", "go1", out, bench.models, terrain="moon")
    assert not out.exists()


def test_a_bank_of_another_model_is_refused(bench, bag, out, tmp_path):
    models = bench.write_models(tmp_path / "m", digest="fedcba9876543210")
    with pytest.raises(ValueError, match="made with dynamics model 0123456789abcdef"):
        calibration.run(bag(), "go1", out, models)


def test_an_output_that_cannot_be_written(bench, bag, out, monkeypatch):
    log = bag()
    with pytest.raises(calibration.RefusedError, match=r"out is a folder: give a file in it"):
        calibration.run(log, "go1", out.parent, bench.models)
    with pytest.raises(calibration.RefusedError, match=r"folder .*nowhere does not exist, make it first"):
        calibration.run(log, "go1", out.parent / "nowhere" / "context.json", bench.models)
    out.write_text("previous")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(calibration.RefusedError, match=r"cannot be written \(No space left on device\)"):
        calibration.run(log, "go1", out, bench.models)
    assert out.read_text() == "previous" and os.listdir(out.parent) == [out.name]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(bench, bag, out):
    out.parent.chmod(0o500)
    with pytest.raises(calibration.RefusedError, match="cannot be written"):
        calibration.run(bag(), "go1", out, bench.models)
    out.parent.chmod(0o700)


def test_the_whole_process_takes_less_than_two_seconds_of_one_core(bench, bag, out):
    code = f"import calibration; calibration.run({str(bag())!r}, 'go1', {str(out)!r}, {str(bench.models)!r})"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert out.exists()
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2.0
