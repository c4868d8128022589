"""The tables of `dmcm bench dynamics`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dynamics_model.sine_report import table

LONGEST = 20.0
SHOWN = ("payload", "kp_strength", "kd_strength", "weak_leg_rr", "terrain")
PARTS = {"id": "in", "ood": "out of"}
DIVERGED = 100.0  # a mean square over the data's, beyond which the steps of adaptation have run away


def line(figures: Mapping[str, Any]) -> str:
    """Return the figures of one method as one short line."""
    told = [
        f"{row['context']} {_error(row['error_1'])}"
        for row in figures["rows"]
        if row["split"] == "id" and row["seconds"] in (0.0, LONGEST) and row["terrain"] != "flat"
    ]
    read = [f"{p['factor']} R2 {p['r2']:.2f}" for p in figures.get("probes", ()) if _robot(p) and p["split"] == "id"]
    return ", ".join([*told, *read[:3]])


def markdown(figures: Mapping[str, Any]) -> str:
    """Return the tables: errors on flat ground and stairs, what seconds give, what contexts tell."""
    data, settings = figures["data"], figures["settings"]
    head = (
        f"{data['robots']} robots: {data['train']} train, {data['validation']} validate, {data['test_id']} test inside "
        f"the training ranges and {data['test_ood']} outside (more than 2 kg, or Kp below × 0.7); "
        f"{len(data['terrains'])} terrains, {data['transitions']:,} transitions; {settings['budget']} iterations of "
        f"4096 transitions for each method, one of chains counted as {settings['chain_cost']}, with a "
        f"learning rate of {settings['chain_rate']:g} where they do not go on from a table; "
        f"history {settings['history']}, context {settings['context']}, network {settings['hidden']}. "
        f"Adapted on {data['seconds_used']['20']:g} s at most; judged on the last 15 % of each log."
    )
    return "\n\n".join(
        [
            head,
            *_choice(figures),
            _errors(figures),
            *_closed(figures["rows"]),
            _seconds(figures),
            _told(figures),
            _spread(figures),
            _observed(figures),
        ]
    )


def _choice(figures: Mapping[str, Any]) -> list[str]:
    """Return a table of what was tried on validation robots before, if it was."""
    body = [
        [
            one["method"],
            str(one["history"]),
            str(one["context"]),
            f"{one['chain_rate']:g}" if "chain_rate" in one else "—",
            f"{_error(one['error_1'])} / {_error(one['error_25'], 3)}",
        ]
        for one in figures["choice"]
    ]
    title = (
        "Tried before on validation robots, with a quarter of the iterations: errors on stairs, contexts from flat "
        "ground, one step / 25 steps ahead:"
    )
    head = ["method", "history", "context", "learning rate of chains", "stairs: swap"]
    return [f"{title}\n\n{table(head, body)}"] if body else []


def _errors(figures: Mapping[str, Any]) -> str:
    """Return a table of errors after the longest walk, one and 25 steps ahead."""
    columns = [("nominal", "flat"), ("adapted", "flat"), ("nominal", ""), ("raw", ""), ("swap", ""), ("on_terrain", "")]
    titles = ["flat: nominal", "adapted", "stairs: nominal", "flat contexts", "swap", "adapted there"]
    body = []
    for method in _names(figures["rows"], "method"):
        for part, told in PARTS.items():
            cells = [_cell(figures["rows"], method, part, context, ground) for context, ground in columns]
            body.append([method, f"{told} distribution", *cells])
    return "Errors, one step / 25 steps ahead:\n\n" + table(["method", "robots", *titles], body)


def closed(rows: Sequence[Mapping[str, Any]], method: str, split: str, context: str, flat: bool) -> float | None:
    """Return the share of the gap between the nominal context and a model told the truth that a context closes.

    Args:
        rows: of a benchmark.
        method: the learner.
        split: "id" or "ood".
        context: "adapted", "swap" or "on_terrain".
        flat: on flat ground, else on stairs.

    Returns:
        It, one step ahead, after the longest walk; None where something is missing.
    """
    errors = {
        (*(row[name] for name in ("method", "split", "context")), _flat(row)): row["error_1"]
        for row in rows
        if row["seconds"] in (0.0, LONGEST)
    }
    ends = ((method, split, "nominal", flat), ("true", split, "true", flat), (method, split, context, flat))
    if not errors.keys() >= set(ends):
        return None
    nominal, told, found = (errors[key] for key in ends)
    return (nominal - found) / (nominal - told)


def _closed(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a table of what adapting is worth against being told the true factors, if a method was told them."""
    body = []
    for method in _names(rows, "method"):
        contexts = (("adapted", True), ("swap", False), ("on_terrain", False))
        shares = [closed(rows, method, split, context, flat) for split in PARTS for context, flat in contexts]
        if any(share is not None for share in shares):
            body.append([method, *("—" if share is None else f"{100 * share:.0f} %" for share in shares)])
    title = (
        "Share of the gap between the nominal robot's context and a model that is told the true factors (`true`) that "
        "contexts close, one step ahead, in and out of distribution; over 100 % is better than being told:"
    )
    grounds = ("flat: adapted", "stairs: swap", "stairs: adapted there")
    head = ["method", *(f"{part}, {ground}" for part in ("in", "out") for ground in grounds)]
    return [f"{title}\n\n" + table(head, body)] if body else []


def _error(error: float | None, digits: int = 4) -> str:
    if error is None:
        return "—"
    return f"{error:.{digits}f}" if error < DIVERGED else "diverged"


def _flat(row: Mapping[str, Any]) -> bool:
    return row["terrain"] == "flat"


def _cell(rows: Sequence[Mapping[str, Any]], method: str, part: str, context: str, ground: str) -> str:
    names = {context, "true"} if context == "nominal" else {context}
    for row in rows:
        there = _flat(row) == (ground == "flat")
        if row["method"] == method and row["split"] == part and row["context"] in names and there:
            if row["seconds"] in (0.0, LONGEST):
                return f"{_error(row['error_1'])} / {_error(row['error_25'], 3)}"
    return "—"


def _seconds(figures: Mapping[str, Any]) -> str:
    rows = [row for row in figures["rows"] if row["context"] == "swap" and row["split"] == "id"]
    seconds = sorted({row["seconds"] for row in rows})
    body = []
    for method in _names(rows, "method"):
        mine = {row["seconds"]: row for row in rows if row["method"] == method}
        body.append([method, *(_error(mine[s]["error_1"]) if s in mine else "—" for s in seconds)])
    title = "One-step error on stairs by seconds of flat walking:"
    return f"{title}\n\n" + table(["method", *(f"{s:g} s" for s in seconds)], body)


def _told(figures: Mapping[str, Any]) -> str:
    body = []
    keys = dict.fromkeys((row["method"], row["split"], row["context"]) for row in figures["probes"])
    for key in keys:
        mine = {r["factor"]: r for r in figures["probes"] if (r["method"], r["split"], r["context"]) == key}
        cells = [f"{mine[n]['r2']:.2f} ({mine[n]['median_error']:.2f})" if n in mine else "—" for n in SHOWN]
        body.append([key[0], f"{PARTS[key[1]]} distribution", key[2], *cells])
    title = "What a linear probe reads, R² (median error; of the terrain the share told wrong):"
    return f"{title}\n\n" + table(["method", "robots", "context", *SHOWN], body)


def _spread(figures: Mapping[str, Any]) -> str:
    body = [
        [
            one["method"],
            *(f"{one[n]:.2f}" if n in one else "—" for n in ("robot_within_between", "terrain_within_between")),
        ]
        for one in figures["spread"]
    ]
    title = "Variance of a factor's contexts within the factor (found with other partners) over that between factors:"
    return f"{title}\n\n" + table(["method", "robot", "terrain"], body)


def _observed(figures: Mapping[str, Any]) -> str:
    grounds = _names(figures["observed"], "terrain")
    body = []
    for factor in _names(figures["observed"], "factor"):
        mine = {row["terrain"]: row for row in figures["observed"] if row["factor"] == factor}
        body.append([factor, *(f"{mine[g][key]:.2f}" for g in grounds for key in ("r2", "r2_mean"))])
    title = (
        "What a policy without contexts could know: a network reads the factors from the state and the action before "
        "it, R² in distribution, from one moment and as the mean over a log:"
    )
    return f"{title}\n\n" + table(["factor", *(t for g in grounds for t in (f"{g}: a moment", "a log"))], body)


def _robot(probe: Mapping[str, Any]) -> bool:
    return probe["context"] != "terrain" and probe["factor"] in SHOWN[:3]


def _names(rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))
