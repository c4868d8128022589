"""The loop tells whoever watches of every policy tick, and nothing that happens to a datagram reaches the loop."""

import dataclasses
import socket

import numpy as np
import pytest

from deploy.driver import Operator
from deploy.live import HOST, PORT, LivePublisher, address, unpack
from deploy.loop import run
from tests.deploy.conftest import DT
from tests.deploy.fake_robot import FakeRobot


@pytest.fixture
def ear():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(2.0)
        yield made


def test_a_report_for_every_policy_tick(controller, spec, ear):
    live = LivePublisher(controller, ear.getsockname())
    count = iter(range(40))
    run(controller, FakeRobot(spec, DT), lambda *_: Operator() if next(count, None) is not None else None, live=live)
    assert live.sent == -(-40 // round(spec.control_dt / DT)) and live.dropped == 0
    reports = [unpack(ear.recv(65536)) for _ in range(live.sent)]
    stamps = np.array([float(report.values["stamp"][0]) for report in reports])
    np.testing.assert_allclose(np.diff(stamps), spec.control_dt, atol=1e-9)
    assert all(report.status["state"] == "passive" and report.robot == spec.name for report in reports)
    assert all(0 < report.values["milliseconds"][0] < 1000 for report in reports)
    live.close()


def test_the_context_in_use_is_told(controller, spec, ear):
    live = LivePublisher(controller, ear.getsockname())
    live.send(FakeRobot(spec, DT).read(), 0.1)
    np.testing.assert_allclose(unpack(ear.recv(65536)).context, controller.contexts.robot)
    live.close()


def test_a_state_that_cannot_be_told_is_dropped(controller, spec, ear):
    live, state = LivePublisher(controller, ear.getsockname()), FakeRobot(spec, DT).read()
    for spoiled in ({"joint_position": np.zeros(5)}, {"quaternion": None}, {"stamp": "now"}):
        live.send(dataclasses.replace(state, **spoiled), 0.1)
    assert (live.sent, live.dropped) == (0, 3)
    live.close()


@pytest.mark.parametrize(
    "junk", [b"", b"dmcm", b"dmcm\x01\xff\xff", b"dmcm\x01\x02\x00{}" + bytes(8 * 70), b"\x00" * 600]
)
def test_what_is_no_report_is_refused(junk):
    with pytest.raises(ValueError, match="no report of a controller"):
        unpack(junk)


def test_addresses():
    assert address("") == (HOST, PORT)
    assert address("robot") == ("robot", PORT)
    assert address("10.0.0.1:9") == ("10.0.0.1", 9)
    assert address(":9") == (HOST, 9)
    with pytest.raises(ValueError, match="port from 1 to 65535"):
        address("robot:http")
