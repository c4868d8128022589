import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import models
from benchmarks.trials import nearest_stairs
from cli.main import main
from deploy.gains import NOMINAL, Gains

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Block())
from cli.main import run
run()
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Return figures and folder of a demo of one trial a policy, run where torch cannot be imported."""
    out = tmp_path_factory.mktemp("demo")
    words = ["demo", "--trials", "1", "--out", str(out), "--json", str(out / "figures.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads((out / "figures.json").read_text()), out, done.stdout


def test_adapting_lowers_the_held_out_error_and_reads_the_stiffness(demo):
    figures, *_ = demo
    error = figures["prediction_error"]
    assert error["after"] <= 0.85 * error["before"]
    stiffness = next(r for r in figures["readings"] if r["name"] == "kp_strength")
    assert "payload 1." in figures["read"], "which the joint torques tell"
    assert stiffness["known"] and abs(stiffness["value"] / figures["robot"]["kp_scale"] - 1.0) < 0.15


def test_every_figure_is_there(demo):
    figures, *_ = demo
    assert set(figures["success"]) == {"adapted", "nominal", "vanilla", "gains"}
    assert all(count["trials"] == 1 for count in figures["success"].values())
    assert figures["stairs"]["rise_m"] >= 0.08 and figures["seconds"] > 0.0
    assert figures["robot"]["payload_kg"] == 1.5 and figures["run"]["command"].startswith("dmcm demo")


def test_the_report_is_one_page_that_needs_no_network(demo):
    _, out, printed = demo
    page = re.sub(r'srcdoc="[^"]*"', "", (out / "report.html").read_text())  # the 3-D replay is tests/viewer's
    assert "report.html" in printed and "of 1 climbs" in page and page.count("<figure") == 10
    assert "http" not in page and "<script" not in page


def test_a_robot_that_keeps_its_gains_is_merely_told_its_context(tmp_path, capsys):
    figures = tmp_path / "figures.json"
    words = ["--no-compensate", "--kp-scale", "0.7", "--trials", "1", "--out", str(tmp_path), "--json", str(figures)]
    assert main(["demo", *words]) == 0
    made, context = json.loads(figures.read_text()), json.loads((tmp_path / "context.json").read_text())
    assert list(made["success"]) == ["told", "nominal", "vanilla"]
    assert Gains(**context["gains"]) == NOMINAL
    assert "this robot's context" in capsys.readouterr().out
    assert "With the context found the policy reached the top in" in (tmp_path / "report.html").read_text()


def test_a_robot_that_falls_with_its_own_gains_is_told_the_way_out(tmp_path, capsys):
    assert main(["demo", "--no-compensate", "--kp-scale", "0.45", "--payload", "4", "--out", str(tmp_path)]) == 1
    assert "while calibrating: " in (told := capsys.readouterr().err) and "leave --no-compensate out" in told


def test_the_log_and_the_context_stay_for_dmcm_adapt(demo, tmp_path, capsys):
    _, out, _ = demo
    again = tmp_path / "context.json"
    assert main(["adapt", str(out / "log"), "--out", str(again)]) == 0
    first, second = (json.loads(path.read_text()) for path in (out / "context.json", again))
    assert first["robot_context"] == second["robot_context"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--rise", "0.9"], "--rise 0.9 is out of range"),
        (["--kp-scale", "0"], "--kp-scale 0.0 is out of range"),
        (["--model-dir", "nowhere"], "nowhere"),
    ],
)
def test_bad_options_get_one_sentence(words, sentence, tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), *words]) == 1
    error = capsys.readouterr().err
    assert sentence in error and len(error.strip().splitlines()) == 1


def test_the_stairs_context_nearest_in_rise_is_taken():
    assert nearest_stairs(["flat", "stairs_5cm", "stairs_9cm", "stairs_13cm"], 0.10) == "stairs_9cm"
    with pytest.raises(ValueError, match="no stairs"):
        nearest_stairs(["flat"], 0.1)


def test_shipped_files_are_small_and_complete():
    folder = models.path("go1")
    names = {path.name for path in folder.iterdir()}
    assert names >= {"calibration.onnx", "vanilla.onnx", "multi.onnx", "dynamics.onnx", "bank.safetensors", "README.md"}
    assert all(path.stat().st_size < 5e6 for path in folder.iterdir())
