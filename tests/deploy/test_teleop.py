"""The keyboard: what keys ask for, and that letting go stops."""

import os

import pytest

from deploy import teleop
from deploy.states import EVENTS
from deploy.teleop import Keyboard


@pytest.fixture
def typed(monkeypatch):
    """Return (keyboard, type, clock): a keyboard on a pipe, what types into it, and a time that tests set."""
    clock = [100.0]
    monkeypatch.setattr(teleop.time, "monotonic", lambda: clock[0])
    read, write = os.pipe()
    yield Keyboard(read), lambda text: os.write(write, text.encode()), clock
    os.close(read)
    os.close(write)


def test_keys_are_events_of_the_states():
    assert set(teleop.EVENTS.values()) <= set(EVENTS)


def test_nothing_typed_asks_for_nothing(typed):
    keyboard, _, _ = typed
    wish = keyboard(None, None)
    assert wish.velocity == (0, 0, 0) and wish.event is None


def test_moves_add_up_and_end_when_let_go(typed):
    keyboard, type_, clock = typed
    type_("wq")
    assert keyboard(None, None).velocity == pytest.approx((0.6, 0.0, 0.6))
    clock[0] += 0.4
    type_("w")
    assert keyboard(None, None).velocity == pytest.approx((0.6, 0.0, 0.6))
    clock[0] += 0.4
    assert keyboard(None, None).velocity == pytest.approx((0.6, 0.0, 0.0))
    clock[0] += 0.4
    assert keyboard(None, None).velocity == (0, 0, 0)


def test_speed(typed):
    keyboard, type_, _ = typed
    type_("-" * 20 + "s")
    assert keyboard(None, None).velocity[0] == pytest.approx(-0.1)
    type_("+" * 20 + "d")
    assert keyboard(None, None).velocity[1] == pytest.approx(-0.5)


@pytest.mark.parametrize("name", ["[A", "[3~", "[4~", "[1~", "[15~", "[1;5C", "OP", "OH"])
def test_keys_with_a_name_command_nothing_even_in_parts(typed, name):
    keyboard, type_, _ = typed
    type_(f"\x1b{name}")
    wish = keyboard(None, None)
    assert wish.event is None and wish.velocity == (0, 0, 0)
    for part in f"\x1b{name}":
        type_(part)
        wish = keyboard(None, None)
        assert wish.event is None and wish.velocity == (0, 0, 0)
    type_("3")
    assert keyboard(None, None).event == "walk"


@pytest.mark.parametrize("keys", ["\x1bx", "\x1b ", "\x1b[ ", "\x1b\x1bx", "\x1b[3~x"])
def test_the_emergency_stop_is_heard_after_escape(typed, keys):
    keyboard, type_, _ = typed
    for part in keys[:-1], keys[-1]:
        type_(part)
        wish = keyboard(None, None)
    assert wish.event == "damping"


@pytest.mark.parametrize(("keys", "event"), [("1", "stand_up"), ("13", "walk"), ("x1", "damping"), (" 3", "damping")])
def test_events(typed, keys, event):
    keyboard, type_, _ = typed
    type_(keys)
    assert keyboard(None, None).event == event
    assert keyboard(None, None).event is None


def test_a_terminal_that_has_gone_is_an_emergency_stop():
    read, write = os.pipe()
    os.close(write)
    keyboard = Keyboard(read)
    assert keyboard(None, None).event == "damping"
    os.close(read)
    assert keyboard(None, None).event == "damping"
