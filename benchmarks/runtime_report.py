"""The tables of docs/runtime.md: states and guards from the code, budget, faults, standing up and soak from results."""

from __future__ import annotations

from typing import Any

from deploy.guards import GUARDS, SafetyConfig
from deploy.states import STATES

PARTS = {
    "guards": "read the measurement, ask every guard",
    "observation": "make the policy's input",
    "policy": "run the policy",
    "limits": "limit the command",
    "log": "hand a record to the log's thread",
}


def states() -> str:
    """Return the table of states."""
    rows = ["| state | motors | motion | the operator may | ends in |", "|---|---|---|---|---|"]
    for name, row in STATES.items():
        motors = f"Kp × {row.kp:g}, Kd × {row.kd:g}" if row.kp or row.kd else "off"
        motors += f", torque to {max(way[2] for way in row.path):.0%}" if row.path else ""
        path = " → ".join(pose for pose, _, _ in row.path)
        motion = {"none": "-", "policy": f"policy, {row.velocity} velocity", "path": path}
        leads = ", ".join(f"`{event}`" if event == to else f"`{event}` → {to}" for event, to in row.on.items())
        rows.append(f"| **{name}** | {motors} | {motion[row.motion]} | {leads} | {row.done or '-'} |")
    return "\n".join(rows)


def guards() -> str:
    """Return the table of guards."""
    rows = ["| guard | trips at | after | blocks `reset` |", "|---|---|---|---|"]
    for guard in GUARDS:
        limit = guard.limit.format(**vars(SafetyConfig()))
        after = f"{1e3 * guard.seconds:.0f} ms" if guard.seconds else "at once"
        rows.append(f"| {guard.name} | {limit} | {after} | {'yes' if guard.blinds else ''} |")
    return "\n".join(rows)


def budget(figures: dict[str, Any]) -> str:
    """Return the tables of `dmcm bench control`: the parts of a tick, and the loops in real time."""
    kind = f"SCHED_FIFO {figures['step_fifo']}" if figures["step_fifo"] else "normal scheduling"
    head = ["| part of a tick with the policy | p50 | p99 | p99.9 | max |", "|---|---|---|---|---|"]
    rows = [f"| {PARTS[name]} | {_times(times)} |" for name, times in figures["parts_ms"].items()]
    rows.append(f"| **step with the policy** (all but the log) | {_times(figures['step_ms'])} |")
    rows.append(f"| step between two actions | {_times(figures['between_ms'])} |")
    loops = [
        "",
        "How far a period is off, in real time, with a log being written, ms:",
        "",
        "| commands | machine | scheduling | p50 | p99 | p99.9 | max | late ticks | read, step and write, p99 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in figures["loops"]:
        kind = f"SCHED_FIFO {row['fifo']}" if row["fifo"] else "normal"
        late = f"{row['late']} of {row['ticks']}"
        loops.append(
            f"| {row['hz']} Hz | {row['load']} | {kind} | {_times(row['jitter_ms'])} | {late} "
            f"| {row['step_ms']['p99']:.3f} |"
        )
    end = (
        f"\n\nFrom the start of the process to the first command: {figures['ready_s']:.2f} s. Load average of the "
        f"machine before the measurement: {figures['load_average_before']:.1f}."
    )
    return (
        "\n".join(
            [f"All times in ms; the parts and the step one after the other, with {kind}.", "", *head, *rows, *loops]
        )
        + end
    )


def _times(times: dict[str, float]) -> str:
    return " | ".join(f"{times[key]:.3f}" for key in ("p50", "p99", "p999", "max"))


def faults(figures: dict[str, Any]) -> str:
    """Return the matrix of `dmcm bench faults`."""
    names = list(dict.fromkeys(row["fault"] for row in figures["rows"]))
    places = list(dict.fromkeys(row["state"] for row in figures["rows"]))
    within = {row["fault"]: row["within_ms"] for row in figures["rows"]}
    lines = [f"| fault | must | {' | '.join(places)} |", "|---|---|" + "---|" * len(places)]
    for name in names:
        mine = {row["state"]: row for row in figures["rows"] if row["fault"] == name}
        carries = next(iter(mine.values()))["expected"] == "carries on"
        must = "carry on" if carries else f"damp within {within[name]} ms"
        lines.append(f"| {name} | {must} | {' | '.join(_cell(mine[place]) for place in places)} |")
    green = sum(row["safe"] and row["log_readable"] for row in figures["rows"])
    return "\n".join(lines) + (
        f"\n\n{green} of {len(figures['rows'])} as they must be, logs readable; {figures['commands_outside_limits']} "
        f"commands outside the limits in {figures['ticks_fuzzed']:,} ticks of fuzzed states, with "
        f"{figures.get('faults_fuzzed', 0):,} faults among them."
    )


def _cell(row: dict[str, Any]) -> str:
    told = "carries on" if row["reaction_ms"] is None else f"{row['reaction_ms']:.0f} ms"
    return told if row["safe"] and row["log_readable"] else f"**{told}: {row['reason']}**"


def standup(figures: dict[str, Any]) -> str:
    """Return the table of `dmcm bench standup`."""
    lines = ["| robot | condition | stood up | torque at most | median | within |", "|---|---|---|---|---|---|"]
    for row in figures["rows"]:
        lines.append(
            f"| {row['robot']} | {row['condition']} | {row['stood']} of {row['poses']} | "
            f"{row['torque_share_max']:.0%} of the limit | {row['torque_share_median']:.0%} | "
            f"{row['seconds_max']:.1f} s |"
        )
    return "\n".join(lines)


def soak(figures: dict[str, Any]) -> str:
    """Return the lines of `dmcm bench soak`."""
    memory = figures["rss_mb"]
    return (
        f"{figures['simulated_h']:.2f} h of walking in simulated time with a new command every 5 s: {figures['trips']} "
        f"faults, {figures['logged']:,} of {figures['policy_ticks']:,} policy ticks in the log, memory "
        f"{memory['least']:.0f} to {memory['most']:.0f} MB after the first tenth ({figures['rss_growth']:+.1%} at the "
        "end)."
    )


FROM_CODE = {"states": states, "guards": guards}
FROM_RESULTS = {"control": budget, "faults": faults, "standup": standup, "soak": soak}
