"""Tables and figures of the sine benchmark, from the figures it measured."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[Mapping[str, Any]]

COLUMNS = (  # heading, metric, steps
    ("ID, 1 step", "id", 1),
    ("ID, 3 steps", "id", 3),
    ("OOD, 1 step", "ood", 1),
    ("OOD, 3 steps", "ood", 3),
    ("OOD, 5 steps", "ood", 5),
    ("one factor", "one_factor", 3),
    ("swap ID", "swap_id", 3),
    ("swap OOD", "swap_ood", 3),
    ("swap gain", "swap_gain_id", 3),
    ("phase leak", "phase_leak", 3),
    ("amplitude leak", "amplitude_leak", 3),
)
SHARES = ("10", "25", "40")
LIMITS = (0.004, 20.0)  # of errors: beyond, a method has diverged
# Okabe and Ito's colours, distinguishable by colour-blind readers.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#999999")


def markdown(figures: Mapping[str, Any]) -> str:
    """Return the tables: all metrics of three exclusions, errors by exclusion, and budgets."""
    rows, parts = figures["rows"], []
    for exclusion in ("none", "block 25", "range 25"):
        chosen = [row for row in rows if row["exclusion"] == exclusion]
        columns = [c for c in COLUMNS if any(row["metric"] == c[1] for row in chosen)]
        body = [[m, *(cell(chosen, m, metric, s) for _, metric, s in columns)] for m in methods(chosen)]
        if body:
            parts += [f"Exclusion: {exclusion}.", "", table(["method", *(c[0] for c in columns)], body), ""]
    for title, metric in (("after 3 steps", "ood"), ("of swapped contexts, no step", "swap_ood")):
        chosen = [row for row in rows if row["metric"] == metric and row["steps"] == 3]
        names = [f"{kind} {share}" for kind in ("block", "range") for share in SHARES]
        full = [m for m in methods(chosen) if len({row["exclusion"] for row in chosen if row["method"] == m}) > 3]
        body = [[m, *(cell([r for r in chosen if r["exclusion"] == e], m, metric, 3) for e in names)] for m in full]
        if body:
            parts += [f"Out-of-distribution error {title}, by what is left out of training (%).", ""]
            parts += [table(["method", *names], body), ""]
    return "\n".join([*parts, *_budget(figures["training"])])


def _budget(trainings: Rows) -> Iterator[str]:
    yield table(
        ["method", "iterations", "tasks in each", "inner gradients a task", "model-iterations per CPU-s"],
        [
            [
                t["method"],
                f"{t['identity']['iterations']:,}",
                str(t["tasks"]),
                str(t["identity"]["inner_steps"]),
                f"{t['identity']['iterations'] * len(t['identity']['exclusions']) / t['cpu_seconds']:.0f}",
            ]
            for t in {t["method"]: t for t in reversed(trainings)}.values()
        ][::-1],
    )


def methods(rows: Rows) -> list[str]:
    """Return the methods in their order."""
    return list(dict.fromkeys(row["method"] for row in rows))


def cell(rows: Rows, method: str, metric: str, steps: int) -> str:
    """Return `mean ± ci95` of the one row that matches, or a dash."""
    for row in rows:
        if (row["method"], row["metric"], row["steps"]) == (method, metric, steps):
            if row["mean"] is None or not row["mean"] < 1000:
                return "diverged"
            width = "" if row["ci95"] is None else f" ± {row['ci95']:.2g}"
            return f"{row['mean']:.3f}{width}" if row["mean"] < 10 else f"{row['mean']:.1f}{width}"
    return "—"


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *body])


def write(figures: Mapping[str, Any], folder: Path) -> None:
    """Write the tables (`sine.md`), all rows (`sine.csv`) and, of `block 25`, plots (`sine_*.png`) to `folder`."""
    (folder / "sine.md").write_text(markdown(figures) + "\n", encoding="utf-8")
    with (folder / "sine.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(figures["rows"][0]))
        writer.writeheader()
        writer.writerows(figures["rows"])
    plots = {"fits": _fits, "steps": _steps} if figures["fits"] else {}
    if len({row["exclusion"] for row in figures["rows"]}) > 2:
        plots["exclusions"] = _exclusions
    for name, draw in plots.items():
        figure = draw(figures)
        figure.savefig(folder / f"sine_{name}.png", dpi=110, bbox_inches="tight")


def _axes(rows: int, columns: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _colours(figures: Mapping[str, Any]) -> dict[str, str]:
    shown = [method for method in figures["fits"] if not method.endswith(" init")]
    return dict(zip(shown, COLOURS, strict=False))


def _fits(figures: Mapping[str, Any]) -> Any:
    shown = [m for m in ("CAVIA", *figures["fits"]) if m == "CAVIA" or figures["fits"][m]["predicted"][2]]
    shown = [m for m in dict.fromkeys(shown) if m in figures["fits"]]
    figure, axes = _axes(len(shown), 4, (12, 2.2 * len(shown) + 0.6), sharex=True, sharey=True)
    titles = ("sine 1, adapted", "sine 2, adapted", "amplitude 1, phase 2\n(never trained)", "amplitude 2, phase 1")
    for line, method in zip(axes, shown, strict=True):
        curves = figures["fits"][method]
        for column, axis in enumerate(line):
            axis.plot(curves["x"], curves["true"][column], color="#999999", lw=3, label="truth")
            if curves["predicted"][column] is None:
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85}
                text = "one context:\nnothing to swap"
                axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", bbox=box)
            else:
                axis.plot(curves["x"], curves["predicted"][column], color="#D55E00", lw=1.5, label="prediction")
            if column < 2:
                axis.plot(*curves["support"][column], "o", color="#0072B2", ms=4, label="10 points given")
        line[0].set_ylabel(method.replace(" without ", "\nwithout "))
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=11)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _steps(figures: Mapping[str, Any]) -> Any:
    figure, axes = _axes(1, 3, (12, 3.8), sharey=True)
    titles = {"id": "trained range", "ood": "excluded block", "one_factor": "one factor changed"}
    for axis, (metric, title) in zip(axes[0], titles.items(), strict=True):
        for method, colour in _colours(figures).items():
            keys = {"exclusion": "block 25", "metric": metric, "method": method}
            _line(axis, figures["rows"], keys, "steps", colour)
        axis.set(yscale="log", xlabel="gradient steps", title=title, ylim=LIMITS)
    axes[0, 0].set_ylabel("mean squared error")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _exclusions(figures: Mapping[str, Any]) -> Any:
    figure, axes = _axes(1, 4, (13, 3.8), sharey=True)
    panels = [(metric, kind) for kind in ("block", "range") for metric in ("ood", "swap_ood")]
    titles = {"ood": "adapted, 3 steps", "swap_ood": "swapped, no step"}
    for axis, (metric, kind) in zip(axes[0], panels, strict=True):
        rows = [
            {**row, "share": int(row["exclusion"].split()[1])}
            for row in figures["rows"]
            if row["exclusion"].startswith(kind) and row["steps"] == 3
        ]
        for method, colour in _colours(figures).items():
            _line(axis, rows, {"metric": metric, "method": method}, "share", colour)
        axis.set(yscale="log", xlabel="left out of training (%)", title=f"{kind}: {titles[metric]}", ylim=LIMITS)
        axis.set_xticks([int(share) for share in SHARES])
    axes[0, 0].set_ylabel("mean squared error there")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _line(axis: Any, rows: Rows, keys: Mapping[str, Any], along: str, colour: str) -> None:
    chosen = sorted((r for r in rows if all(r[k] == v for k, v in keys.items())), key=lambda row: row[along])
    if not chosen:
        return
    x, mean = [r[along] for r in chosen], [r["mean"] for r in chosen]
    width = [r["ci95"] or 0.0 for r in chosen]
    axis.plot(x, mean, color=colour, marker="o", ms=3, label=keys["method"])
    low = [max(m - w, 0.2 * m) for m, w in zip(mean, width, strict=True)]
    axis.fill_between(x, low, [m + w for m, w in zip(mean, width, strict=True)], color=colour, alpha=0.15, lw=0)
