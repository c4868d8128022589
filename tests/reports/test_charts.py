import re
import xml.etree.ElementTree as ET

import pytest

from reports.charts import (
    DASHES,
    POINTS,
    SHAPES,
    Dots,
    Ground,
    Interval,
    Line,
    Panel,
    Rule,
    _number,
    _ticks,
    intervals,
    legend,
    panels,
    wilson,
)


def svgs(text):
    return [ET.fromstring(found) for found in re.findall(r"<svg.*?</svg>", text, re.S)]


def texts(svg):
    return [node.text for node in svg.iter("text")]


def test_small_multiples_share_their_axes():
    low, high = (Panel("t", "x, s", "y, m", [Line([0, 1], [0, top], 0)]) for top in (1, 10))
    first, second = svgs(panels(low, high))
    assert texts(first) == texts(second) and "10" in texts(first)


def test_series_differ_without_colour():
    assert len(set(DASHES)) == len(DASHES) and len(set(SHAPES)) == len(SHAPES)
    one, two = (
        re.findall(r'stroke-dasharray="([^"]*)"', panels(Panel("", "x", "y", [Line([0, 1], [0, 1], i)])))
        for i in (0, 1)
    )
    assert one != two


def test_every_kind_of_mark_is_drawn_inside_the_axes():
    marks = [
        Ground([0, 1, 1, 2], [0, 0, 1, 1]),
        Line([0, 1, 2], [0.5, float("nan"), 1.5], 1),
        Dots([0.5, 1.5], [1, 2], values=[3.0, 4.0]),
        Dots([1], [1], 2, big=True),
        Rule("here", x=1.0),
        Rule("limit", y=1.8),
    ]
    text = panels(Panel("all", "x", "y", marks, scale="kg"))
    (drawn, key) = svgs(text)
    assert {"here", "limit", "x", "y"} <= set(texts(drawn)) and "kg: 3" in text and len(list(key.iter("rect"))) == 20
    for circle in drawn.iter("circle"):
        assert 0 <= float(circle.get("cx")) <= 680 and 0 <= float(circle.get("cy")) <= 200
    assert "nan" not in text


def test_a_long_line_is_thinned_and_keeps_its_end():
    text = panels(Panel("", "x", "y", [Line(range(100_000), range(100_000), 0)]), columns=1)
    (path,) = re.findall(r'<path d="(M[^"]*)" fill="none"', text)
    assert path.count("L") <= POINTS + 1 and path.endswith(re.findall(r"[\d.]+,[\d.]+", path)[-1])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 17), (0.0001, 0.0002), (1e4, 9e6)])
def test_ticks_are_round_and_inside(low, high):
    step, ticks = _ticks(low, high)
    assert 3 <= len(ticks) <= 9 and all(low - 1e-9 <= t <= high + 1e-9 for t in ticks)
    assert len({_number(t, step) for t in ticks}) == len(ticks)


def test_constant_data_have_an_axis():
    assert svgs(panels(Panel("", "x", "y", [Line([0, 1], [3, 3], 0)])))
    assert svgs(panels(Panel("", "x", "y", [])))


def test_intervals_stay_on_their_axis():
    rows = [Interval("a", 5, -10, 200, "5 of 9"), Interval("long name here", 1, None, None, "1", 1)]
    (svg,) = svgs(intervals(rows, "%", 0, 100, "Title", Rule("nominal", x=50)))
    assert {"a", "5 of 9", "nominal", "%"} <= set(texts(svg))
    numbers = [float(x) for path in svg.iter("path") for x in re.findall(r"[ML](-?[\d.]+),", path.get("d"))]
    assert numbers and min(numbers) >= 0 and max(numbers) <= 680


def test_a_legend_shows_what_the_chart_shows():
    assert legend("nominal", "adapted").count("<svg") == 2 and "adapted" in legend("nominal", "adapted", dots=True)


def test_wilson_interval():
    low, high = wilson(8, 10)  # Newcombe 1998's method 3
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert wilson(0, 20)[0] == pytest.approx(0.0, abs=1e-12) and wilson(20, 20)[1] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="at least one trial"):
        wilson(0, 0)
