"""Drawings are well-formed, and show what they are given."""

from xml.etree import ElementTree

import numpy as np

from viewer import drawings
from viewer.log import Event, Span


def _parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def test_the_gait_diagram_has_a_bar_for_every_stance():
    time = np.arange(0, 3, 0.02)
    contact = np.zeros((150, 4))
    contact[10:50, 0] = contact[80:, 0] = contact[:, 3] = 1.0
    bars = [r for r in _parse(drawings.gait(time, contact)).iter("rect") if r.get("fill") == drawings.MEASURED]
    assert len(bars) == 3
    widths = [float(bar.get("width")) for bar in bars]
    assert abs(widths[0] / widths[2] - 40 / 150) < 0.02


def test_the_time_bar_marks_faults_and_refusals():
    spans = (Span("stand", 0, 5), Span("walk", 5, 9), Span("fault", 9, 10))
    events = (Event(9.0, True, "tilted <60>"), Event(2.0, False, "refused: no"), Event(5.0, False, "stand → walk"))
    svg = drawings.timeline(spans, events, np.linspace(0, 1, 50), 10.0, 4.0)
    marks = list(_parse(svg).iter("path"))
    assert [mark.get("fill") for mark in marks] == [drawings.BAD, drawings.ASKED]
    assert "tilted &lt;60&gt;" in svg and "walk, 5.0 to 9.0 s" in svg


def test_torques_at_their_limit_stand_out():
    share = np.full(12, 0.3)
    share[4] = 0.99
    fills = [r.get("fill") for r in _parse(drawings.torques(share, share)).iter("rect")]
    assert fills.count(drawings.BAD) == 2 and fills.count(drawings.MEASURED) == 22


def test_unknown_values_do_not_break_drawings():
    nothing = np.full(12, np.nan)
    assert "nan" not in drawings.torques(nothing, nothing)
    _parse(drawings.torques(nothing, nothing))
    _parse(drawings.gait(np.zeros(0), np.zeros((0, 4))))
    _parse(drawings.timeline((), (), np.zeros(0), 0.0, 0.0))


def test_the_map_shows_every_robot_and_the_marks():
    points = np.random.default_rng(0).standard_normal((30, 2))
    marks = {"nominal": np.zeros(2), "in use": np.ones(2)}
    svg = drawings.context_map(points, points[:, 0], "kg payload", marks, (0.6, 0.2))
    assert len(list(_parse(svg).iter("circle"))) == 30
    assert "in use" in svg and "60% of the variance" in svg
