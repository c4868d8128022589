"""Shows what `dmcm bench parity` found."""

from __future__ import annotations

from typing import Any


def table(figures: dict[str, Any]) -> str:
    """Return a table for each pair of simulators, as Markdown."""
    reference, count = figures["reference"], figures["num_envs"]
    parts = [
        f"{count} {figures['robot'].capitalize()}s, the nominal one and others from the narrow range; walking: "
        f"{figures['seconds']:g} s at {figures['command_ms']:g} m/s on each terrain."
    ]
    for sim, pair in figures["pairs"].items():
        parts += ["", f"| what | {reference} | {sim} | difference | allowed | |", "|---|---:|---:|---:|---:|---|"]
        for row in pair["rows"]:
            values = " | ".join(f"{row[key]:.3g}" for key in ("reference", "other", "difference", "allowed"))
            parts.append(f"| {row['check']}, {row['unit']} | {values} | {'pass' if row['pass'] else '**fail**'} |")
    return "\n".join(parts)


FROM_RESULTS = {"parity": table, "parity_standin": table}
