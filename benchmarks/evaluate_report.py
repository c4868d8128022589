"""The report of an evaluation: how often each method succeeds in each condition, side by side, with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reports.charts import Interval, intervals, wilson
from reports.page import Page, paragraph, table

PANEL = 440  # px, width of a condition's chart: two stand side by side


@dataclass(frozen=True)
class Count:
    """Trials of one method in one condition: how many, and how many succeeded."""

    successes: int
    trials: int


@dataclass(frozen=True)
class Condition:
    """What the methods were tried in.

    Attributes:
        name: such as "stairs 17 cm, 1.5 kg".
        group: heading under which it stands, such as "inside the training ranges".
        counts: by method, in the order in which methods are shown; a method that was not tried is left out.
    """

    name: str
    group: str
    counts: Mapping[str, Count]


def write(
    path: Path,
    title: str,
    verdict: str,
    conditions: Sequence[Condition],
    *,
    done: Mapping[str, str],
    footer: str,
    notes: Sequence[str] = (),
) -> Path:
    """Write the report of an evaluation as one HTML file and return its path.

    Args:
        path: the file.
        title: what was evaluated.
        verdict: what came out, in a sentence or two.
        conditions: what was tried, grouped in this order.
        done: what was done: name and value (robot, policies, seeds, episodes, samples, hours).
        footer: command, commit, date.
        notes: what a reader must know beside the figures, a sentence each.
    """
    page = Page("Evaluation", title, verdict, "plain", (), done, footer)
    for group in dict.fromkeys(condition.group for condition in conditions):
        mine = [condition for condition in conditions if condition.group == group]
        page.add(f"Success, {group}", '<div class="panels" style="--width: 26rem">', *map(_chart, mine), "</div>")
    page.add("All counts", _table(conditions), *(paragraph(note, note=True) for note in notes))
    return page.write(path)


def _chart(condition: Condition) -> str:
    rows = []
    for i, (method, count) in enumerate(condition.counts.items()):
        low, high = wilson(count.successes, count.trials)
        share = count.successes / count.trials
        text = f"{count.successes} of {count.trials}"
        rows.append(Interval(method, 100 * share, 100 * low, 100 * high, text, i))
    return intervals(rows, "success, % (95 % interval)", 0.0, 100.0, condition.name, width=PANEL)


def _table(conditions: Sequence[Condition]) -> str:
    methods = list(dict.fromkeys(method for condition in conditions for method in condition.counts))
    rows = []
    for condition in conditions:
        found = (condition.counts.get(method) for method in methods)
        cells = ["—" if c is None else f"{c.successes} of {c.trials}" for c in found]
        rows.append([condition.group, condition.name, *cells])
    return table(["", "condition", *methods], rows)
