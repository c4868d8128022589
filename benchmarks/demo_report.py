"""The demo's report: what the simulated robot did on the stairs, with and without its context."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.trials import TrialResult
from calibration.model import DynamicsModel
from calibration.read import read
from calibration.report_page import errors, map_of_robots, readings
from calibration.resample import resample, samples
from deploy.context import load_bank
from deploy.gains import Gains
from reports.charts import Ground, Interval, Line, Mark, Panel, intervals, panels, wilson
from reports.page import Page, Tile, frame, image, paragraph
from robots.spec import RobotSpec
from sim.shapes import STEP_DEPTH
from sim.trial import StairsTrial

WHAT = {
    "adapted": "this robot's context and gains",
    "told": "this robot's context",
    "nominal": "the nominal robot's context",
    "vanilla": "no contexts (domain randomization)",
    "gains": "no contexts, this robot's gains",
}
SERIES = {"nominal": 0, "adapted": 1, "told": 1, "vanilla": 2, "gains": 3}  # the first two as in adaptation's charts


def write(
    path: Path,
    spec: RobotSpec,
    models: Path,
    log: Path,
    context: Mapping[str, Any],
    figures: Mapping[str, Any],
    trials: Mapping[str, Sequence[TrialResult]],
    film: Sequence[np.ndarray] = (),
    replay: str = "",
    footer: str = "",
) -> Path:
    """Write the report as one HTML file and return its path.

    Args:
        path: the file.
        spec: the robot.
        models: folder with its models.
        log: of the walk.
        context: content of the context file.
        figures: what `dmcm demo --json` holds.
        trials: by the names of `WHAT`.
        film: pictures of a climb, RGB; none where there is no GL.
        replay: a whole HTML document that shows a climb in 3-D; left out if empty.
        footer: where it comes from.
    """
    model = DynamicsModel.load(models / "dynamics.onnx", spec)
    bank = load_bank(models / "bank.safetensors", spec, model.digest)
    walk = samples(resample(read(log, spec.joint_names), spec), model.history)
    found = np.array(context["robot_context"])
    stairs, robot, corrected = figures["stairs"], figures["robot"], "gains" in trials
    page = Page(
        "Demo, in simulation",
        f"{spec.name}: 20 s on flat ground, then {stairs['steps']} steps of {100 * stairs['rise_m']:g} cm",
        _verdict(figures),
        "good" if _share(figures, "adapted" if corrected else "told") > _share(figures, "nominal") else "plain",
        _tiles(figures),
        {
            "Robot": f"{spec.name} with {robot['payload_kg']:g} kg on its back and Kp × {robot['kp_scale']:g}; "
            "neither was told to anything that ran",
            "Walk": f"stand up, {'5 s to read the motors, then ' if corrected else ''}20 s of the calibration motion, "
            f"through the real controller and its log ({log})",
            "Adaptation": f"{model.steps} gradient steps on the context, {context['log']['seconds']:.1f} s used; "
            f"gains of walking: {Gains(**context['gains'])}",
            "Climbs": f"{figures['success']['nominal']['trials']} each, from the same starts, headings and speeds",
            "Simulator": "the field robot, whose motors, contacts, delays and sensors training never saw",
        },
        footer,
    )
    if replay or film:
        shown = [frame(replay, "the climb in 3-D", 520)] if replay else [_animation(film)]
        page.add("The adapted robot on the stairs", *shown)
    page.add("Climbs", _success(trials), _paths(trials, figures), paragraph("Dotted: did not reach the top.", True))
    page.add("Prediction error along the walk", errors(walk, model, bank, found, context["terrain"], spec.control_dt))
    page.add("Among the training robots", map_of_robots(model, bank, found))
    page.add("What was read", *readings(context))
    return page.write(path)


def _verdict(figures: Mapping[str, Any]) -> str:
    error = figures["prediction_error"]
    count = {k: f"{v['successes']} of {v['trials']}" for k, v in figures["success"].items()}
    corrected = "gains" in count
    found, won = ("gains and the context", count["adapted"]) if corrected else ("context", count["told"])
    gains = f", and with these gains in {count['gains']}" if corrected else ""
    return (
        f"With the {found} found the policy reached the top in {won} climbs; with the nominal robot's in "
        f"{count['nominal']}; a policy without contexts in {count['vanilla']}{gains}. Adapting changed the held-out "
        f"prediction error by {_change(error)}."
    )


def _tiles(figures: Mapping[str, Any]) -> list[Tile]:
    error = figures["prediction_error"]
    tiles = [
        Tile(str(count["successes"]), f"of {count['trials']}", f"on top; {WHAT[name]}")
        for name, count in figures["success"].items()
    ]
    return [*tiles, Tile(_change(error), "", "held-out prediction error")]


def _change(error: Mapping[str, float]) -> str:
    return f"{error['after'] / error['before'] - 1:+.0%}".replace("-", "−")


def _share(figures: Mapping[str, Any], name: str) -> float:
    count = figures["success"][name]
    return count["successes"] / count["trials"]


def _success(trials: Mapping[str, Sequence[TrialResult]]) -> str:
    rows = []
    for name, mine in trials.items():
        won = sum(trial.success for trial in mine)
        low, high = wilson(won, len(mine))
        text = f"{won} of {len(mine)}"
        rows.append(Interval(WHAT[name], 100 * won / len(mine), 100 * low, 100 * high, text, SERIES[name]))
    return intervals(rows, "on top, % (95 % interval)", 0.0, 100.0)


def _paths(trials: Mapping[str, Sequence[TrialResult]], figures: Mapping[str, Any]) -> str:
    """Return the trunk's way in every climb over the steps, a panel for each policy."""
    rise, steps = figures["stairs"]["rise_m"], figures["stairs"]["steps"]
    end = StairsTrial(rise, steps)
    edges = [(STEP_DEPTH * i, rise * (i + upper)) for i in range(steps) for upper in (0, 1)]
    x, y = zip(*edges, (end.goal - end.distance, rise * steps), strict=True)
    charts = []
    for name, mine in trials.items():
        marks: list[Mark] = [Ground(x, y)]
        for trial in mine:
            path = np.array(trial.path).reshape(-1, 3)
            marks.append(Line(path[:, 0], path[:, 2], SERIES[name], faint=True, dotted=not trial.success))
        charts.append(Panel(WHAT[name], "from the first step, m", "trunk height, m", marks))
    return panels(*charts, columns=2)


def _animation(film: Sequence[np.ndarray]) -> str:
    from PIL import Image

    pictures = [Image.fromarray(picture) for picture in film]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=200, loop=0, quality=60)
    return image(buffer.getvalue(), "image/webp", "the robot climbing the stairs")
