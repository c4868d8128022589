import sys

import pytest

from cli.main import main

pytest.importorskip("rsl_rl")


def test_a_level_that_does_not_exist_is_said(tmp_path, capsys):
    assert main(["play", "--level", "9", "--video", str(tmp_path / "x.gif")]) == 1
    assert "level 9 does not exist" in capsys.readouterr().err


def test_a_video_needs_a_known_ending(tmp_path, capsys):
    assert main(["play", "--video", str(tmp_path / "x.avi")]) == 1
    assert "name it .mp4 or .gif" in capsys.readouterr().err


def test_a_missing_agent_is_said(tmp_path, capsys):
    assert main(["play", "--agent", str(tmp_path / "no.onnx"), "--video", str(tmp_path / "x.gif")]) == 1
    assert "no policy at" in capsys.readouterr().err


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
