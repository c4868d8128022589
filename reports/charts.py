"""Charts as SVG that takes its colours from the page, so that it follows light, dark and paper.

`panels` draws small multiples: several small charts that are read alike, instead of many axes in one. `intervals` draws
a value and its uncertainty for each of several names.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

NARROW, WIDE, HEIGHT = 320, 680, 200  # of a panel beside others, of one alone, px of its view box
LEFT, RIGHT, TOP, BOTTOM = 42, 10, 8, 34  # its margins
DASHES = ("", "7 3", "2 3", "9 3 2 3", "5 2", "1 2")
SHAPES = ("circle", "diamond", "square", "star")
POINTS = 400  # of a line at most: more cannot be seen
SCALE = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))  # viridis, even to the colour-blind


@dataclass(frozen=True)
class Line:
    """A line of a series; `faint` for one of many."""

    x: Iterable[float]
    y: Iterable[float]
    series: int
    faint: bool = False
    dotted: bool = False


@dataclass(frozen=True)
class Ground:
    """What is under a line, filled down to the axis."""

    x: Iterable[float]
    y: Iterable[float]


@dataclass(frozen=True)
class Dots:
    """Markers of a series, or coloured by `values` from low (dark violet) to high (yellow)."""

    x: Iterable[float]
    y: Iterable[float]
    series: int = 0
    values: Iterable[float] | None = None
    big: bool = False


@dataclass(frozen=True)
class Rule:
    """A dashed line over the whole height at `x`, or over the whole width at `y`, with its meaning."""

    text: str
    x: float | None = None
    y: float | None = None


Mark = Line | Ground | Dots | Rule


@dataclass(frozen=True)
class Panel:
    """A small chart.

    Attributes:
        title: over it.
        x, y: what the axes show, with units.
        marks: drawn in this order.
        scale: what the colours of `Dots.values` show, with unit.
    """

    title: str
    x: str
    y: str
    marks: Sequence[Mark]
    scale: str = ""


def panels(*charts: Panel, columns: int = 3) -> str:
    """Return the charts side by side with the same axes, as many in a row as fit and at most `columns`."""
    width = WIDE if columns == 1 else NARROW
    (left, right), (bottom, top) = (zip(*(_range(chart, axis) for chart in charts), strict=True) for axis in "xy")
    x, y = (min(left), max(right)), (min(bottom), max(top))
    made = "".join(_panel(chart, x, y, width) for chart in charts)
    return f'<div class="panels" style="--width: {58 // columns - 2}rem">{made}</div>'


def legend(*names: str, dots: bool = False) -> str:
    """Return the legend of the first series, with these names."""
    entries = []
    for i, name in enumerate(names):
        shape = _marker(16, 5, i, 5.0) if dots else _stroke(Line((), (), i), "M0,5L32,5")
        entries.append(f'<span><svg viewBox="0 0 32 10" aria-hidden="true">{shape}</svg>{_safe(name)}</span>')
    return f'<div class="legend">{"".join(entries)}</div>'


@dataclass(frozen=True)
class Interval:
    """A named value with its uncertainty.

    Attributes:
        name: of the row.
        value, low, high: where the marker and its bar are; no bar if low is None.
        text: the value as it is written beside the row.
        series: colour and shape.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    text: str
    series: int = 0


def intervals(
    rows: Sequence[Interval],
    axis: str,
    low: float,
    high: float,
    title: str = "",
    rule: Rule | None = None,
    width: float = WIDE,
) -> str:
    """Return a chart with one row for each interval along one axis from `low` to `high`, `width` px wide."""
    step, top, letter = 24, 16 if rule else 6, 7.0
    left, right = 12 + letter * max(len(r.name) for r in rows), width - 20 - letter * max(len(r.text) for r in rows)
    bottom = top + step * len(rows)

    def place(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    parts = [_tick_x(place(t), bottom, top, _number(t, step_)) for step_, ticks in [_ticks(low, high)] for t in ticks]
    if rule and rule.x is not None:
        parts.append(_vertical(place(rule.x), top, bottom))
        parts.append(_text(place(rule.x), 10, rule.text, "middle"))
    for i, row in enumerate(rows):
        y = top + step * (i + 0.5)
        parts.append(_text(0, y + 4, row.name, css="name"))
        parts.append(_text(width, y + 4, row.text, "end", "name"))
        if row.low is not None and row.high is not None:
            bar = f"M{place(row.low):.1f},{y}L{place(row.high):.1f},{y}"
            parts.append(f'<path d="{bar}" style="stroke: var(--s{row.series})" stroke-width="3" opacity=".45"/>')
        parts.append(_marker(place(row.value), y, row.series, 5.5))
    parts.append(_text((left + right) / 2, bottom + 28, axis, "middle"))
    return _figure(title, width, bottom + 32, "".join(parts), axis)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a success rate (Wilson's score interval).

    Raises:
        ValueError: without trials.
    """
    if trials < 1:
        raise ValueError("a success rate needs at least one trial")
    share, n, z = successes / trials, trials, 1.96
    middle, spread = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n))


# How a panel is drawn


def _panel(chart: Panel, x: tuple[float, float], y: tuple[float, float], width: float) -> str:
    def at(px: float, py: float) -> tuple[float, float]:
        right = LEFT + (px - x[0]) / (x[1] - x[0]) * (width - LEFT - RIGHT)
        return right, HEIGHT - BOTTOM - (py - y[0]) / (y[1] - y[0]) * (HEIGHT - TOP - BOTTOM)

    bottom = HEIGHT - BOTTOM
    step, ticks = _ticks(*x, 5)
    parts = [_tick_x(at(t, 0)[0], bottom, TOP, _number(t, step)) for t in ticks]
    step, ticks = _ticks(*y, 4)
    for t in ticks:
        height = at(0, t)[1]
        parts.append(f'<path class="grid" d="M{LEFT},{height:.1f}H{width - RIGHT}"/>')
        parts.append(_text(LEFT - 5, height + 4, _number(t, step), "end"))
    parts.append(f'<path class="axis" d="M{LEFT},{bottom}H{width - RIGHT}"/>')
    parts += [_drawn(mark, at, width) for mark in chart.marks]
    parts.append(_text((LEFT + width - RIGHT) / 2, HEIGHT - 4, chart.x, "middle"))
    parts.append(
        f'<text transform="translate(10 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">{_safe(chart.y)}</text>'
    )
    key = _key(chart) if chart.scale else ""
    return _figure(chart.title, width, HEIGHT, "".join(parts), f"{chart.y} against {chart.x}", key)


def _drawn(mark: Mark, at: Callable[[float, float], tuple[float, float]], width: float) -> str:
    if isinstance(mark, Rule):
        if mark.x is not None:
            x = at(mark.x, 0)[0]
            side = ("end", -4) if x > 0.6 * width else ("start", 4)
            return _vertical(x, TOP, HEIGHT - BOTTOM) + _text(x + side[1], TOP + 9, mark.text, side[0])
        y = at(0, mark.y or 0.0)[1]
        return f'<path class="rule" d="M{LEFT},{y:.1f}H{width - RIGHT}"/>' + _text(
            width - RIGHT, y - 4, mark.text, "end"
        )
    points = [at(px, py) for px, py in zip(mark.x, mark.y, strict=True) if math.isfinite(px) and math.isfinite(py)]
    if isinstance(mark, Dots):
        return _dots(mark, points)
    way = "L".join(f"{px:.1f},{py:.1f}" for px, py in _thinned(points))
    if isinstance(mark, Ground):
        floor = HEIGHT - BOTTOM
        return f'<path class="ground" d="M{points[0][0]:.1f},{floor}L{way}L{points[-1][0]:.1f},{floor}Z"/>'
    return _stroke(mark, f"M{way}") if points else ""


def _dots(mark: Dots, points: list[tuple[float, float]]) -> str:
    if mark.values is None:
        return "".join(_marker(px, py, mark.series, 6.5 if mark.big else 3.0) for px, py in points)
    low, high = min(mark.values), max(mark.values)
    shades = [_shade((value - low) / ((high - low) or 1.0)) for value in mark.values]
    return "".join(
        f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.4" fill="{shade}" class="edge" style="stroke-width: .5"/>'
        for (px, py), shade in zip(points, shades, strict=True)
    )


def _stroke(line: Line, path: str) -> str:
    dash = "2 4" if line.dotted else "" if line.faint else DASHES[line.series % len(DASHES)]
    look = 'stroke-width="1" opacity=".6"' if line.faint else 'stroke-width="1.9"'
    return (
        f'<path d="{path}" fill="none" style="stroke: var(--s{line.series % 6})" {look} '
        f'stroke-dasharray="{dash or "none"}" stroke-linejoin="round"/>'
    )


def _marker(x: float, y: float, series: int, r: float) -> str:
    shape = SHAPES[series % len(SHAPES)]
    look = f'class="edge" style="fill: var(--s{series % 6})"'
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r}" {look}/>'
    corners = {"diamond": (4, 1.25, 1.25), "square": (4, 1.2, 1.2), "star": (10, 1.5, 0.65)}
    count, *radii = corners[shape]
    turn = math.pi / 4 if shape == "square" else 0.0
    places = ((2 * math.pi * i / count + turn, r * radii[i % 2]) for i in range(count))
    path = "L".join(f"{x + d * math.sin(a):.1f},{y - d * math.cos(a):.1f}" for a, d in places)
    return f'<path d="M{path}Z" {look}/>'


def _key(chart: Panel) -> str:
    """Return the scale of the colours of a panel's dots."""
    values = [v for mark in chart.marks if isinstance(mark, Dots) and mark.values is not None for v in mark.values]
    low, high = min(values), max(values)
    cells = "".join(f'<rect x="{4 * i}" width="4.3" height="8" y="1" fill="{_shade(i / 19)}"/>' for i in range(20))
    bar = f'<svg viewBox="0 0 80 10" style="width: 5rem" aria-hidden="true">{cells}</svg>'
    return f'<div class="legend"><span>{_safe(chart.scale)}: {low:.3g} {bar} {high:.3g}</span></div>'


def _shade(share: float) -> str:
    place = min(max(share, 0.0), 1.0) * (len(SCALE) - 1)
    i = min(int(place), len(SCALE) - 2)
    mixed = (round(a + (b - a) * (place - i)) for a, b in zip(SCALE[i], SCALE[i + 1], strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    every = max(1, math.ceil(len(points) / POINTS))
    return points[::every] + (points[-1:] if every > 1 else [])


def _figure(title: str, width: float, height: float, inside: str, label: str, below: str = "") -> str:
    caption = f"<figcaption>{_safe(title)}</figcaption>" if title else ""
    name = _safe(f"{title}: {label}" if title else label)
    wide = ' class="wide"' if width > 1.2 * NARROW else ""
    drawn = f'<svg{wide} viewBox="0 0 {width} {height}" role="img" aria-label="{name}">{inside}</svg>'
    return f'<figure>{caption}<div class="scroll">{drawn}</div>{below}</figure>'


def _text(x: float, y: float, text: str, anchor: str = "start", css: str = "") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{_safe(text)}</text>'


def _tick_x(x: float, bottom: float, top: float, text: str) -> str:
    grid = f'<path class="grid" d="M{x:.1f},{top}V{bottom}"/>'
    return grid + _text(x, bottom + 14, text, "middle")


def _vertical(x: float, top: float, bottom: float) -> str:
    return f'<path class="rule" d="M{x:.1f},{top}V{bottom}"/>'


# Ranges and ticks


def _range(chart: Panel, axis: str) -> tuple[float, float]:
    """Return what an axis must show: all marks and some room, from zero if that is near."""
    values: list[float] = []
    for mark in chart.marks:
        found = getattr(mark, axis)
        values.extend([] if found is None else found if isinstance(found, Iterable) else [found])
    values = [float(v) for v in values if math.isfinite(v)] or [0.0, 1.0]
    low, high = min(values), max(values)
    room = 0.04 * ((high - low) or abs(high) or 1.0)
    starts = axis == "x" and not any(isinstance(mark, Dots) for mark in chart.marks)
    if starts:
        return low, high if high > low else low + 1.0
    return (0.0 if 0 <= low < 0.4 * high else low - room), high + room


def _ticks(low: float, high: float, count: int = 5) -> tuple[float, list[float]]:
    """Return the distance of round ticks, about `count` of them, and the ticks."""
    raw = (high - low) / count
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(f * size for f in (1, 2, 5, 10) if f * size >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return step, [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _number(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{digits}f}".replace("-", "−")


def _safe(text: str) -> str:
    return html.escape(str(text))
