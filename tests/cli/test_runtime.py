"""The runtime's commands, small: they run, say what they found, and leave figures that the tables can read."""

from __future__ import annotations

import json
import shutil

import pytest

pytest.importorskip("mujoco")

import models
from benchmarks import runtime_report
from benchmarks.fault_trials import Job, try_fault
from benchmarks.soak import soak
from benchmarks.standup import attempt
from cli import main as cli


def figures(path):
    found = json.loads(path.read_text())
    assert found["run"]["command"].startswith("dmcm ")
    return found


def test_preflight_is_ready_with_the_shipped_models(tmp_path, capsys):
    out = tmp_path / "preflight.json"
    assert cli.main(["preflight", "--jitter", "0", "--log", str(tmp_path), "--json", str(out)]) == 0
    assert "ok    policy" in capsys.readouterr().out
    assert figures(out)["ready"] and {check["verdict"] for check in figures(out)["checks"]} <= {"ok", "warn"}


def test_preflight_fails_on_a_damaged_policy(tmp_path, capsys):
    folder = shutil.copytree(models.path("go1"), tmp_path / "models")
    content = bytearray((folder / "multi.onnx").read_bytes())
    content[3000] ^= 1
    (folder / "multi.onnx").write_bytes(content)
    assert cli.main(["preflight", "--jitter", "0", "--model-dir", str(folder)]) == 1
    out = capsys.readouterr().out
    assert "fail  policy" in out and "not ready: policy" in out


@pytest.mark.parametrize("words", [["--jitter", "-1"], ["--rate", "5"]])
def test_preflight_refuses_what_makes_no_sense(words, capsys):
    assert cli.main(["preflight", *words]) == 1
    assert "give --jitter 0 to 600 s" in capsys.readouterr().err


def test_bench_control(tmp_path, capsys):
    out = tmp_path / "control.json"
    assert cli.main(["bench", "control", "--steps", "100", "--seconds", "0.2", "--fifo", "0", "--json", str(out)]) == 0
    found = figures(out)
    assert set(found["jitter_ms"]) == {"idle", "loaded"} and set(found["step_ms"]) == {"p50", "p99", "p999", "max"}
    assert set(found["parts_ms"]) == set(runtime_report.PARTS) and found["ready_s"] > 0
    assert "| 500 Hz | loaded | normal |" in runtime_report.budget(found)


def test_stand_up_of_one_robot():
    done = attempt(("go2", "nominal", 1000))
    assert done.stood and done.torque < 0.6 and not done.reason


@pytest.mark.parametrize(("fault", "reaction"), [("NaN", 0.0), ("disk full while logging", None)])
def test_a_row_of_the_matrix(fault, reaction):
    row = try_fault(Job(fault, "stand", "go1", models.path("go1"), 0))
    assert row.safe and row.log_readable and row.reaction_ms == reaction and row.commands > 500


def test_a_short_soak(tmp_path):
    found = soak("go1", None, 0.003, tmp_path / "log", 0)
    assert found["complete"] and not found["trips"] and found["logged"] == found["policy_ticks"] > 500
    assert "of walking in simulated time" in runtime_report.soak(found)


def test_tables_from_the_code():
    for made in runtime_report.FROM_CODE.values():
        assert len(made().splitlines()) > 8
    assert "| **fault** |" in runtime_report.states()
