"""The tables of docs/terrains.md, from the code."""

from __future__ import annotations

from sim.factors import FACTOR_NAMES, FACTOR_UNITS, NARROW, NUISANCE_UNITS, NUISANCES, WEAK_LEGS, WIDE, FactorRanges
from sim.terrain import KINDS, LEVELS, TERRAINS, measure

STARTS = {
    "anywhere": "anywhere, any heading",
    "centre": "in the middle, any heading",
    "before": "before it, facing it",
    "along": "before it or on the plateau, along x",
}


def terrains() -> str:
    """Return the table of all kinds and what their levels are."""
    rows = ["| kind | what it is | level 0 to 7 | robots start | stands in a bank as |", "|---|---|---|---|---|"]
    for kind in KINDS:
        ground = TERRAINS[kind]
        span = "—"
        if ground.measure:
            span = f"{ground.measure} {measure(kind, 0)} to {measure(kind, LEVELS - 1)}"
        rows.append(f"| `{kind}` | {ground.summary} | {span} | {STARTS[ground.start]} | `{ground.kin or kind}` |")
    return "\n".join(rows)


def robot_factors() -> str:
    """Return the table of the robot's factors and their ranges."""
    rows = ["| robot factor | unit | `narrow` | `wide` |", "|---|---|---|---|"]
    for i, name in enumerate(FACTOR_NAMES):
        if i not in WEAK_LEGS[1:]:
            shown = "weak_leg_fl … weak_leg_rr" if i in WEAK_LEGS else name
            cells = [_span(name, ranges, i in WEAK_LEGS) for ranges in (NARROW, WIDE)]
            rows.append(f"| `{shown}` | {FACTOR_UNITS[name]} | {cells[0]} | {cells[1]} |")
    return "\n".join(rows)


def _span(name: str, ranges: FactorRanges, leg: bool) -> str:
    if leg:
        return f"one leg {ranges.weak_leg[0]:g} … {ranges.weak_leg[1]:g}, of {ranges.weak_leg_chance:.0%}"
    low, high = getattr(ranges, "payload_shift" if name in ("payload_x", "payload_y") else name)
    return f"{low:g} … {high:g}"


def nuisances() -> str:
    """Return the table of the nuisances and their presets."""
    rows = ["| nuisance | unit | `none` | `usual` |", "|---|---|---|---|"]
    for name, unit in NUISANCE_UNITS.items():
        spans = [getattr(NUISANCES[preset], name) for preset in ("none", "usual")]
        cells = [f"{low:g}" if low == high else f"{low:g} … {high:g}" for low, high in spans]
        rows.append(f"| `{name}` | {unit} | {cells[0]} | {cells[1]} |")
    return "\n".join(rows)


FROM_CODE = {"terrains": terrains, "robot_factors": robot_factors, "nuisances": nuisances}
