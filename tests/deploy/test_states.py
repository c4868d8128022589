"""The table of states is sound, whatever is later added to it."""

from __future__ import annotations

import pytest

from deploy.states import EVENTS, FAULT, INITIAL, STATES, next_state


def test_every_target_exists():
    for name, row in STATES.items():
        assert set(row.on) <= set(EVENTS), name
        assert set(row.on.values()) <= set(STATES), name
        assert row.done is None or row.done in STATES, name


def test_emergency_stop_is_allowed_everywhere():
    assert all(row.on["damping"] == ("fault" if name == "fault" else "damping") for name, row in STATES.items())


def test_fault_is_left_only_for_passive():
    assert set(STATES[FAULT].on.values()) == {INITIAL, FAULT}
    assert STATES[FAULT].kp == 0 and not STATES[FAULT].powered


def test_no_way_of_standing_up_or_lying_down_asks_for_more_than_60_percent_of_the_torque():
    ways = [way for row in STATES.values() for way in (*row.path, *row.path_near)]
    assert ways and all(pose in ("measured", "folded", "default") and 0 < share < 0.6 for pose, _, share in ways)


def test_no_path_ends_before_the_gains_are_whole():
    paths = [(row, path) for row in STATES.values() for path in (row.path, row.path_near) if path]
    assert all(sum(seconds for _, seconds, _ in path) >= row.gain_ramp for row, path in paths)


def test_motions_are_complete():
    for name, row in STATES.items():
        assert (row.motion == "path") == bool(row.path), name
        assert row.motion in ("none", "path", "policy") and row.start in ("measured", "target"), name
        assert row.velocity in ("operator", "calibration", "zero"), name
        assert row.policy in (None, "walk", "calibration"), name


def test_powered_means_stiff():
    assert all(row.powered == (row.kp > 0) for row in STATES.values())


@pytest.mark.parametrize(
    ("state", "event", "message"),
    [
        ("passive", "walk", "'walk' is not allowed in state 'passive': allowed are stand_up, damping"),
        ("walk", "reset", "allowed are stand, damping"),
        ("damping", "stand_up", "allowed are reset, damping"),
        ("walk", "fly", "unknown event 'fly'"),
    ],
)
def test_refusals(state, event, message):
    with pytest.raises(ValueError, match=message):
        next_state(state, event)
