"""What the routine found, as plain aligned text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from calibration.quality import Check
from calibration.routine import Result
from deploy.gains import NOMINAL, Gains

MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}
LEGS = {"leg_fl": "front left", "leg_fr": "front right", "leg_rl": "rear left", "leg_rr": "rear right"}
WITH_NOMINAL = "; with these the robot is like a nominal one, whose context goes with them"
WEAK = 0.93  # of the strongest leg's stiffness, below which a leg is called weak


def checks_text(checks: Sequence[Check]) -> str:
    """Return one line for each check."""
    width = max((len(check.name) for check in checks), default=0)
    return "\n".join(f"  {MARKS[check.verdict]}  {check.name:<{width}}  {check.text}" for check in checks)


def readings_text(readings: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each reading; a reading whose probe knows nothing is shown as unknown."""
    rows = [("", "reading", "typical error", "this log", "probe R2")]
    for reading in readings:
        told, unit = ("unknown", "", ""), reading["unit"]
        if reading["known"]:
            error, spread = (quantity(reading[of], unit.removesuffix("x")) for of in ("median_error", "spread"))
            told = (quantity(reading["value"], unit), error, f"+- {spread}")
        rows.append((reading["name"], *told, f"{reading['r2']:.2f}"))
    return _aligned(rows)


def torques_text(readings: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each reading from the joint torques; the legs share one."""
    rows = [("", "reading", "this log")]
    for reading in readings:
        if reading["name"] not in LEGS:
            value, unit = quantity(reading["value"], reading["unit"]), reading["unit"].removesuffix("x")
            rows.append((reading["name"], value, f"+- {quantity(reading['spread'], unit)}"))
    rows.append(("legs", weak_leg(readings), ""))
    return _aligned(rows)


def weak_leg(readings: Sequence[Mapping[str, Any]]) -> str:
    """Return which leg is weak, or that none is, from the readings of the joint torques."""
    legs = [reading for reading in readings if reading["name"] in LEGS]
    weakest = min(legs, key=lambda reading: reading["value"], default=None)
    if weakest is None:
        return "unknown (no joint torques in the log)"
    if weakest["value"] + 2 * weakest["spread"] >= WEAK:
        return "equally strong"
    return f"{LEGS[weakest['name']]} is weak, x {weakest['value']:.2f} of the strongest"


def plain(context: Mapping[str, Any]) -> str:
    """Return what a context file says of the robot in one line: payload, stiffness, weak leg."""
    torques = {reading["name"]: reading for reading in context.get("torque_readings", ())}
    probes = {reading["name"]: reading for reading in context["readings"] if reading["known"]}
    parts = []
    for name, label in (("payload", "payload"), ("kp_strength", "stiffness"), ("kd_strength", "damping")):
        reading = torques.get(name) or probes.get(name)
        if reading:
            parts.append(f"{label} {quantity(reading['value'], reading['unit'])}")
    if torques:
        parts.append(f"legs {weak_leg(list(torques.values()))}")
    if (gains := Gains(**context.get("gains", {}))) != NOMINAL:
        parts.append(f"walks with {gains}")
    return ", ".join(parts) or "nothing that can be said in plain words"


def quantity(value: float, unit: str) -> str:
    """Return a value with its unit, as people write it: "x 0.78", "1.42 kg", "12 ms" of seconds."""
    if unit == "s":
        return f"{1000 * value:.0f} ms"
    return f"x {value:.2f}" if unit == "x" else f"{value:.2f} {unit}".rstrip()


def text(result: Result) -> str:
    """Return the report of a routine that succeeded."""
    context = result.context
    before, after = context["error"]["before"], context["error"]["after"]
    change = f"{100 * (1 - after / before):.1f} % less" if after < before else "as good as nominal"
    values = " ".join(f"{value:+.2f}" for value in context["found_context"])
    another = context["found_context"] != context["robot_context"]
    spread = " ".join(f"{value:5.2f}" for value in context["uncertainty"])
    torques = context["torque_readings"]
    return "\n".join(
        [
            f"Log {context['log']['file']} ({context['log']['seconds']:.1f} s used)",
            checks_text(result.checks),
            "",
            f"Prediction error on the walk's end: {before:.4f} nominal -> {after:.4f} adapted ({change})",
            f"Robot context  {values}{'  (nominal)' if context['nominal'] else ''}",
            f"           +-  {spread}",
            f"Gains          {Gains(**context['gains'])}{WITH_NOMINAL if another else ''}",
            "",
            "Read from the context:",
            readings_text(context["readings"]),
            "",
            "Read from the joint torques, beside the context:",
            torques_text(torques) if torques else "  nothing: the log holds no joint torques (effort)",
            "",
            f"Found in {result.seconds:.2f} s"
            if result.out is None
            else f"Wrote {result.out} in {result.seconds:.2f} s",
        ]
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)
