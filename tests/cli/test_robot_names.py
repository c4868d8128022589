"""A robot is a folder in `robots`; nothing else has to know of it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import robots
from cli.main import main

ROOT = Path(__file__).parents[2]


def test_a_new_folder_is_a_new_robot_for_every_command(tmp_path):
    for room in ("robots", "cli"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(tmp_path / "robots" / "a1", tmp_path / "robots" / "rex")
    code = "from cli.main import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    names = ",".join(sorted([*robots.NAMES, "rex"]))
    assert f"--robot {{{names}}}" in done.stdout, done.stderr


@pytest.mark.parametrize("words", [["demo"], ["run", "--script", "stand_up"], ["preflight"], ["field", "--fast"]])
def test_a_robot_without_models_gets_one_sentence(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--robot", "a1"]) == 1
    error = capsys.readouterr().err
    assert "no models are shipped for robot 'a1'" in error and "--model-dir" in error
    assert len(error.strip().splitlines()) == 1
