"""Shows evaluations of policies that were trained alike but with other seeds: side by side, and together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.evaluation_tables import LABELS, PLACES, lookup, names, plot, pooled, table
from reports.charts import wilson


def by_seed(several: Sequence[Mapping[str, Any]]) -> str:
    """Return success on hard stairs by training seed, and its mean and range, of the ways that every seed has."""
    body = []
    for mode in _shared(several):
        counts = [pooled(figures["rows"], mode) for figures in several]
        body.append([LABELS[mode], *(_percent(*count) for count in counts), _spread(counts)])
    return table(["", *(f"training seed {i}" for i in range(len(several))), "mean (range)"], body)


def by_cell(several: Sequence[Mapping[str, Any]]) -> str:
    """Return a table for every terrain: success in each cell, mean and range over the training seeds."""
    found, rows = [lookup(figures["rows"]) for figures in several], several[0]["rows"]
    conditions, parts = names(rows, "condition"), []
    for terrain in names(rows, "terrain"):
        body = []
        for mode in _shared(several):
            cells = [[one[mode, condition, terrain] for one in found] for condition in conditions]
            counts = [[(row["successes"], row["episodes"]) for row in cell] for cell in cells]
            body.append([LABELS[mode], *map(_spread, counts)])
        parts += [f"**{PLACES[terrain]}**: success in percent, mean (range) over training seeds"]
        parts += [table(["", *conditions], body)]
    counts = sorted({row["episodes"] for figures in several for row in figures["rows"]})
    return "\n\n".join(
        [*parts, f"{len(several)} policies a row, {' or '.join(map(str, counts))} episodes a cell of each."]
    )


def merged(several: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the ways that every seed has as one evaluation: episodes added up, with their interval."""
    found, shared, rows = [lookup(figures["rows"]) for figures in several], _shared(several), []
    for cell in found[0]:
        if cell[0] not in shared:
            continue
        won, of = (sum(one[cell][key] for one in found) for key in ("successes", "episodes"))
        low, high = wilson(won, of)
        named = dict(zip(("mode", "condition", "terrain"), cell, strict=True))
        rows.append({**named, "successes": won, "episodes": of, "low": low, "high": high})
    return rows


def figure(several: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw success over all seeds with its interval, and each seed's as a tick below it."""
    plot(merged(several), path, [lookup(figures["rows"]) for figures in several])


def _shared(several: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the ways that every one of several evaluations has."""
    every = [set(names(figures["rows"], "mode")) for figures in several]
    return [mode for mode in names(several[0]["rows"], "mode") if all(mode in one for one in every)]


def _spread(counts: Sequence[tuple[int, int]]) -> str:
    """Return the mean of several shares of success and their range, in percent; one number where all are alike."""
    shares = [100 * won / of for won, of in counts]
    mean, low, high = (f"{value:.0f}" for value in (sum(shares) / len(shares), min(shares), max(shares)))
    return mean if low == high else f"{mean} ({low}–{high})"


def _percent(won: int, of: int) -> str:
    low, high = wilson(won, of)
    return f"{won / of:.0%} ({100 * low:.0f}–{100 * high:.0f}) of {of}"
