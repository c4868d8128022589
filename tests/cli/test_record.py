import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cli import record


def test_figures_come_with_their_provenance(tmp_path):
    path = tmp_path / "figures.json"
    figures = {"error": {"before": np.float32(0.5), "after": float("nan")}, "steps": np.arange(3), "file": Path("a")}
    record.write_figures(path, figures, command=["demo", "--out", "a b"], seed=3)
    read = json.loads(path.read_text())
    run = read.pop("run")
    assert read == {"error": {"before": 0.5, "after": None}, "steps": [0, 1, 2], "file": "a"}
    assert run["command"] == "dmcm demo --out 'a b'" and run["seed"] == 3
    assert run["commit"] and run["date"].endswith("+00:00")
    assert run["machine"]["cores"] >= 1 and run["machine"]["cpu"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_command_names_no_path_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["bench", "--python", "/opt/somewhere/python", "--json", str(tmp_path / "out" / "x.json"), "--rise", "0.17"]
    record.write_figures(tmp_path / "x.json", {}, words)
    command = json.loads((tmp_path / "x.json").read_text())["run"]["command"]
    assert command == "dmcm bench --python PATH/python --json out/x.json --rise 0.17"


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "figures.json"
    path.write_text("old")
    with pytest.raises(TypeError):
        record.write_figures(path, {"what": object()})
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_no_file_asked_for_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record.check_output(None)
    record.write_figures(None, {"a": 1})
    assert not list(tmp_path.iterdir())


def test_a_figure_cannot_hide_the_provenance(tmp_path):
    with pytest.raises(ValueError, match="'run'"):
        record.write_figures(tmp_path / "f.json", {"run": 1})


def test_output_is_checked_before_the_measurement(tmp_path):
    record.check_output(tmp_path / "new.json")
    assert not (tmp_path / "new.json").exists()
    with pytest.raises(ValueError, match="no folder"):
        record.check_output(tmp_path / "absent" / "f.json")
    with pytest.raises(ValueError, match="it is a folder"):
        record.check_output(tmp_path)


def test_commit_outside_git_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "ROOT", tmp_path)
    assert record.commit() == "unknown"


def test_commit_tells_changed_files(tmp_path, monkeypatch):
    def git(*arguments):
        author = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", tmp_path, *author, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(record, "ROOT", tmp_path)
    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    clean = record.commit()
    assert len(clean) == 12
    (tmp_path / "a").write_text("2")
    assert record.commit() == f"{clean}-dirty"
