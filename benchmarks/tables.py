"""Writes the tables of the documentation from the files that the measuring commands left in docs/results.

Run it after measuring: `python benchmarks/tables.py`. Between `<!-- results:NAME -->` and `<!-- /results -->` every
document holds what is written here, and nothing there is typed by hand; `<!-- code:NAME -->` marks tables that come
from the code itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    bars,
    commands,
    demo_report,
    evaluation_tables,
    field_report,
    parity_report,
    ros2,
    runtime_report,
    sim_bench,
    state_diagram,
    terrain_report,
    training_seeds,
    view_report,
)
from dynamics_model import discovery_benchmark, dynamics_report, sine_report

ROOT = Path(__file__).parents[1]
FROM_CODE = {**runtime_report.FROM_CODE, **terrain_report.FROM_CODE}
REPORTS = (runtime_report, field_report, sim_bench, parity_report, view_report)
FROM_RESULTS = {name: table for report in REPORTS for name, table in report.FROM_RESULTS.items()}
RESULTS = ROOT / "docs" / "results"
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "models" / "go1" / "README.md",
    ROOT / "models" / "go2" / "README.md",
    ROOT / "docs" / "drivers.md",
    ROOT / "docs" / "sine.md",
    ROOT / "docs" / "import_policy.md",
    ROOT / "docs" / "field.md",
    ROOT / "docs" / "readings.md",
    ROOT / "docs" / "runtime.md",
    ROOT / "docs" / "ros2.md",
    ROOT / "docs" / "add_robot.md",
    ROOT / "docs" / "terrains.md",
    ROOT / "docs" / "simulators.md",
    ROOT / "docs" / "viewer.md",
    ROOT / "docs" / "results.md",
    ROOT / "docs" / "narrow.md",
    ROOT / "docs" / "taught.md",
    ROOT / "docs" / "contexts.md",
)
IMAGES = ROOT / "docs" / "images"
SERIES = ("narrow_21m", "short", "taught_before")  # evaluations of three training seeds, shown side by side
DRAWINGS = {IMAGES / "states.svg": state_diagram.svg}


def demo(figures: dict[str, Any]) -> str:
    """Return the table of one demo or of several at other rises."""
    robot, stairs, error = figures["robot"], figures["stairs"], figures["prediction_error"]
    rows = [
        f"Go1 with {robot['payload_kg']:g} kg on its back and Kp × {robot['kp_scale']:g}, neither told; "
        f"{stairs['steps']} steps of {100 * stairs['rise_m']:g} cm:",
        "",
        "| policy | on top |",
        "|---|---|",
    ]
    rows += [f"| {demo_report.WHAT[n]} | {c['successes']} of {c['trials']} |" for n, c in figures["success"].items()]
    rows += [
        "",
        f"Held-out prediction error {error['before']:.4f} before and {error['after']:.4f} after adapting "
        f"({error['after'] / error['before'] - 1:+.0%}). In plain words: {figures['read']}.",
    ]
    return "\n".join(rows) + "\n\n" + _origin(figures)


def speed(figures: dict[str, Any]) -> str:
    """Return the lines of `dmcm bench train`."""
    return (
        f"Training on box stairs: {figures['samples_per_s']:,.0f} samples/s end to end, "
        f"{figures['ratio']:.2f} of the bare physics ({figures['physics_env_steps_per_s']:,.0f} env-steps/s), "
        f"{figures['peak_rss_mb']:,.0f} MB.\n\n" + _origin(figures)
    )


def sine(figures: dict[str, Any]) -> str:
    """Return the tables of `dmcm bench sine`."""
    return sine_report.markdown(figures) + "\n\n" + _origin(figures)


def meta(figures: dict[str, Any]) -> str:
    """Return the tables of `dmcm bench meta`."""
    head = (
        f"One model, one thread, 25 tasks, inner steps: {figures['inner_steps']}. Iterations per CPU-second: "
        f"CAVIA {figures['cavia_iterations_per_s']:.0f}, MAML {figures['maml_iterations_per_s']:.0f}."
    )
    batches = [
        [str(r["width"]), str(r["tasks"]), f"{r['cavia']:,.0f}", f"{r['maml']:,.0f}" if "maml" in r else "—"]
        for r in figures["tasks_per_s"]
    ]
    stacks = [[str(r["models"]), f"{r['cavia']:,.0f}", f"{r['maml']:,.0f}"] for r in figures["stacked"]]
    tables = [
        sine_report.table(["width", "tasks in a batch", "CAVIA tasks/s", "MAML tasks/s"], batches),
        sine_report.table(["models stacked", "CAVIA model-iterations/s", "MAML model-iterations/s"], stacks),
    ]
    return "\n\n".join([head, *tables, _origin(figures)])


def odometry(figures: dict[str, Any]) -> str:
    """Return the table of `dmcm bench odometry`."""
    rows = {
        "true velocity": "speed",
        "error, with foot forces": "error_with_forces",
        "error, without": "error_without_forces",
    }
    lines = [f"{figures['walks']} walks of {figures['seconds_each']:g} s, root mean square in m/s:", ""]
    lines += ["| | forward | left | up |", "|---|---|---|---|"]
    for label, name in rows.items():
        rms = figures[name]["rms_m_per_s"]
        lines.append(f"| {label} | {rms['forward']:.3f} | {rms['left']:.3f} | {rms['up']:.3f} |")
    return "\n".join(lines) + "\n\n" + _origin(figures)


def dds(figures: dict[str, Any]) -> str:
    """Return the table of `dmcm bench dds`."""
    walk, killed, hijacked = figures["walk"], figures["killed"], figures["hijacked"]
    rates = walk["commands_hz"]
    rows = [
        ("script", f"`{walk['script']}`"),
        ("faults on the way", walk["faults"]),
        ("way over the ground", f"{walk['walked_m']:.0f} m"),
        ("commands at the robot", f"{rates['mean']:.0f} a second, {rates['min']} in the worst second"),
        ("states from the robot", f"{walk['states_hz']:.0f} a second"),
        ("read, decide, send", f"p50 {walk['step_ms']['p50']:.2f} ms, p99 {walk['step_ms']['p99']:.2f} ms"),
        ("jitter of a command", f"p50 {walk['jitter_ms']['p50']:.2f} ms, p99 {walk['jitter_ms']['p99']:.2f} ms"),
        ("robot killed while walking", f"fault after {killed['reaction_ms']:.0f} ms: “{killed['message']}”"),
        ("robot started again", f"reset, and standing after {figures['restarted']['standing_s']:.1f} s"),
        ("a second writer while walking", f"fault after {hijacked['reaction_ms']:.0f} ms: “{hijacked['message']}”"),
    ]
    return (
        "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
        + "\n\n"
        + _origin(figures)
    )


def dds_soak(figures: dict[str, Any]) -> str:
    """Return the lines of `dmcm bench dds --soak`."""
    soak = figures["soak"]
    memory = {name: (m["start"], m["end"]) for name, m in soak["memory_mb"].items()}
    growth = ", ".join(f"{name} {a:.0f} → {b:.0f} MB ({b / a - 1:+.1%})" for name, (a, b) in memory.items())
    return (
        f"{soak['seconds'] / 60:.0f} min of walking in real time with a new command every 2 to 8 s: "
        f"{len(soak['faults'])} faults, {soak['walked_m']:,.0f} m, {soak['late']} of {soak['ticks']:,} ticks late, "
        f"{soak['records']:,} of {soak['records_expected']:,} policy ticks in the log; resident memory {growth}.\n\n"
        + _origin(figures)
    )


def walk(figures: dict[str, Any]) -> str:
    """Return the table of `dmcm bench walk`."""
    head = f"{figures['seconds']:g} s at {figures['command_ms']:g} m/s on the flat, {figures['robots']} robots each:"
    lines = [head, "", "| robots | fell | mean speed of the others, m/s |", "|---|---|---|"]
    for name in ("nominal", "narrow", "wide"):
        speed = figures[name]["speed_ms"]
        lines.append(f"| {name} | {figures[name]['fell']} | {'—' if speed is None else f'{speed:.2f}'} |")
    return "\n".join(lines) + "\n\n" + _origin(figures)


def discovery(figures: dict[str, Any]) -> str:
    """Return what was found of a stream's factors without labels."""
    return discovery_benchmark.table(figures) + "\n\n" + _origin(figures)


def _origin(figures: dict[str, Any]) -> str:
    run = figures["run"]
    made = ["commits that were not kept with them" if one == "unknown" else one for one in figures.get("commits", [])]
    cells = f" (summed up; its cells by {' and '.join(made)})" if made not in ([], [run["commit"]]) else ""
    return (
        f"<sub>`{run['command']}`, seed {run['seed']}, commit {run['commit']}{cells}, {run['date'][:10]}, "
        f"{run['machine']['cores']} cores of {run['machine']['cpu']}.</sub>"
    )


def together(*tables: Callable[[Any], str]) -> Callable[[Any], str]:
    """Return what makes `tables` of several files' figures, and says where each file's come from."""
    return lambda several: "\n\n".join([*(table(several) for table in tables), *map(_origin, several)])


TABLES: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(("demo", "demo_13cm", "demo_told"), demo),
    "bench_train": speed,
    "bench_odometry": odometry,
    "bench_meta": meta,
    "sine": sine,
    "discovery": discovery,
    "dynamics": lambda figures: f"{dynamics_report.markdown(figures)}\n\n{_origin(figures)}",
    **{
        name: lambda figures, made=made: f"{made(figures)}\n\n{_origin(figures)}"
        for name, made in evaluation_tables.FROM_RESULTS.items()
    },
    **{name: together(made) for name, made in evaluation_tables.UPDATED.items()},
    "ood_narrow_seeds": together(training_seeds.by_seed, training_seeds.by_cell),
    **{f"ood_{name}_seeds": together(training_seeds.by_seed) for name in SERIES},
    "ood_taught_seeds": together(training_seeds.by_seed, training_seeds.by_cell),
    **dict.fromkeys(("commands_shipped", "commands_taught"), together(commands.fallen)),
    "bars": bars.markdown,
    "ros2": lambda figures: f"{ros2.table(figures)}\n\n{_origin(figures)}",
    "dds": dds,
    "dds_soak": dds_soak,
    **dict.fromkeys(
        ("commands", "commands_go2"),
        lambda figures: f"{commands.markdown(figures)}\n\n{_origin(figures)}",
    ),
    "go2_walk": walk,
    "a1_walk": walk,
    "a1_from_go1": walk,
    **{
        name: lambda figures, made=made: f"{made(figures)}\n\n{_origin(figures)}" for name, made in FROM_RESULTS.items()
    },
}
FILES: dict[str, str | tuple[str, ...]] = {
    "bars": bars.FILES,
    "ood_narrow_seeds": bars.SEEDS,
    "ood_taught_seeds": bars.TAUGHT,
    evaluation_tables.FROM_TAUGHT: bars.TAUGHT[0],
    "commands_shipped": ("commands_shipped",),
    "commands_taught": tuple(f"commands_taught_seed{seed}" for seed in range(3)),
    **{f"ood_{name}_seeds": tuple(f"ood_{name}_seed{seed}" for seed in range(3)) for name in SERIES},
    **dict.fromkeys(("ood", "ood_walking"), ("ood_before", "ood")),
    "ood_shipped": bars.SHIPPED,
    "ood_beyond": bars.BEYOND,
    "ood_go2": ("ood_go2_before", "ood_go2"),
    **dict.fromkeys(evaluation_tables.FROM_OOD, "ood"),
    evaluation_tables.FROM_ADAPTED: "ood_adapted",
    evaluation_tables.FROM_NARROW: "ood_narrow",
}  # a table whose file has another name, or that is of several files


def _read(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def fill(text: str) -> str:
    """Return the document with the tables between its marks written anew.

    Raises:
        FileNotFoundError: if a result is missing.
        ValueError: if a mark names no table.
    """

    def table(mark: re.Match[str]) -> str:
        name = mark[1]
        if name not in TABLES:
            raise ValueError(f"there is no table '{name}': choose one of {', '.join(TABLES)}")
        file = FILES.get(name, name)
        figures = [_read(one) for one in file] if isinstance(file, tuple) else _read(file)
        return f"<!-- results:{name} -->\n{TABLES[name](figures)}\n<!-- /results -->"

    def code(mark: re.Match[str]) -> str:
        return f"<!-- code:{mark[1]} -->\n{FROM_CODE[mark[1]]()}\n<!-- /code -->"

    text = re.sub(r"<!-- code:(\w+) -->\n.*?<!-- /code -->", code, text, flags=re.DOTALL)
    return re.sub(r"<!-- results:(\w+) -->\n.*?<!-- /results -->", table, text, flags=re.DOTALL)


def main() -> None:
    """Fill every document, and draw what is drawn from the code and from several result files."""
    for path, draw in DRAWINGS.items():
        path.write_text(draw(), encoding="utf-8")
    for name, files in (("ood_narrow_seeds", bars.SEEDS), ("ood_taught_seeds", bars.TAUGHT)):
        training_seeds.figure([_read(file) for file in files], IMAGES / f"{name}.png")
    evaluation_tables.plot(evaluation_tables.updated([_read(file) for file in bars.SHIPPED]), IMAGES / "ood.png")
    for path in DOCUMENTS:
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
