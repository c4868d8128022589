"""The whole field routine: log in, context file out."""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import robots
from calibration import adapt as adaptation
from calibration import context_file, quality
from calibration.compensation import compensation, doubtful, of_the_motors
from calibration.errors import RefusedError
from calibration.model import DynamicsModel
from calibration.quality import Check
from calibration.read import Topics, read
from calibration.resample import resample, samples
from calibration.torques import read_torques
from deploy.context import load_bank

TERRAIN = "flat"


@dataclass(frozen=True)
class Result:
    """What the routine found.

    Attributes:
        context: the content of the context file.
        checks: all quality checks of the log.
        seconds: that it took, s.
        out: the file written, None while there is none.
    """

    context: dict[str, Any]
    checks: tuple[Check, ...]
    seconds: float
    out: Path | None = None

    def figures(self) -> dict[str, Any]:
        """Return the JSON-ready figures for `--json`."""
        checks = [{"name": c.name, "verdict": c.verdict, "text": c.text} for c in self.checks]
        return {**self.context, "checks": checks, "out": self.out and str(self.out), "seconds": self.seconds}


def run(
    log: str | Path,
    robot: str,
    out: str | Path,
    model_dir: str | Path,
    *,
    terrain: str = TERRAIN,
    topics: Topics | None = None,
    command: str | None = None,
    seed: int = 0,
    compensate: bool = False,
) -> Result:
    """Find the context of the robot that walked in the log as `find` does, with its arguments, and write it to `out`.

    What was there stays if anything is refused.

    Raises:
        FileNotFoundError, RefusedError, ValueError: as `find`, and if the output cannot be written.
    """
    out = Path(out)
    context_file.check_writable(out)
    found = find(
        log, robot, model_dir, terrain=terrain, topics=topics, command=command, seed=seed, compensate=compensate
    )
    context_file.write(found.context, out)
    return replace(found, out=out)


def find(
    log: str | Path,
    robot: str,
    model_dir: str | Path,
    *,
    terrain: str = TERRAIN,
    topics: Topics | None = None,
    command: str | None = None,
    seed: int = 0,
    compensate: bool = False,
) -> Result:
    """Return the context of the robot that walked in the log, without writing it.

    Args:
        log: rosbag2 folder, or .mcap or .db3 file, of 20 s of walking on flat ground.
        robot: its name.
        model_dir: folder with dynamics.onnx and bank.safetensors.
        terrain: name in the bank of the ground that was walked on.
        topics: names of the log's topics, if they are not the usual ones.
        command: what was typed, for the record; default the process's command line.
        seed: of the estimate of uncertainty.
        compensate: make of what was read gains that are to be walked with, and of the robot the nominal one.

    Raises:
        FileNotFoundError: if log or model files are missing.
        RefusedError: if the log cannot be used; the sentence says why and what to do.
        ValueError: if the model files are damaged or belong to another robot.
    """
    began = time.perf_counter()
    log, model_dir = Path(log), Path(model_dir)
    spec = robots.load(robot)
    raw = read(log, spec.joint_names, topics)
    model = DynamicsModel.load(model_dir / "dynamics.onnx", spec)
    bank = load_bank(model_dir / "bank.safetensors", spec, model.digest)
    ticks = resample(raw, spec)
    checks = quality.judge(raw, ticks, spec)
    if (sentence := quality.refusal(checks)) is not None:
        raise RefusedError(f"log {log}: {sentence}", checks)
    transitions = samples(ticks, model.history)
    try:
        found = adaptation.adapt(
            model,
            transitions,
            bank.terrain(terrain),
            bank.nominal_robot,
            spec.control_dt,
            seed,
        )
    except RefusedError as error:
        raise RefusedError(f"log {log}: {error}", checks) from error
    checks.append(_validated(found))
    found = replace(found, readings=of_the_motors(found.readings, ticks.gains))
    torques = list(of_the_motors(read_torques(ticks, spec), ticks.gains))
    if doubt := doubtful(torques):
        checks.append(Check("joint torques", quality.WARN, doubt))
        torques = []
    gains, walks_with = ticks.gains, None
    if compensate:
        try:
            gains, walks_with = compensation(found.readings), bank.nominal_robot
        except RefusedError as error:
            raise RefusedError(f"log {log}: {error}", checks) from error
    record = {
        "file": str(log),
        "sha256": context_file.log_sha256(log),
        "seconds": round(len(transitions) * spec.control_dt, 3),
        "samples": found.samples,
        "serial": raw.metadata.get("serial", ""),
    }
    typed = shlex.join(sys.argv) if command is None else command
    content = context_file.as_dict(found, torques, spec, model.digest, terrain, record, typed, gains, walks_with)
    return Result(content, tuple(checks), time.perf_counter() - began)


def _validated(found: adaptation.Adaptation) -> Check:
    if found.nominal:
        return Check("held-out error", quality.OK, "as good as nominal: keeping the nominal context")
    gain = 1.0 - found.after / found.before
    return Check("held-out error", quality.OK, f"{gain:.1%} below the nominal robot's")
