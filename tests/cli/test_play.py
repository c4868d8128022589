import json
import sys
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from cli.main import main

pytest.importorskip("rsl_rl")

ROOT = Path(__file__).parents[2]


def test_a_level_that_does_not_exist_is_said(tmp_path, capsys):
    assert main(["play", "--level", "9", "--video", str(tmp_path / "x.gif")]) == 1
    assert "level 9 does not exist" in capsys.readouterr().err


def test_a_video_needs_a_known_ending(tmp_path, capsys):
    assert main(["play", "--video", str(tmp_path / "x.avi")]) == 1
    assert "name it .mp4 or .gif" in capsys.readouterr().err


def test_a_missing_agent_is_said(tmp_path, capsys):
    assert main(["play", "--agent", str(tmp_path / "no.onnx"), "--video", str(tmp_path / "x.gif")]) == 1
    assert "no policy at" in capsys.readouterr().err


def test_a_robot_without_models_is_looked_at(tmp_path, capsys):
    page = tmp_path / "a1.html"
    assert main(["play", "--robot", "a1", "--terrain", "flat", "--seconds", "0.1", "--video", str(page)]) == 0
    assert page.stat().st_size > 1e5


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("models/go2/vanilla.onnx", "is a policy for robot 'go2', not 'go1'"),
        ("models/go1/dynamics.onnx", "is not a policy"),
        ("README.md", "is not an ONNX file, or damaged"),
    ],
)
def test_a_policy_that_is_not_this_robots_is_said(tmp_path, capsys, agent, words):
    assert main(["play", "--agent", str(ROOT / agent), "--video", str(tmp_path / "x.html")]) == 1
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("bank", "words"),
    [
        ("README.md", "is not a context bank, or damaged"),
        ("models/go2/bank.safetensors", "was made for robot 'go2'"),
        ("nowhere", "no context bank at"),
    ],
)
def test_a_bank_that_is_not_the_policys_is_said(tmp_path, capsys, bank, words):
    given = ["--agent", str(ROOT / "models/go1/multi.onnx"), "--bank", str(ROOT / bank)]
    assert main(["play", *given, "--video", str(tmp_path / "x.html")]) == 1
    assert words in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_bank_of_another_dynamics_model_is_said(tmp_path, capsys):
    source, bank = ROOT / "models/go1/bank.safetensors", tmp_path / "bank.safetensors"
    with safe_open(source, framework="np") as file:
        meta = {**json.loads(file.metadata()["dmcm"]), "dynamics_digest": "0" * 16}
    save_file(load_file(source), bank, metadata={"dmcm": json.dumps(meta)})
    given = ["--agent", str(ROOT / "models/go1/multi.onnx"), "--bank", str(bank)]
    assert main(["play", *given, "--video", str(tmp_path / "x.html")]) == 1
    assert "is of another dynamics model than the policy" in capsys.readouterr().err


def test_where_there_is_no_gl_a_replay_is_written_instead(tmp_path, capsys, monkeypatch):
    pytest.importorskip("viser", reason="viser is not installed: pip install 'dmcm[view]'")
    monkeypatch.setenv("MUJOCO_GL", "disable")
    assert main(["play", "--seconds", "0.2", "--level", "2", "--video", str(tmp_path / "look.mp4")]) == 0
    assert "no offscreen GL" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["look.html"]
    assert "__VISER_EMBED_DATA__" in (tmp_path / "look.html").read_text(encoding="utf-8")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="offscreen GL is tried on Linux")
@pytest.mark.parametrize("agent", ["zero", "random"])
def test_a_video_is_written_where_there_is_a_gl(tmp_path, capsys, agent):
    path = tmp_path / "look.gif"
    code = main(["play", "--agent", agent, "--seconds", "0.2", "--level", "2", "--video", str(path)])
    if code:
        pytest.skip(capsys.readouterr().err.strip())
    assert path.stat().st_size > 1000
