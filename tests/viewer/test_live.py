"""What a controller reports is what the viewer takes, and nobody can disturb it."""

import socket
import time

import numpy as np
import pytest

import models
from deploy.controller import Controller
from deploy.driver import Operator
from deploy.live import LivePublisher
from viewer.bench import _state
from viewer.live import Live, UdpSource, measured, robot_of


@pytest.fixture
def source():
    made = UdpSource("127.0.0.1", 0)
    yield made
    made.close()


def _port(source):
    return source._socket.getsockname()[1]


def _take(source, count):
    """Return reports as they come; loopback is fast, but not instant."""
    found, begin = [], time.monotonic()
    while len(found) < count and time.monotonic() - begin < 5.0:
        found += source.take()
    return found


def _report(live, controller, spec, stamp):
    state = _state(spec, stamp, spec.default_position)
    controller.step(state, Operator())
    live.send(state, 0.25)
    return state


def test_reports_arrive_whole(source, spec):
    controller = Controller(spec)
    live = LivePublisher(controller, ("127.0.0.1", _port(source)))
    state = _report(live, controller, spec, 1.5)
    (report,) = _take(source, 1)
    assert (report.robot, report.robot_digest) == ("go1", spec.digest())
    assert report.status["state"] == "passive"
    np.testing.assert_array_equal(report.values["joint_torque"], state.joint_torque)
    np.testing.assert_array_equal(report.values["target"], controller.target)
    assert report.values["stamp"] == 1.5 and report.values["milliseconds"] == 0.25
    rows = measured([report])
    assert rows.walking[0] == 0.0 and rows.time[0] == 1.5
    live.close()


def test_nobody_listening_costs_nothing_but_a_datagram(spec):
    controller = Controller(spec)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    live = LivePublisher(controller, ("127.0.0.1", port))
    for i in range(50):
        _report(live, controller, spec, 0.02 * i)
    assert live.sent + live.dropped == 50
    live.close()


def test_a_second_controller_is_left_out_and_named(source, spec):
    first, second = (LivePublisher(Controller(spec), ("127.0.0.1", _port(source))) for _ in range(2))
    _report(first, first._controller, spec, 0.0)
    assert len(_take(source, 1)) == 1
    _report(second, second._controller, spec, 0.0)
    _report(first, first._controller, spec, 0.02)
    (report,) = _take(source, 1)
    assert report.values["stamp"] == 0.02
    assert len(source.others) == 1
    first.close()
    second.close()


def test_what_is_no_report_is_passed_over(source):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for junk in (b"", b"x", b"dmcm\x01\xff\xff{}", b"dmcm\x01\x02\x00{}" + bytes(8)):
            sender.sendto(junk, ("127.0.0.1", _port(source)))
    time.sleep(0.05)
    assert source.take() == []


def test_a_port_in_use_is_one_sentence(source):
    with pytest.raises(ValueError, match=r"cannot listen on UDP 127.0.0.1:.*another viewer"):
        UdpSource("127.0.0.1", _port(source))


def test_another_robot_is_one_sentence(source, spec):
    controller = Controller(spec)
    live = LivePublisher(controller, ("127.0.0.1", _port(source)))
    _report(live, controller, spec, 0.0)
    (report,) = _take(source, 1)
    assert robot_of(report, None) == spec
    with pytest.raises(ValueError, match="is of robot 'go1', not 'go2'"):
        robot_of(report, "go2")
    live.close()


def test_a_broken_sensor_is_no_reason_to_show_nothing(server, source, spec):
    controller = Controller(spec)
    live = LivePublisher(controller, ("127.0.0.1", _port(source)))
    state = _state(spec, 0.02, spec.default_position)
    state.angular_velocity = np.full(3, np.nan)
    controller.step(state, Operator())
    live.send(state, 0.25)
    page = Live(server, source, _take(source, 1), spec, models.path("go1"))
    page.show()
    page.draw(True)
    assert "passive" in page._status.content
    _report(live, controller, spec, 0.04)
    page.take(_take(source, 1))
    page.show()
    page.draw(True)
    live.close()


def test_the_page_shows_a_run_and_says_when_it_is_silent(server, source, spec, monkeypatch):
    controller = Controller(spec)
    live = LivePublisher(controller, ("127.0.0.1", _port(source)))
    for i in range(10):
        _report(live, controller, spec, 0.02 * i)
    page = Live(server, source, _take(source, 10), spec, models.path("go1"))
    page.show()
    page.draw(True)
    assert "passive" in page._status.content and "silent" not in page._status.content
    page._heard -= 5.0
    page.draw(False)
    assert "no report for 5 s" in page._status.content
    live.close()
