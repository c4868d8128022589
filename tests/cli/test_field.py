"""`dmcm field` from the shell: a log from elsewhere, the operator's answer, the list and the way back."""

import json
import os
import shlex
import signal

import pytest

from calibration import find
from calibration.live import Figures
from calibration.store import ContextStore
from cli import field
from cli.main import main
from sim.field import FieldRobot


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """Walk the simulated robot as fast as possible, and return the log of it."""
    folder = tmp_path_factory.mktemp("field")
    options = ["--fast", "--yes", "--rate", "100", "--contexts", str(folder / "c"), "--logs", str(folder / "logs")]
    assert main(["field", *options, "--json", str(folder / "field.json")]) == 0
    figures = json.loads((folder / "field.json").read_text())
    assert figures["accepted"] and 20.0 < figures["robot_seconds"] < 60.0
    (page,) = (folder / "logs").glob("*.html")
    assert "Field adaptation" in page.read_text() and page.with_suffix("").is_dir()
    return page.with_suffix("")


def test_a_log_from_elsewhere_is_kept_listed_and_undone(log, tmp_path, capsys):
    contexts = ["--contexts", str(tmp_path)]
    assert main(["field", "--log", str(log), "--yes", "--serial", "S1", *contexts]) == 0
    assert "kept as" in capsys.readouterr().out
    assert main(["field", "--list", *contexts]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("* ") and "go1-S1" in listed and "payload" in listed
    assert main(["field", "--undo", *contexts]) == 0
    assert "the nominal context" in capsys.readouterr().out
    assert main(["field", "--undo", *contexts]) == 1


def test_the_way_back_names_the_robot(log, tmp_path, capsys):
    config = field.FieldConfig(contexts=tmp_path)
    for serial in ("S1", "S2"):
        assert main(["field", "--log", str(log), "--yes", "--serial", serial, "--contexts", str(tmp_path)]) == 0
        words = shlex.split(field._undo(config, ContextStore(tmp_path, "go1", serial)))
    assert words[:2] == ["dmcm", "field"] and main(words[1:]) == 0


def test_a_log_gives_gains_that_make_up_for_the_motors(log, tmp_path, capsys):
    kept = tmp_path / "contexts"
    assert main(["field", "--log", str(log), "--yes", "--serial", "S1", "--contexts", str(kept), "--compensate"]) == 0
    told = capsys.readouterr().out
    (path,) = (kept / "go1-S1").glob("*.json")
    gains = json.loads(path.read_text())["gains"]
    assert 0.7 <= gains["kp"] <= 2.0 and gains["kp"] != 1.0 and f"kp x {gains['kp']:.2f}" in told


def test_a_context_that_a_controller_would_refuse_is_not_kept(log, tmp_path, monkeypatch, capsys):
    def find_far(*given, **options):
        result = find(*given, **options)
        result.context["robot_context"] = [99.0 for _ in result.context["robot_context"]]
        return result

    monkeypatch.setattr("calibration.find", find_far)
    assert main(["field", "--log", str(log), "--yes", "--contexts", str(tmp_path)]) == 1
    assert "which is not kept: distance" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_nobody_is_asked_where_nobody_is(log, tmp_path, capsys):
    assert main(["field", "--log", str(log), "--contexts", str(tmp_path)]) == 1
    assert "give --yes" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_walk_with_the_new_context_can_be_stopped_gently(monkeypatch, capsys, number):
    config, context = field.FieldConfig(fast=True, walk=5.0), None
    made = field._controller(config, context)
    monkeypatch.setattr(field, "_controller", lambda *_: made)
    robot = FieldRobot(made.spec, command_dt=1 / config.rate, lying=True)
    wait = robot.wait

    def waiting():
        wait()
        if made.state == "walk":
            os.kill(os.getpid(), number)
            robot.wait = wait

    robot.wait = waiting
    assert field._walk_with(config, robot, context, "") < 12.0
    assert [change.target for change in made.history][-4:] == ["stop", "stand", "lie_down", "passive"]
    assert not capsys.readouterr().err


def test_what_is_not_known_yet_is_told_in_words_and_a_longer_line_leaves_nothing_behind(monkeypatch):
    told = []
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    progress = field._Progress(lambda text, **_: told.append(text))
    progress(Figures())
    progress(Figures(0.05, 0.3, 0.2, "hardly moves", 0.0814))
    assert told[0].endswith("error with the nominal context not known yet\x1b[K") and "nan" not in told[0]
    assert told[1].startswith("\r    5 %   walked  0.3 m") and told[1].endswith("0.0814\x1b[K")


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("", 1), ("no", 1)])
def test_the_operator_decides(log, tmp_path, monkeypatch, answer, code):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda prompt: answer)
    assert main(["field", "--log", str(log), "--contexts", str(tmp_path)]) == code
    assert bool(list(tmp_path.iterdir())) == (code == 0)


def test_preflight_times_the_loop_as_it_will_be_scheduled(tmp_path, capsys):
    options = ["--fifo", "500", "--jitter", "0.1", "--logs", str(tmp_path / "logs"), "--contexts", str(tmp_path / "c")]
    assert main(["field", *options]) == 1
    told = capsys.readouterr().err
    assert "preflight failed (timing: SCHED_FIFO priority 500 is out of range" in told and "was not moved" in told
    assert not list(tmp_path.iterdir())


def test_bad_options(tmp_path, capsys):
    assert main(["field", "--walk", "99"]) == 1
    assert "--walk 99 is out of range" in capsys.readouterr().err
    assert main(["field", "--log", str(tmp_path / "no"), "--yes"]) == 1
    assert "does not exist" in capsys.readouterr().err
