"""What looking costs, as a table from the figures of `dmcm bench view`."""

from __future__ import annotations

from typing import Any


def view(figures: dict[str, Any]) -> str:
    """Return the table of docs/viewer.md."""
    simulation, log, page = figures["simulation"], figures["log"], figures["page"]
    jump, send = log["jump_ms"], figures["publisher"]["send_us"]
    rows = [
        (
            f"simulation of {simulation['robots']} robots, steps/s without and with the viewer",
            f"{simulation['steps_per_s_without']:.0f}, {simulation['steps_per_s_with']:.0f} "
            f"at {simulation['frames_per_s']:.0f} frames/s",
        ),
        (
            f"speed that the viewer costs it, median (quartiles) of {len(simulation['slices_with'])} pairs of turns",
            _share(simulation["cost"], simulation["cost_quartiles"]),
        ),
        (
            "processor time of a step that it adds, likewise",
            _share(simulation["cpu_cost"], simulation["cpu_cost_quartiles"]),
        ),
        (
            "load average of the machine meanwhile",
            f"{simulation['load_average']:.1f} on {figures['run']['machine']['cores']} cores",
        ),
        ("processor time that showing takes at 30 frames/s", f"{simulation['share_of_a_core']:.1%} of a core"),
        (
            f"a jump in a log of {log['minutes']:g} minutes, p50, p99, most of {log['jumps']}",
            f"{jump['p50']:.1f}, {jump['p99']:.1f}, {jump['max']:.1f} ms",
        ),
        ("opening that log", f"{log['open_s']:.1f} s"),
        ("telling a watcher, once a policy period, p50 and p99", f"{send['p50']:.0f}, {send['p99']:.0f} µs"),
        (f"a replay of {page['seconds']:g} s as a page", f"{page['megabytes']:.1f} MB"),
    ]
    return "\n".join(["| what | figure |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _share(median: float, quartiles: list[float]) -> str:
    low, high = quartiles
    return f"{median:.0%} ({low:.0%} to {high:.0%})".replace("-", "−")


FROM_RESULTS = {"view": view}
