"""`dmcm view` says in one sentence what is wrong."""

import socket
import sys

import pytest

from cli.main import main

pytest.importorskip("viser", reason="viser is not installed: pip install 'dmcm[view]'")


def _complaint(capsys, *words):
    assert main(["view", *words]) == 1
    told = capsys.readouterr().err.strip()
    assert told.count("\n") == 0, told
    return told


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    import robots
    from viewer.bench import write_log

    folder = tmp_path_factory.mktemp("logs") / "walk"
    write_log(folder, robots.load("go1"), 0.5)
    return str(folder)


def test_a_log_of_another_robot(capsys, log):
    assert "is of robot 'go1', not 'go2': leave --robot out" in _complaint(capsys, log, "--robot", "go2")


def test_a_log_that_is_not_there(capsys, tmp_path):
    assert "does not exist" in _complaint(capsys, str(tmp_path / "no.mcap"))


def test_a_port_in_use(capsys, log):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        told = _complaint(capsys, log, "--port", str(taken.getsockname()[1]))
    assert "in use" in told and "choose another --port" in told


def test_two_things_at_once(capsys, log):
    assert "not both" in _complaint(capsys, log, "--live")


def test_an_address_to_listen_on(capsys):
    assert "port from 1 to 65535" in _complaint(capsys, "--live", "--listen", "here:there")


def test_a_policy_that_is_not_there(capsys):
    pytest.importorskip("rsl_rl")
    told = _complaint(capsys, "--agent", "nowhere.onnx", "--port", "0")
    assert "no policy at nowhere.onnx" in told


def test_a_terrain_that_does_not_exist(capsys):
    pytest.importorskip("rsl_rl")
    assert "no terrain 'moon'" in _complaint(capsys, "--terrain", "moon", "--port", "0")


def test_no_viser(capsys, log, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("viser", "viewer")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "viser", None)
    told = _complaint(capsys, log)
    assert "viser" in told and "view" in told
