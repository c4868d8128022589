"""What the routine found, as a page to show: verdict, key figures, and the evidence from the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import robots
from calibration import report
from calibration.adapt import split
from calibration.model import DynamicsModel
from calibration.read import Topics, read
from calibration.report import LEGS, plain, weak_leg
from calibration.resample import Samples, resample, samples
from calibration.routine import Result
from deploy.context import ContextBank, load_bank
from reports.charts import Dots, Interval, Line, Panel, Rule, intervals, legend, panels
from reports.page import Page, Tile, paragraph, table

NAMES = {
    "payload": "payload",
    "kp_strength": "stiffness",
    "kd_strength": "damping",
    "joint_friction": "joint friction",
    "latency": "latency",
    "torque_limit_scale": "torque limit",
    "payload_moment_x": "payload × its distance forward",
    "payload_moment_y": "payload × its distance to the left",
    **{f"weak_{leg}": f"{name} leg's strength" for leg, name in LEGS.items()},
    **LEGS,
}
SMOOTH = 0.5  # s over which errors are averaged


def write(
    path: Path, result: Result, log: Path, model_dir: Path, kind: str = "Adaptation", topics: Topics | None = None
) -> Path:
    """Write the report of a routine that succeeded as one HTML file and return its path.

    Args:
        path: the file.
        result: what was found.
        log: in which it was found.
        model_dir: folder with the dynamics model and the bank that it was found with.
        kind: which command reports.
        topics: names of the log's topics, if they are not the usual ones.

    Raises:
        FileNotFoundError, RefusedError, ValueError: if log or models can no longer be read.
    """
    context = result.context
    spec = robots.load(context["robot"])
    model = DynamicsModel.load(model_dir / "dynamics.onnx", spec)
    bank = load_bank(model_dir / "bank.safetensors", spec, model.digest)
    walk = samples(resample(read(log, spec.joint_names, topics), spec), model.history)
    found = np.array(context["found_context"])
    name = " ".join((context["robot"], context["log"].get("serial", ""))).strip()
    page = Page(
        kind,
        f"{name}: what 20 s of walking say about this robot",
        *_verdict(result),
        _tiles(context),
        _done(result, model),
        f"{context['command']}; dmcm {context['version']}, {context['created']}",
    )
    page.add("What was read", *readings(context))
    page.add(
        "Prediction error along the walk",
        errors(walk, model, bank, found, context["terrain"], spec.control_dt),
        paragraph(
            "The context was found on what lies before the dashed line; what follows was held out. Squared error of "
            f"the dynamics model as a share of the variance, mean over {SMOOTH:g} s.",
            note=True,
        ),
    )
    page.add("Among the training robots", map_of_robots(model, bank, found))
    rows = [(check.name, check.text) for check in result.checks]
    page.add("The log, checked", table(("check", "what was found"), rows, [check.verdict for check in result.checks]))
    return page.write(path)


def quantity(value: float, unit: str) -> str:
    """Return a value with its unit, as a page writes it."""
    return report.quantity(value, unit).replace("x ", "× ")


def called(reading: Mapping[str, Any]) -> str:
    """Return what a page calls a reading."""
    return NAMES.get(str(reading["name"]), str(reading["name"]))


def errors(walk: Samples, model: DynamicsModel, bank: ContextBank, context: np.ndarray, terrain: str, dt: float) -> str:
    """Return a chart of the error over the walk with the nominal and with the adapted context."""
    window = np.ones(round(SMOOTH / dt)) / round(SMOOTH / dt)
    time = walk.tick * dt
    lines = [
        Line(time, np.convolve(model.error(walk, robot, bank.terrain(terrain)), window, "same"), series)
        for series, robot in enumerate((bank.nominal_robot, context))
    ]
    held_out = Rule("held out from here", x=float(split(walk, model.history, dt)[1].tick[0] * dt))
    return panels(Panel("", "time, s", "error, share of variance", [*lines, held_out]), columns=1) + legend(
        "with the nominal robot's context", "with this robot's context"
    )


def map_of_robots(model: DynamicsModel, bank: ContextBank, context: np.ndarray) -> str:
    """Return charts of the contexts by what is read from them, the training robots coloured by the truth."""
    probes = {probe.name: probe for probe in model.probes}
    if not {"kp_strength", "payload"} <= set(probes) or not {"kp_scale", "payload"} <= set(bank.factor_names):
        return paragraph("These models do not tell stiffness and payload: there is no map.", note=True)
    x, y = probes["kp_strength"], probes["payload"]
    charts = []
    for factor, label in (("kp_scale", "true stiffness, ×"), ("payload", "true payload, kg")):
        truth = bank.robot_factors[:, bank.factor_names.index(factor)]
        marks = [Dots(x.read(bank.robot_contexts), y.read(bank.robot_contexts), values=truth)]
        marks += [
            Dots([float(x.read(robot))], [float(y.read(robot))], series, big=True)
            for series, robot in enumerate((bank.nominal_robot, context))
        ]
        charts.append(
            Panel(f"Coloured by {label.split(',')[0]}", "stiffness read, ×", "payload read, kg", marks, label)
        )
    return panels(*charts, columns=2) + legend("nominal robot", "this robot", dots=True)


def readings(context: Mapping[str, Any]) -> list[str]:
    """Return charts and a table of what was read of a robot, by its joint torques and by its context."""
    torques, probes = context["torque_readings"], [r for r in context["readings"] if r["known"]]
    rows, order = {"x": [], "kg": []}, {name: place for place, name in enumerate(NAMES)}
    every = [(r, "torques", 1) for r in torques] + [(r, "context", 0) for r in probes]
    for r, source, series in sorted(every, key=lambda one: order.get(one[0]["name"], len(order))):
        if r["unit"] not in rows:
            continue
        spread = max(2 * r["spread"], r.get("median_error", 0.0))
        low, high = r["value"] - spread, r["value"] + spread
        value = quantity(r["value"], r["unit"])
        rows[r["unit"]].append(Interval(f"{called(r)} ({source})", r["value"], low, high, value, series))
    charts = []
    if rows["kg"]:
        top = max(3.0, *(row.high or 0.0 for row in rows["kg"]))
        charts.append(intervals(rows["kg"], "kg", 0.0, top, "Payload"))
    if rows["x"]:
        nominal = Rule("nominal", x=1.0)
        charts.append(intervals(rows["x"], "× nominal; a leg: × the strongest", 0.4, 1.4, "Strength", nominal))
    return [
        *charts,
        legend("from the context", "from the joint torques", dots=True),
        paragraph(
            "Bars: typical error on held-out robots far from nominal, or twice the spread in this log, if wider.", True
        ),
        _table(context["readings"]),
    ]


def _table(read: Sequence[Mapping[str, Any]]) -> str:
    """Return the readings of the context and how good the probes are that read them."""
    rows = [
        (
            called(r),
            quantity(r["value"], r["unit"]),
            quantity(r["median_error"], r["unit"].removesuffix("x")),
            f"{r['r2']:.2f}",
        )
        for r in read
        if r["known"]
    ]
    unknown = [called(r) for r in read if not r["known"]]
    dark = paragraph(f"Cannot be read from a context of this model: {', '.join(unknown)}.", True) if unknown else ""
    return table(("read from the context", "", "typical error", "R² of the probe"), rows) + dark


def _verdict(result: Result) -> tuple[str, str]:
    """Return the verdict and its mood."""
    context = result.context
    before, after = context["error"]["before"], context["error"]["after"]
    warned = [check.name for check in result.checks if check.verdict == "warn"]
    doubt = f" Look at the log's checks: {', '.join(warned)}." if warned else ""
    if context["nominal"]:
        said = "Nothing about this robot differs from a nominal one by more than noise: it keeps that context."
        return said + doubt, "fair" if warned else "plain"
    found = plain(context).replace(" x ", " × ")
    said = (
        f"{found[0].upper()}{found[1:]}. With its own context the dynamics model's error on the end of the walk, which "
        f"it was not adapted to, falls by {1 - after / before:.0%}."
    )
    if context["found_context"] != context["robot_context"]:
        said += " With the gains above it is like a nominal robot, whose context goes with them."
    return said + doubt, "fair" if warned else "good"


def _tiles(context: Mapping[str, Any]) -> list[Tile]:
    torques = {reading["name"]: reading for reading in context["torque_readings"]}
    probes = {reading["name"]: reading for reading in context["readings"] if reading["known"]}
    tiles = []
    for name in ("payload", "kp_strength"):
        reading, source = (torques[name], "joint torques") if name in torques else (probes.get(name), "context")
        if reading:
            value = f"{reading['value']:.2f}"
            kilograms = reading["unit"] == "kg"
            what = NAMES[name] if kilograms else f"{NAMES[name]} of a nominal robot's"
            tiles.append(Tile(value, "kg" if kilograms else "×", f"{what}, from the {source}"))
    if torques:
        leg = weak_leg(list(torques.values()))
        tiles.append(Tile("none" if leg == "equally strong" else "one", "", f"weak leg: {leg}"))
    before, after = context["error"]["before"], context["error"]["after"]
    tiles.append(Tile(f"{after / before - 1:+.0%}".replace("-", "−"), "", "held-out prediction error"))
    return tiles


def _done(result: Result, model: DynamicsModel) -> dict[str, str]:
    context, log = result.context, result.context["log"]
    return {
        "Log": f"{log['file']}, {log['seconds']:.1f} s used, SHA-256 {log['sha256'][:12]}",
        "Robot": f"{context['robot']}, constants {context['robot_digest']}",
        "Adaptation": f"{model.steps} gradient steps on the robot's context; ground: {context['terrain']}",
        "Error": f"{context['error']['before']:.4f} nominal, {context['error']['after']:.4f} adapted, held out",
        "Kept as": str(result.out) if result.out else "not written by this command",
        "Took": f"{result.seconds:.1f} s",
    }
