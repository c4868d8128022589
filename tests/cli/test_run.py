"""`dmcm run` and `dmcm sim-robot`, as processes do."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading

import pytest

from cli.main import main
from tests.deploy.test_log import read

DMCM = [sys.executable, "-c", "from cli.main import run; run()"]


def test_a_script_on_a_simulated_robot(capsys, tmp_path):
    words = ["run", "--fast", "--seed", "3", "--log", str(tmp_path / "log")]
    assert main([*words, "--script", "stand_up; walk 0.5 for 1; lie_down"]) == 0
    out = capsys.readouterr().out
    assert "stand -> walk" in out and "lie_down -> passive" in out and "0 faults" in out
    assert (tmp_path / "log" / "metadata.yaml").exists()
    replay = ["run", "--driver", "replay", "--replay", str(tmp_path / "log"), "--fast", "--teleop", "remote"]
    assert main(replay) == 0
    assert "0 faults" in capsys.readouterr().out


def test_a_terminal_that_goes_lets_the_robot_lie_down(tmp_path):
    ours, theirs = pty.openpty()
    words = ["run", "--fast", "--live", "", "--log", str(tmp_path / "log"), "--script", "stand_up; walk 0.3 for 9999"]

    def own_the_terminal():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = subprocess.Popen([*DMCM, *words], start_new_session=True, preexec_fn=own_the_terminal, **streams)
    os.close(theirs)
    said = b""
    while b"-> walk" not in said:
        said += os.read(ours, 1000)
    os.close(ours)
    process.wait(60)
    events = [json.loads(message.data) for _, message in read(tmp_path / "log")["/events"]]
    assert [event["to"] for event in events][-3:] == ["stand", "lie_down", "passive"]


def test_a_step_that_is_refused_is_an_error(capsys):
    assert main(["run", "--fast", "--script", "walk 0.5 for 1"]) == 1
    assert "'walk' is not allowed in state 'passive'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--robot", "go1"], "nobody commands the robot"),
        (["--script", "fly"], "'fly' is no step"),
        (["--script", "stand_up", "--driver", "unitree_dds"], "driver 'unitree_dds' is of robot 'go2'"),
        (["--script", "stand_up", "--driver", "replay"], "needs a log"),
        (["--script", "stand_up", "--driver", "replay", "--replay", "none"], "does not exist"),
        (["--script", "stand_up", "--rate", "230"], "period"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(words, text, capsys):
    assert main(["run", *words]) == 1
    err = capsys.readouterr().err
    assert text in err and err.count("\n") == 1


def test_sim_robot_refuses_a_robot_that_does_not_speak_that(capsys):
    assert main(["sim-robot", "--robot", "go1"]) == 1
    assert "transport 'dds' is of go2" in capsys.readouterr().err


def served(*words):
    """Start `dmcm sim-robot` and return it once it serves."""
    process = subprocess.Popen([*DMCM, "sim-robot", *words], stdout=subprocess.PIPE, text=True)
    killer = threading.Timer(60, process.kill)
    killer.start()
    assert "simulated" in process.stdout.readline()
    return process, killer


@pytest.mark.parametrize("transport", ["udp", "dds"])
def test_two_processes_on_the_loopback_interface(transport, tmp_path, capsys):
    if transport == "dds":
        pytest.importorskip("cyclonedds", reason="DDS needs cyclonedds: pip install '.[unitree]'")
    number, figures = os.getpid() % 150, tmp_path / "server.json"
    udp = ["--robot", "go1", "--address", "127.0.0.1", "--port", str(18000 + number)]
    dds = ["--robot", "go2", "--interface", "lo", "--domain", str(60 + number)]
    wire = udp if transport == "udp" else dds
    process, killer = served("--transport", transport, *wire, "--json", str(figures))
    try:
        # Damping needs no policy's model and no physics that keeps up with real time.
        words = ["--driver", f"unitree_{transport}", "--script", "wait 1; damping for 0.5; reset"]
        assert main(["run", *wire, *words]) == 0
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    finally:
        process.kill()
        killer.cancel()
    assert "passive -> damping" in capsys.readouterr().out
    report = json.loads(figures.read_text())
    assert report["commands"] > 50 and report["states"] > 50
