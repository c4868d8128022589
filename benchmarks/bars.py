"""What was asked of the method before anything was trained, beside what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.evaluation_tables import LABELS, PLACES, Rows, lookup, names, table, updated
from benchmarks.training_seeds import merged
from dynamics_model.dynamics_report import closed
from reports.charts import wilson

SEEDS = tuple(f"ood_narrow_seed{seed}" for seed in range(3))  # policies on narrow ranges, trained with each
TAUGHT = ("ood_taught", "ood_taught_seed1", "ood_taught_seed2")  # taught what corrected gains would do, with each
SHIPPED = ("ood_shipped_before", "ood_shipped", "ood_adapted")  # an evaluation, and what updates its rows
BEYOND = ("ood_beyond_before", "ood_beyond")
FILES = (*SHIPPED, *BEYOND, "ood_narrow", "dynamics", "motion", *SEEDS, *TAUGHT)
Line = tuple[str, str, bool]
ASKED = (  # of `multi`: robot, terrain, least success in percent
    ("nominal", "stairs_13cm", 95),
    ("nominal", "stairs_15cm", 90),
    ("+1.5 kg", "stairs_13cm", 80),
    ("Kp x0.6", "stairs_13cm", 80),
)
LEARNER = "table_anchor_dmcm"  # learns as the shipped model did
WIDE, NARROW = (f"{ranges} training ranges, robots that are not nominal" for ranges in ("wide", "narrow"))
THREE = f"{NARROW}, three training seeds of 30 M samples"
SCHOOL = "both taught what corrected gains would do, wide training ranges, stairs 17 cm"
GAP, SWAP, PAYLOAD, KP = 0.8, 0.05, 0.5, 0.05


def markdown(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the table, from the figures of `FILES`."""
    own, others = len(SHIPPED), len(BEYOND)
    shipped, beyond = updated(results[:own]), updated(results[own : own + others])
    narrow, dynamics, motion, *several = results[own + others :]
    together, taught = merged(several[: len(SEEDS)]), several[len(SEEDS) :]
    lines = [
        *_climbs(shipped, "multi_compensated"),
        *_climbs(shipped, "multi"),
        _above(beyond, "vanilla", "robots that no robot in training was like"),
        _above(shipped, "vanilla", WIDE),
        _above(shipped, "vanilla_compensated", WIDE),
        _above(shipped, "vanilla", f"{WIDE}, own gains", "multi"),
        *(_above(narrow["rows"], f"{other}_compensated", NARROW) for other in ("vanilla", "single")),
        *(_above(together, other, THREE, "multi") for other in ("vanilla", "single")),
        _above(merged(taught), "vanilla", f"{SCHOOL}, robots that are not nominal, three training seeds", "multi"),
        _above(taught[0]["rows"], "single", f"{SCHOOL}, robots that are not nominal", "multi"),
        *(_oracle(narrow["rows"], mode, "narrow training ranges") for mode in ("multi_compensated", "multi")),
        _oracle(taught[0]["rows"], "multi", SCHOOL),
        *_dynamics(dynamics["rows"]),
        *_readings(motion["motions"]["shipped"]),
    ]
    return table(["asked", "measured", "met"], [[*line[:-1], "yes" if line[-1] else "**no**"] for line in lines])


def _climbs(rows: Rows, mode: str) -> Iterator[Line]:
    found = lookup(rows)
    for condition, terrain, least in ASKED:
        row = found[mode, condition, terrain]
        asked = f"{LABELS[mode]}: {condition}, {PLACES[terrain]}: at least {least} %"
        lost = f", {row['uncalibrated']} lost in calibration" if row["uncalibrated"] else ""
        told = f"{_pooled([row])} of {row['episodes']} episodes{lost}"
        yield asked, told, 100 * row["successes"] >= least * row["episodes"]


def _above(rows: Rows, other: str, which: str, mode: str = "multi_compensated") -> Line:
    """Return in how many cells of robots that are not nominal a way of `multi` is above another, intervals apart."""
    found, others = lookup(rows), [c for c in names(rows, "condition") if c != "nominal"]
    pairs = [
        (found[mode, condition, terrain], found[other, condition, terrain])
        for condition in others
        for terrain in names(rows, "terrain")
    ]
    above = sum(ours["low"] > theirs["high"] for ours, theirs in pairs)
    below = sum(ours["high"] < theirs["low"] for ours, theirs in pairs)
    above_what = f"above “{LABELS[other]}”, intervals apart"
    asked = f"{LABELS[mode]}: {above_what} ({which})"
    counts = " and ".join(map(str, sorted({row["episodes"] for pair in pairs for row in pair})))
    cells = f"above in {above} of {len(pairs)} cells, below in {below}, of {counts} episodes each"
    ours, theirs = (_pooled(rows) for rows in zip(*pairs, strict=True))
    return asked, f"{cells}; together {ours} against {theirs}", above == len(pairs)


def _pooled(rows: Rows) -> str:
    """Return success over several cells, with its 95 % interval."""
    won, of = (sum(row[key] for row in rows) for key in ("successes", "episodes"))
    low, high = wilson(won, of)
    return f"{100 * won / of:.1f} ({100 * low:.1f}–{100 * high:.1f}) %"


def _oracle(rows: Rows, mode: str, which: str) -> Line:
    ours, truth = (
        sum(row["successes"] for row in rows if row["mode"] == one and row["condition"] != "nominal")
        for one in (mode, "oracle")
    )
    asked = f"{LABELS[mode]}: at least 95 % of `oracle`, which is told the truth ({which})"
    return asked, f"{100 * ours / truth:.0f} % of its successes", ours >= 0.95 * truth


def _dynamics(rows: Rows) -> Iterator[Line]:
    shares = [closed(rows, LEARNER, part, "adapted", True) for part in ("id", "ood")]
    asked = f"adapting closes at least {_percent(GAP)} of the error between the nominal context and the true factors"
    yield asked, " and ".join(_percent(one) for one in shares) + " (in and out of distribution)", min(shares) >= GAP
    errors = {
        (row["split"], row["context"]): row["error_1"]
        for row in rows
        if (row["method"], row["seconds"]) == (LEARNER, 20.0) and row["terrain"] != "flat"
    }
    worse = [errors[part, "swap"] / errors[part, "on_terrain"] - 1 for part in ("id", "ood")]
    asked = f"contexts swapped from flat ground and stairs: error within {_percent(SWAP)} of adapting on the stairs"
    yield (
        asked,
        " and ".join(f"{100 * one:+.1f} %" for one in worse) + " (in and out of distribution)",
        max(worse) <= SWAP,
    )


def _readings(walked: Mapping[str, float]) -> Iterator[Line]:
    head, tail = "read from the context in 20 s, median error", f"({walked['robots']} robots in the wide ranges)"
    yield f"payload {head}: at most {PAYLOAD} kg", f"{walked['payload']:.2f} kg {tail}", walked["payload"] <= PAYLOAD
    yield f"Kp · strength {head}: at most {_percent(KP)}", f"{100 * walked['kp']:.1f} % {tail}", walked["kp"] <= KP


def _percent(part: float) -> str:
    return f"{100 * part:.0f} %"
