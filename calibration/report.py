"""What the routine found, as plain aligned text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from calibration.quality import Check
from calibration.routine import Result

MARKS = {"ok": "ok  ", "warn": "WARN", "fail": "FAIL"}


def checks_text(checks: Sequence[Check]) -> str:
    """Return one line for each check."""
    width = max((len(check.name) for check in checks), default=0)
    return "\n".join(f"  {MARKS[check.verdict]}  {check.name:<{width}}  {check.text}" for check in checks)


def readings_text(readings: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each reading; a reading whose probe knows nothing is shown as unknown."""
    rows = [("", "reading", "typical error", "this log", "probe R2")]
    for reading in readings:
        unit = "" if reading["unit"] in ("", "x") else f" {reading['unit']}"
        times = "x " if reading["unit"] == "x" else ""
        known = reading["known"]
        rows.append(
            (
                reading["name"],
                f"{times}{reading['value']:.2f}{unit}" if known else "unknown",
                f"{reading['median_error']:.2f}{unit}" if known else "",
                f"+- {reading['spread']:.2f}" if known else "",
                f"{reading['r2']:.2f}",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(f"  {line}".rstrip() for line in lines)


def text(result: Result) -> str:
    """Return the report of a routine that succeeded."""
    context = result.context
    before, after = context["error"]["before"], context["error"]["after"]
    gain = 100 * (1 - after / before) if before > 0 else 0.0
    values = " ".join(f"{value:+.2f}" for value in context["robot_context"])
    spread = " ".join(f"{value:5.2f}" for value in context["uncertainty"])
    return "\n".join(
        [
            f"Log {context['log']['file']} ({context['log']['seconds']:.1f} s used)",
            checks_text(result.checks),
            "",
            f"Prediction error on the walk's end: {before:.4f} nominal -> {after:.4f} adapted ({gain:.1f} % less)",
            f"Robot context  {values}",
            f"           +-  {spread}",
            "",
            readings_text(context["readings"]),
            "",
            f"Wrote {result.out} in {result.seconds:.2f} s",
        ]
    )
