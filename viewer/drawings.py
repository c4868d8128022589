"""Small drawings as SVG, which a panel shows inline: they follow the page's theme and need no network."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from robots.joints import LEGS, PARTS
from viewer.log import Event, Span

MEASURED, ASKED, OTHER, BAD = "#0072b2", "#e69f00", "#009e73", "#d55e00"  # told apart by the colour-blind
STATE_COLORS = {
    "passive": "#b8bec6",
    "stand_up": "#cbb677",
    "stand": "#8fb8de",
    "walk": "#0072b2",
    "calibrate": "#009e73",
    "stop": "#5b9bd0",
    "lie_down": "#cbb677",
    "damping": "#e69f00",
    "fault": "#d55e00",
}
_SCALE = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]])  # viridis, five of it
HALO = 'font-weight="600" style="paint-order:stroke;stroke:var(--mantine-color-body);stroke-width:3px"'
_TEXT = 'fill="currentColor" font-family="system-ui, sans-serif"'


def _svg(width: float, height: float, body: str, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="100%" role="img" aria-label="{html.escape(label)}" '
        f'style="display:block;padding:0 .7em;color:var(--mantine-color-text)">{body}</svg>'
    )


def _text(x: float, y: float, text: str, size: float = 10, anchor: str = "start", more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" {_TEXT} {more}>{text}</text>'


def title(text: str, unit: str = "", lines: dict[str, str] | None = None) -> str:
    """Return a chart's heading, with the names of its lines in their colours."""
    names = "".join(
        f'<span style="float:right;margin-left:.8em;font-weight:400"><b style="color:{color}">—</b> {name}</span>'
        for name, color in reversed((lines or {}).items())
    )
    unit = f'<span style="opacity:.6;font-weight:400">{unit}</span>'
    return f'<div style="font-size:.8em;font-weight:550;padding:.5em .9em .1em">{text} {unit}{names}</div>'


def facts(lines: Sequence[tuple[str, str]]) -> str:
    """Return names and what they are, a line each; faults stand out."""
    rows = ""
    for name, text in lines:
        color = BAD if name in ("fault", "silent", "left out") else "inherit"
        rows += f'<div><span style="opacity:.6">{html.escape(name)}</span> '
        rows += f'<b style="color:{color}">{html.escape(text)}</b></div>'
    return f'<div style="font-size:.85em;line-height:1.5;padding:.2em .9em">{rows}</div>'


def gait(time: np.ndarray, contact: np.ndarray, seconds: float = 3.0) -> str:
    """Return when each foot was down: (t,), s, and (t, 4), over the last seconds."""
    left, right, top, row = 22.0, 350.0, 4.0, 15.0
    body = ""
    end = float(time[-1]) if len(time) else 0.0
    shown = time > end - seconds
    x = left + (right - left) * (1 - (end - time[shown]) / seconds)
    down = contact[shown] > 0.5
    for leg, name in enumerate(LEGS):
        y = top + leg * (row + 3)
        body += _text(0, y + 11.5, name)
        body += f'<rect x="{left}" y="{y}" width="{right - left}" height="{row}" fill="currentColor" opacity=".08"/>'
        edges = np.flatnonzero(np.diff(np.concatenate([[0], down[:, leg].astype(int), [0]])))
        for begin, after in edges.reshape(-1, 2):
            stop = x[after] if after < len(x) else right
            body += f'<rect x="{x[begin]:.1f}" y="{y}" width="{stop - x[begin]:.1f}" height="{row}" fill="{MEASURED}"/>'
    return _svg(352, 4 * (row + 3) + 6, body, "which feet are down")


def torques(share: np.ndarray, peak: np.ndarray) -> str:
    """Return the joints' torques as shares of their limits: now and the largest of late, (12,)."""
    wide, base, tall = 25.0, 78.0, 66.0
    body = f'<line x1="18" x2="350" y1="{base - tall}" y2="{base - tall}" stroke="{BAD}" stroke-dasharray="4 3"/>'
    body += _text(0, base - tall + 4, "100") + _text(6, base, "0")
    for joint in range(12):
        x = 24 + joint * wide + 8 * (joint // 3)
        now, most = (min(1.05, float(np.nan_to_num(v[joint]))) for v in (share, peak))
        color = BAD if most > 0.95 else MEASURED
        body += f'<rect x="{x}" y="{base - tall * now:.1f}" width="17" height="{tall * now:.1f}" fill="{color}"/>'
        body += f'<rect x="{x}" y="{base - tall * most - 1:.1f}" width="17" height="2" fill="{color}"/>'
        body += _text(x + 8.5, base + 11, PARTS[joint % 3][0], 9, "middle")
        if joint % 3 == 1:
            body += _text(x + 8.5, base + 23, LEGS[joint // 3], 10, "middle")
    return _svg(352, base + 26, body, "joint torque as a share of its limit")


def timeline(spans: Sequence[Span], events: Sequence[Event], load: np.ndarray, end: float, now: float) -> str:
    """Return a log at a glance: states, faults, and the largest torque of any joint as a share of its limit.

    Args:
        spans: states.
        events: of which faults and refusals are marked.
        load: over the whole log at equal distances, (n,).
        end: of the log, s.
        now: time shown, s.
    """
    width, band, floor = 360.0, 18.0, 66.0
    scale = width / max(end, 1e-9)
    body = ""
    for span in spans:
        x, wide = span.begin * scale, (span.end - span.begin) * scale
        tip = f"<title>{span.state}, {span.begin:.1f} to {span.end:.1f} s</title>"
        color = STATE_COLORS.get(span.state, "#888")
        body += f'<rect x="{x:.1f}" y="8" width="{wide:.1f}" height="{band}" fill="{color}">{tip}</rect>'
        if wide > 7 * len(span.state):
            ink = "#111" if span.state in ("passive", "stand_up", "stand", "lie_down", "damping") else "#fff"
            body += _text(x + 3, 21, span.state, 10, "start", f'style="fill:{ink}"')
    if len(load):
        xs, ys = np.linspace(0, width, len(load)), floor - 34 * np.clip(load, 0, 1)
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
        body += f'<polyline points="{points}" fill="none" stroke="{MEASURED}" stroke-width="1"/>'
        body += f'<line x1="0" x2="{width}" y1="{floor - 34}" y2="{floor - 34}" stroke="{BAD}" stroke-dasharray="4 3"/>'
    for event in events:
        if event.fault or event.text.startswith("refused"):
            x, color = event.time * scale, BAD if event.fault else ASKED
            tip = f"<title>{event.time:.1f} s: {html.escape(event.text)}</title>"
            body += f'<path d="M{x - 5:.1f} 0 h10 l-5 8 z" fill="{color}">{tip}</path>'
    x = now * scale
    body += f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{floor}" stroke="currentColor" stroke-width="1.5"/>'
    return _svg(width, floor + 2, body, "states, faults and torque over the log")


def context_map(
    points: np.ndarray, values: np.ndarray, label: str, marks: dict[str, np.ndarray], shares: tuple[float, ...]
) -> str:
    """Return the training robots in the plane of their contexts, coloured by a factor, and marks on it.

    Args:
        points: (r, 2).
        values: of the factor, (r,).
        label: name and unit of the factor.
        marks: name -> (2,).
        shares: of the variance along the two axes.
    """
    low, high = np.percentile(points, [2, 98], axis=0)  # a few far ones must not squeeze the others
    span, width, tall = np.maximum(high - low, 1e-9), 330.0, 210.0

    def at(point: np.ndarray) -> tuple[float, float]:
        x, y = np.clip((point - low) / span, -0.02, 1.02)
        return 12 + x * (width - 14), 8 + (1 - y) * (tall - 16)

    bottom, top = float(values.min()), float(values.max())
    body = ""
    for point, value in zip(points, values, strict=True):
        x, y = at(point)
        color = _color((value - bottom) / max(top - bottom, 1e-9))
        body += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4" fill="{color}" opacity=".85"/>'
    for name, mark in marks.items():
        x, y = at(mark)
        fill = ASKED if name == "nominal" else BAD
        shape = f'<path d="M{x:.1f} {y - 7:.1f} l6 7 l-6 7 l-6 -7 z" fill="{fill}" stroke="currentColor"/>'
        side, shift = ("end", -9) if x > width - 60 else ("start", 9)
        body += shape + _text(x + shift, y + 4, html.escape(name), 11, side, HALO)
    body += _text(width / 2, tall + 10, f"first component, {shares[0]:.0%} of the variance", 9, "middle")
    body += (
        f'<g transform="translate(8 {tall / 2}) rotate(-90)">{_text(0, 0, f"second, {shares[1]:.0%}", 9, "middle")}</g>'
    )
    for i in range(60):
        color = _color(i / 59)
        body += f'<rect x="{80 + 2.4 * i:.1f}" y="{tall + 18}" width="3" height="7" fill="{color}"/>'
    body += _text(76, tall + 25, f"{bottom:.2g}", 9, "end") + _text(
        228, tall + 25, f"{top:.2g} {html.escape(label)}", 9
    )
    return _svg(width + 20, tall + 30, body, "contexts of the training robots")


def _color(share: float) -> str:
    red, green, blue = (np.interp(share, np.linspace(0, 1, 5), _SCALE[:, channel]) for channel in range(3))
    return f"#{round(red):02x}{round(green):02x}{round(blue):02x}"
