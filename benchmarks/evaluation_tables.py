"""Shows an evaluation: tables for the documentation, a CSV file, figures, and a report to look at."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import evaluate_report
from benchmarks.evaluate_report import Condition, Count
from reports.charts import wilson

Rows = Sequence[Mapping[str, Any]]
LABELS = {
    "vanilla": "vanilla",
    "vanilla_gains": "vanilla, gains corrected by what was read",
    "vanilla_compensated": "vanilla, compensated",
    "history": "history",
    "history_compensated": "history, compensated",
    "single_raw": "single, flat context as it is",
    "single": "single, by arithmetic",
    "single_gains": "single, gains corrected by what was read",
    "single_compensated": "single, compensated",
    "multi_nominal": "multi, nominal robot",
    "multi": "multi, adapted",
    "multi_gains": "multi, gains corrected by what was read",
    "multi_compensated": "multi, compensated",
    "multi_compensated_alone": "multi, compensated, nominal context",
    "multi_compensated_stranger": "multi, compensated, a stranger's context",
    "oracle": "oracle",
    "multi_flat": "multi, terrain context flat",
    "multi_13cm": "multi, terrain context stairs 13 cm",
    "multi_5s": "multi, 5 s",
    "multi_10s": "multi, 10 s",
    "multi_40s": "multi, 40 s",
}
PLACES = {"flat": "flat", "rough": "rough", **{f"stairs_{n}cm": f"stairs {n} cm" for n in (10, 13, 15, 17)}}


def names(rows: Rows, key: str) -> list[str]:
    """Return the values of a column, in the order in which they come."""
    return list(dict.fromkeys(row[key] for row in rows))


def lookup(rows: Rows) -> dict[tuple[str, str, str], Mapping[str, Any]]:
    """Return the rows by mode, condition and terrain."""
    return {(row["mode"], row["condition"], row["terrain"]): row for row in rows}


def updated(several: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of an evaluation, but of policies that later ones evaluate anew those of the later ones."""
    before, *since = (figures["rows"] for figures in several)
    anew = [row for rows in since for row in rows]
    policies = {row["mode"].split("_")[0] for row in anew}
    kept = [row for row in before if row["mode"].split("_")[0] not in policies]
    return sorted([*kept, *anew], key=lambda row: list(LABELS).index(row["mode"]))


def share(row: Mapping[str, Any] | None) -> str:
    """Return success with its 95 % interval, in percent; a mark where robots could not be calibrated or stand."""
    if row is None:
        return "—"
    part = 100 * row["successes"] / row["episodes"]
    marks = (" *" if row["uncalibrated"] else "") + (" †" if row.get("not_standing") else "")
    return f"{part:.0f} ({100 * row['low']:.0f}–{100 * row['high']:.0f}){marks}"


def markdown(figures: Mapping[str, Any]) -> str:
    """Return a table for every terrain, and what is behind the marks."""
    rows, parts = figures["rows"], []
    found, conditions, modes = lookup(rows), names(rows, "condition"), names(rows, "mode")
    for terrain in names(rows, "terrain"):
        mine = [row for row in rows if row["terrain"] == terrain]
        if len(mine) == len(modes) * len(conditions) and all(row["successes"] == row["episodes"] for row in mine):
            parts.append(
                f"**{PLACES[terrain]}**: 100 % ({100 * min(row['low'] for row in mine):.0f}–100) in every cell."
            )
            continue
        body = [[LABELS[mode], *(share(found.get((mode, c, terrain))) for c in conditions)] for mode in modes]
        parts += [f"**{PLACES[terrain]}**: success in percent, 95 % interval", table(["", *conditions], body)]
    counts = sorted({row["episodes"] for row in rows})
    parts.append(f"{' to '.join(map(str, counts[:: max(len(counts) - 1, 1)]))} episodes a cell.")
    lost = {(row["condition"], "compensated" in row["mode"]): row for row in rows if row["uncalibrated"]}
    if lost:
        told = ", ".join(
            f"{condition}{' (compensated)' if compensated else ''} {row['uncalibrated']} of {row['episodes']} episodes"
            for (condition, compensated), row in lost.items()
        )
        parts.append(f"\\* counted as failed because the robot could not be calibrated: {told}.")
    if told := _not_standing(rows):
        parts.append(f"† counted as failed because the robot did not stand up before the climb: {told} episodes.")
    return "\n\n".join(parts)


def _not_standing(rows: Rows) -> str:
    """Return which ways met how many robots that did not stand up, over all terrains; "" if none did."""
    met = {(row["condition"], row["mode"]) for row in rows if row.get("not_standing")}
    told = []
    for condition, mode in sorted(met):
        mine = [row for row in rows if (row["condition"], row["mode"]) == (condition, mode)]
        lying = sum(row["not_standing"] for row in mine)
        told.append(f"{condition}, {LABELS[mode]} {lying} of {sum(row['episodes'] for row in mine)}")
    return "; ".join(told)


def walking(figures: Mapping[str, Any]) -> str:
    """Return how the robots walked in every mode, mean over the conditions of a terrain."""
    rows = figures["rows"]
    terrains = names(rows, "terrain")
    body = [[LABELS[mode], *(_walked(rows, mode, terrain) for terrain in terrains)] for mode in names(rows, "mode")]
    return table(["", *(PLACES[terrain] for terrain in terrains)], body)


def _walked(rows: Rows, mode: str, terrain: str) -> str:
    """Return velocity error, falls and torque."""
    mine = [row for row in rows if (row["mode"], row["terrain"]) == (mode, terrain)]
    columns = ("tracking_error", "falls_per_minute", "torque")
    values = [[row[name] for row in mine if row[name] is not None] for name in columns]
    return " / ".join(f"{sum(v) / len(v):.2f}" if v else "—" for v in values)


def read_from(figures: Mapping[str, Any]) -> str:
    """Return what the probes read from the adapted contexts: median over the robots, and how many could not walk."""
    shown = ("payload", "kp_strength", "kd_strength")
    body = []
    for one in figures["readings"]:
        read = [one["read"].get(name) for name in shown]
        values = [f"{median(v):.2f} ({min(v):.2f}–{max(v):.2f})" if v else "—" for v in read]
        body.append([one["condition"], one["mode"], *values, f"{one['failed']} of {one['walks']}"])
    head = ["robot", "model", "payload, kg", "Kp · strength", "Kd · strength", "walks that failed"]
    return table(head, body)


def context_use(figures: Mapping[str, Any]) -> str:
    """Return how far a policy's actions move when a context is exchanged, in percent of their own spread."""
    body = []
    for one in figures["use"]:
        places = {"robot contexts of the bank": one["robots"]}
        places |= {f"terrain context {name}": part for name, part in one["terrains"].items()}
        places |= {f"robots with much and with little {name}": part for name, part in one["factors"].items()}
        body += [[one["mode"], what, f"{100 * part:.0f} %"] for what, part in places.items()]
    return table(["policy", "exchanged, on stairs of 13 cm", "actions move by"], body)


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *body])


def write_csv(rows: Rows, path: Path) -> None:
    """Write all rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def plot(rows: Rows, path: Path, seeds: Sequence[Mapping[tuple[str, str, str], Mapping[str, Any]]] = ()) -> None:
    """Draw success with its interval: a row of panels for each terrain, one panel for each condition.

    Args:
        rows: of an evaluation.
        path: of the picture.
        seeds: the rows of each training seed by `lookup`, drawn as ticks where `rows` are several seeds' together.
    """
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    found, conditions, modes = lookup(rows), names(rows, "condition"), names(rows, "mode")
    terrains = names(rows, "terrain")
    size = (1.6 + 1.45 * len(conditions), 0.7 + (0.45 + 0.2 * len(modes)) * len(terrains))
    figure, axes = plt.subplots(
        len(terrains), len(conditions), figsize=size, squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    cividis = plt.get_cmap("cividis")
    colors = {mode: cividis(0.05 + 0.9 * i / max(len(modes) - 1, 1)) for i, mode in enumerate(modes)}
    for line, terrain in zip(axes, terrains, strict=True):
        for axis, condition in zip(line, conditions, strict=True):
            for place, mode in enumerate(modes):
                row = found.get((mode, condition, terrain))
                if row is None:
                    continue
                at = 100 * row["successes"] / row["episodes"]
                axis.plot([100 * row["low"], 100 * row["high"]], [place, place], color=colors[mode], lw=2.5, alpha=0.6)
                axis.plot(at, place, "o", color=colors[mode], ms=4.5, mec="black", mew=0.5)
                for mine in (one[mode, condition, terrain] for one in seeds):
                    at = 100 * mine["successes"] / mine["episodes"]
                    axis.plot(at, place + 0.3, "|", color="black", ms=4, mew=0.8)
            axis.grid(axis="x", lw=0.4)
            axis.tick_params(labelsize=7, length=0)
            axis.spines[["top", "right", "left"]].set_visible(False)
        line[0].set_ylabel(PLACES[terrain], fontsize=9)
    for axis, condition in zip(axes[0], conditions, strict=True):
        axis.set_title(condition, fontsize=9)
    axes[0][0].set(xlim=(-3, 103), ylim=(len(modes) - 0.5, -0.5), yticks=range(len(modes)))
    axes[0][0].set_yticklabels([LABELS[mode] for mode in modes])
    told = "; ticks: each training seed" if seeds else ""
    figure.supxlabel(f"success, % (95 % interval{told})", fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def report(figures: Mapping[str, Any], path: Path, footer: str) -> None:
    """Write the page to look at."""
    rows = figures["rows"]
    found, modes = lookup(rows), names(rows, "mode")
    conditions = [
        Condition(
            condition,
            PLACES[terrain],
            {
                LABELS[mode]: Count(row["successes"], row["episodes"])
                for mode in modes
                if (row := found.get((mode, condition, terrain)))
            },
        )
        for terrain in names(rows, "terrain")
        for condition in names(rows, "condition")
    ]
    lost = sum(row["uncalibrated"] for row in rows)
    notes = [f"{lost} episodes count as failed because their robot could not be calibrated."] if lost else []
    done = {
        "Robot": rows[0]["robot"],
        "Ways to walk": ", ".join(LABELS[mode] for mode in modes),
        "Episodes": f"{sum(row['episodes'] for row in rows):,}",
        "Seed": str(rows[0]["seed"]),
    }
    evaluate_report.write(
        path, "Which policy climbs?", figures["verdict"], conditions, done=done, footer=footer, notes=notes
    )


def verdict(rows: Rows) -> str:
    """Return what came out, over the stairs of 13 cm and more and all conditions but the nominal one.

    The intervals take episodes for independent; ways share robots and courses, so that they tell less than they could.
    """
    totals = []
    for mode in names(rows, "mode"):
        won, of = pooled(rows, mode)
        if not of:
            continue
        low, high = wilson(won, of)
        totals.append((won / of, f"{LABELS[mode]} {won / of:.0%} ({100 * low:.0f}–{100 * high:.0f})"))
    told = ", ".join(text for _, text in sorted(totals, key=lambda total: -total[0]))
    return f"On stairs of 13 cm and more, with robots that are not nominal: {told}." if totals else "No such cells."


def pooled(rows: Rows, mode: str) -> tuple[int, int]:
    """Return successes and episodes of a mode on stairs of 13 cm and more, over all conditions but the nominal one."""
    hard = list(PLACES)[3:]
    mine = [r for r in rows if r["mode"] == mode and r["condition"] != "nominal" and r["terrain"] in hard]
    return sum(row["successes"] for row in mine), sum(row["episodes"] for row in mine)


def with_verdict(figures: Mapping[str, Any]) -> str:
    """Return the tables and what came out."""
    return f"{markdown(figures)}\n\n{verdict(figures['rows'])}"


def of_updated(made: Callable[[Mapping[str, Any]], str]) -> Callable[[Sequence[Mapping[str, Any]]], str]:
    """Return what makes a table of an evaluation that later ones update."""
    return lambda several: made({"rows": updated(several)})


FROM_OOD = ("ood_readings", "ood_use")
FROM_ADAPTED = "ood_adapted_readings"
FROM_NARROW = "ood_narrow_use"
FROM_TAUGHT = "ood_taught_use"
FROM_RESULTS = {
    **dict.fromkeys(
        (
            "ood_stranger",
            "ood_narrow",
            "ood_narrow_unlimited",
            "ood_taught",
        ),
        with_verdict,
    ),
    "ood_terrain": markdown,
    "ood_terrain_16": with_verdict,
    "ood_time": markdown,
    FROM_ADAPTED: read_from,
    **dict.fromkeys((FROM_NARROW, FROM_TAUGHT), context_use),
    **dict(zip(FROM_OOD, (read_from, context_use), strict=True)),
}
UPDATED = {
    **dict.fromkeys(("ood", "ood_shipped", "ood_beyond", "ood_go2"), of_updated(with_verdict)),
    "ood_walking": of_updated(walking),
}  # tables of an evaluation and of those that update it
