"""The states and the events between them as a drawing, from the controller's own table."""

from __future__ import annotations

import math

from deploy.states import STATES

WIDTH, HEIGHT, BOX = 880, 320, (104, 34)
PLACES = {
    "passive": (70, 60),
    "stand_up": (250, 60),
    "stand": (430, 60),
    "walk": (650, 60),
    "stop": (815, 155),
    "calibrate": (650, 250),
    "lie_down": (250, 155),
    "damping": (250, 250),
    "fault": (70, 250),
}
INK, DONE = "#7a8692", "#3d8fc4"  # readable on light and dark
STYLE = f"""<style>
text {{ font: 13px system-ui, sans-serif; text-anchor: middle; dominant-baseline: central; fill: {INK} }}
.state {{ font-weight: 600; font-size: 14px; fill: {DONE} }} rect {{ fill: none; stroke: {DONE}; stroke-width: 1.6 }}
path {{ fill: none; stroke: {INK}; stroke-width: 1.3; marker-end: url(#head) }} .done {{ stroke-dasharray: 5 4 }}
.head {{ fill: {INK}; stroke: none }}</style>"""


def svg() -> str:
    """Return the drawing as SVG; it fails with KeyError for a state that has no place in it."""
    asked = [
        (name, to, event, "") for name, row in STATES.items() for event, to in row.on.items() if event != "damping"
    ]
    ways = [way for way in asked if way[0] != way[1]]  # a motion that begins anew is no way
    ways += [(name, row.done, "", "done") for name, row in STATES.items() if row.done]
    names = "".join(
        f'<rect x="{x - BOX[0] / 2:g}" y="{y - BOX[1] / 2:g}" width="{BOX[0]}" height="{BOX[1]}" rx="6"/>'
        f'<text class="state" x="{x}" y="{y}">{name}</text>'
        for name, (x, y) in ((name, PLACES[name]) for name in STATES)
    )
    head = (
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path class="head" d="M0,1L10,5L0,9Z" style="marker-end: none"/></marker></defs>'
    )
    said = (
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 12}">dashed: when the motion is done · any state → damping: the '
        "operator’s emergency stop · any powered state → fault: a guard trips</text>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="States of the controller">{STYLE}{head}{names}{"".join(_way(*way) for way in ways)}{said}</svg>\n'
    )


def _way(start: str, end: str, text: str, kind: str) -> str:
    """Return an arrow, bent to its right so that the way there and the way back are two."""
    (x0, y0), (x1, y1) = PLACES[start], PLACES[end]
    length = math.hypot(x1 - x0, y1 - y0)
    right = (-(y1 - y0) / length, (x1 - x0) / length)
    bend = -18.0 if text else -34.0
    middle = ((x0 + x1) / 2 + bend * right[0], (y0 + y1) / 2 + bend * right[1])
    begin, stop = _edge((x0, y0), middle), _edge((x1, y1), middle)
    curve = f"M{begin[0]:.0f},{begin[1]:.0f}Q{middle[0]:.0f},{middle[1]:.0f} {stop[0]:.0f},{stop[1]:.0f}"
    label = ((begin[0] + 2 * middle[0] + stop[0]) / 4, (begin[1] + 2 * middle[1] + stop[1]) / 4)
    away = (label[0] - 11 * right[0] * (1 + abs(right[0]) * 2), label[1] - 11 * right[1])
    name = f'<text x="{away[0]:.0f}" y="{away[1]:.0f}">{text}</text>' if text else ""
    return f'<path class="{kind}" d="{curve}"/>{name}'


def _edge(box: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Return where the line from a box's centre towards a point leaves the box."""
    dx, dy = towards[0] - box[0], towards[1] - box[1]
    scale = min(BOX[0] / 2 / abs(dx) if dx else math.inf, BOX[1] / 2 / abs(dy) if dy else math.inf)
    return box[0] + dx * scale, box[1] + dy * scale
