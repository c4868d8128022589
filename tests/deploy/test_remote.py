"""The hand-held remote: its bytes, and what they ask for."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.states import EVENTS as STATE_EVENTS
from deploy.unitree import remote as r
from deploy.unitree.remote import Remote, RemoteReader


def test_bytes_there_and_back():
    sent = Remote(lx=0.5, ly=-0.25, rx=1.0, ry=-1.0, keys=r.L2 | r.B)
    data = sent.to_bytes()
    assert len(data) == 40 and Remote.from_bytes(data) == sent
    assert data[2:4] == bytes([0b00100000, 0b00000010])  # L2 is bit 5, B bit 9, as in joystick.h
    assert struct.unpack_from("<f", data, 20)[0] == -0.25


def test_untouched_asks_for_nothing():
    assert RemoteReader().read(Remote.from_bytes(bytes(40))) is None
    assert RemoteReader().read(Remote(lx=0.05, ry=0.9)) is None


def test_sticks_are_forward_left_and_turning_left():
    wish = RemoteReader().read(Remote(lx=-0.5, ly=1.0, rx=-1.0))
    assert wish.velocity == pytest.approx((1.0, 0.25, 1.0)) and wish.event is None


@pytest.mark.parametrize(("keys", "event"), r.EVENTS)
def test_buttons(keys, event):
    assert event in STATE_EVENTS
    assert RemoteReader().read(Remote(keys=keys)).event == event


def test_an_event_is_asked_for_once_and_the_emergency_stop_while_held():
    reader = RemoteReader()
    assert [reader.read(Remote(keys=r.L2 | r.A)) is None for _ in range(3)] == [False, True, True]
    assert reader.read(Remote(keys=r.L2)) is None
    assert [reader.read(Remote(keys=r.L2 | r.B, ly=1.0)).event for _ in range(3)] == ["damping"] * 3


def test_the_emergency_stop_wins_over_other_buttons():
    assert RemoteReader().read(Remote(keys=r.L2 | r.B | r.A | r.START)).event == "damping"


@given(st.binary(min_size=40, max_size=40))
def test_any_bytes_give_a_velocity_in_range(data):
    wish = RemoteReader().read(Remote.from_bytes(data))
    if wish is not None:
        assert all(abs(v) <= most for v, most in zip(wish.velocity, r.FULL_STICK, strict=True))
