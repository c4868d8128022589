"""The tables of docs/field.md, from what `dmcm bench motion`, `dmcm bench sysid` and `dmcm field` measured."""

from __future__ import annotations

from typing import Any

MOTIONS = {
    "shipped": "designed, steered (shipped)",
    "compensated": "the same, with gains corrected after 5 s (`--compensate`)",
    "unsteered": "the same phases, not steered",
    "standing": "the same phases, half of the time standing",
    "arcs": "designed without steps to the side",
    "forward": "constant speed, 0.5 m/s ahead",
    "circle": "constant speed, on a circle",
}
WAYS = {
    "DMCM": "context (DMCM)",
    "torques": "joint torques",
    "sysid": "`mujoco.sysid`",
    "nominal": "none: the nominal robot's",
    "true factors": "true factors",
}


def motion(figures: dict[str, Any]) -> str:
    """Return the table of `dmcm bench motion`."""
    columns = ("fell", "refused", "left_area", "payload", "kp", "kd", "payload_torques", "payload_rough")
    columns += ("kp_torques", "leg_right")
    lines = [
        f"{figures['robots']} simulated field robots, random in the wide ranges; medians over the walks that gave one:",
        "",
        "| 20 s of | fell | log refused | farther than 1.5 m | payload, context | Kp, context | Kd, context "
        "| payload, torques | the same, sensor 3 % off | Kp, torques | weak leg or none named rightly |",
        "|---" * 11 + "|",
    ]
    for name, row in figures["motions"].items():
        cells = [_cell(key, row.get(key)) for key in columns]
        lines.append(f"| {MOTIONS.get(name, name)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(name: str, value: float | None) -> str:
    if value is None:
        return "—"
    if name.startswith("payload"):
        return f"{value:.2f} kg"
    return f"{value:.1%}" if name.startswith("k") else f"{value:.0%}" if name == "leg_right" else f"{value:d}"


def sysid(figures: dict[str, Any]) -> str:
    """Return the tables of `dmcm bench sysid`."""
    lines = [
        f"The same {figures['identified']} walks ({figures['walks']} robots; the others fell), median errors:",
        "",
        "| found by | payload | Kp | Kd | time, one core of a busy machine |",
        "|---|---|---|---|---|",
    ]
    for way, row in figures["accuracy"].items():
        damping = f"{row['kd']:.1%}" if row["kd"] is not None else "—"
        cells = f"{row['payload']:.2f} kg | {row['kp']:.1%} | {damping} | {row['seconds']:.2g} s"
        lines.append(f"| {WAYS[way]} | {cells} |")
    stairs = figures["stairs"]
    lines += [
        "",
        f"{stairs['steps']} steps of {100 * stairs['rise_m']:g} cm, one climb of each robot with each context:",
        "",
        "| the policy's robot context from | on top |",
        "|---|---|",
    ]
    lines += [f"| {WAYS[way]} | {row['successes']} of {row['trials']} |" for way, row in figures["climbs"].items()]
    return "\n".join(lines)


def field(figures: dict[str, Any]) -> str:
    """Return the line of `dmcm field`."""
    error = figures["error"]
    whole = figures["robot_seconds"] + figures.get("walk_seconds", 0.0)
    return (
        f"Robot time {figures['robot_seconds']:.1f} s, {whole:.1f} s with the walk afterwards; adapting took "
        f"{figures['seconds']:.1f} s on a busy machine. Held-out prediction error {error['before']:.4f} before, "
        f"{error['after']:.4f} after."
    )


FROM_RESULTS = {
    **dict.fromkeys(("motion", "motion_tuning", "motion_go2", "motion_go2_fast", "motion_go2_before"), motion),
    "sysid": sysid,
    "field": field,
}
