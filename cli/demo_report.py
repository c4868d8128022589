"""The demo's report: one HTML page that opens from a file, figures inside."""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from calibration.model import DynamicsModel
from cli.record import commit
from deploy.context import ContextBank, load_bank
from robots.spec import RobotSpec
from sim.trial import StairsTrial

COLORS = {"adapted": "#0072b2", "nominal": "#e69f00", "vanilla": "#cc79a7"}  # told apart by the colour-blind
INK = "#808890"  # readable on light and dark
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; }} h2 {{ font-size: 1.15rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; }} td, th {{ padding: .3rem .9rem .3rem 0; text-align: left; }}
td, th {{ border-bottom: 1px solid #8884; }}
svg, img {{ max-width: 100%; height: auto; }}
.verdict {{ font-size: 1.15rem; }} footer {{ color: {ink}; margin-top: 2rem; }}
</style>
<h1>{title}</h1>
{body}
<footer>{footer}</footer></html>
"""


def write(
    out: Path,
    spec: RobotSpec,
    models: Path,
    config: Any,
    figures: dict[str, Any],
    trials: dict[str, list[Any]],
    film: list[np.ndarray],
) -> Path:
    """Write report.html into `out` and return its path."""
    bank, model = load_bank(models / "bank.safetensors", spec), DynamicsModel.load(models / "dynamics.onnx", spec)
    context = np.array(json.loads((out / "context.json").read_text())["robot_context"])
    body = [_verdict(figures)]
    if film:
        body += ["<h2>The adapted robot on the stairs</h2>", _animation(film)]
    body += ["<h2>Trials</h2>", _table(figures["success"]), _paths(trials, config)]
    body += ["<h2>Prediction error of the dynamics model</h2>", _errors(out / "log", model, spec, bank, context)]
    body += ["<h2>The context on the map of training robots</h2>", _map(model, bank, context)]
    body += ["<h2>What the context says in plain words</h2>", _readings(figures["readings"])]
    title = f"{spec.name}: 20 s on flat ground, then stairs of {100 * config.rise:g} cm"
    footer = f"dmcm demo, seed {config.seed}, commit {commit()}. All of it in simulation."
    page = out / "report.html"
    page.write_text(PAGE.format(title=title, body="\n".join(body), footer=footer, ink=INK), encoding="utf-8")
    return page


def _verdict(figures: dict[str, Any]) -> str:
    error, robot = figures["prediction_error"], figures["robot"]
    share = {k: f"{v['successes']} of {v['trials']}" for k, v in figures["success"].items()}
    return (
        f'<p class="verdict">A robot with a payload of {robot["payload_kg"]:g} kg and joint stiffness × '
        f"{robot['kp_scale']:g}, of which nothing was told, reached the top in <b>{share['adapted']}</b> trials "
        f"with its adapted context, in {share['nominal']} with the nominal robot's and in {share['vanilla']} without. "
        f"Adapting changed the held-out prediction error from {error['before']:.4f} to {error['after']:.4f} "
        f"({error['after'] / error['before'] - 1:+.0%}).</p>"
    )


def _table(success: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{name}</td><td>{count['successes']} of {count['trials']}</td></tr>" for name, count in success.items()
    )
    return f"<table><tr><th>context</th><th>on top</th></tr>{rows}</table>"


def _readings(readings: list[dict[str, Any]]) -> str:
    rows = ""
    for r in readings:
        value = f"{r['value']:.2f} {html.escape(r['unit'])}" if r["known"] else "unknown"
        quality = f"R² {r['r2']:.2f}, median error {r['median_error']:.2f}"
        rows += f"<tr><td>{html.escape(r['name'])}</td><td>{value}</td><td>{quality} on held-out robots</td></tr>"
    return f"<table><tr><th>reading</th><th></th><th></th></tr>{rows}</table>"


def _animation(film: list[np.ndarray]) -> str:
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in film]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=200, loop=0, quality=60)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="the robot climbing the stairs" src="data:image/webp;base64,{data}">'


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    keys = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor")
    plt.rcParams.update({key: INK for key in keys})
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none"})
    return plt.subplots(1, columns, figsize=(width, height), squeeze=False, sharey=True, layout="constrained")


def _svg(figure: Any) -> str:
    import matplotlib.pyplot as plt

    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True)
    plt.close(figure)
    return buffer.getvalue()[buffer.getvalue().index("<svg") :]


def _paths(trials: dict[str, list[Any]], config: Any) -> str:
    """Draw the trunk's way in every trial over the steps, one panel a mode."""
    stairs = StairsTrial(config.rise, config.steps)
    figure, axes = _figure(9.0, 2.6, 3)
    for axis, (name, mine) in zip(axes[0], trials.items(), strict=True):
        edges = np.array([[0.0, 0.0]] + [[0.3 * i, config.rise * (i + j)] for i in range(config.steps) for j in (0, 1)])
        edges = np.vstack([edges, [stairs.goal - stairs.distance, config.rise * config.steps]])
        axis.fill_between(edges[:, 0], edges[:, 1], color=INK, alpha=0.3, step=None)
        for trial in mine:
            path = np.array(trial.path).reshape(-1, 3)
            axis.plot(path[:, 0], path[:, 2], "-" if trial.success else ":", color=COLORS[name], lw=0.8, alpha=0.7)
        axis.set(title=name, xlabel="from the first step, m")
    axes[0][0].set_ylabel("trunk height, m")
    return _svg(figure) + "<p>Dotted: did not reach the plateau.</p>"


def _errors(log: Path, model: DynamicsModel, spec: RobotSpec, bank: ContextBank, context: np.ndarray) -> str:
    """Draw the error over the log with the nominal and the adapted context."""
    from calibration.read import read
    from calibration.resample import resample, samples

    data = samples(resample(read(log, spec.joint_names), spec), model.history)
    figure, axes = _figure(9.0, 2.4)
    window = np.ones(25) / 25
    for name, robot in (("nominal", bank.nominal_robot), ("adapted", context)):
        error = np.convolve(model.error(data, robot, bank.terrain("flat")), window, "same")
        axes[0][0].plot(
            np.arange(len(error)) * spec.control_dt, error, color=COLORS[name], label=f"{name} context", lw=1.2
        )
    axes[0][0].axvline(16.0, color=INK, ls="--", lw=0.8)
    axes[0][0].text(16.1, axes[0][0].get_ylim()[1] * 0.97, "held out from here", fontsize=8, va="top")
    axes[0][0].set(xlabel="time, s", ylabel="squared error, share of variance")
    axes[0][0].legend(frameon=False)
    return _svg(figure)


def _map(model: DynamicsModel, bank: ContextBank, context: np.ndarray) -> str:
    """Draw the contexts by what the linear probes read from them, the training robots coloured by the truth."""
    probes = {probe.name: probe for probe in model.probes}
    x, y = probes["kp_strength"], probes["payload"]
    figure, axes = _figure(9.0, 3.6, 2)
    names = list(bank.factor_names)
    shown = (("kp_scale", "true stiffness, ×"), ("payload", "true payload, kg"))
    for axis, (factor, label) in zip(axes[0], shown, strict=True):
        truth = bank.robot_factors[:, names.index(factor)]
        dots = axis.scatter(x.read(bank.robot_contexts), y.read(bank.robot_contexts), c=truth, s=18, cmap="viridis")
        for name, value, marker in (("nominal", bank.nominal_robot, "D"), ("adapted", context, "*")):
            style = {"marker": marker, "s": 110, "color": COLORS[name], "edgecolor": "k", "label": name}
            axis.scatter(x.read(value), y.read(value), **style)
        axis.set(xlabel="stiffness read from the context, ×")
        figure.colorbar(dots, ax=axis, label=label)
    axes[0][0].set_ylabel("payload read from the context, kg")
    axes[0][0].legend(frameon=False)
    return _svg(figure)
