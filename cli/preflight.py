"""`dmcm preflight`: what can be known before a motor moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cli.drivers import RobotName


@dataclass(frozen=True)
class PreflightConfig:
    """Check policy, contexts, log folder and this machine's timing; nothing moves.

    Attributes:
        robot: which robot.
        model_dir: folder with the models; the shipped ones by default.
        policy: ONNX file that is to walk, in that folder or anywhere.
        context: the robot's context.json; the nominal robot's by default.
        log: folder in which logs will be made; the working directory by default.
        jitter: how long the loop is timed, s; 0 leaves it out.
        rate: commands a second.
        fifo: SCHED_FIFO priority of the loop, 1 to 99; 0 for none.
        cpu: core for the loop.
        json: file for the figures.
    """

    robot: RobotName = "go1"
    model_dir: Path | None = None
    policy: Path = Path("multi.onnx")
    context: Path | None = None
    log: Path | None = None
    jitter: float = 5.0
    rate: float = 500.0
    fifo: int = 0
    cpu: int | None = None
    json: Path | None = None


def main(arguments: Sequence[str]) -> int:
    """Check, print the table, and return 1 if anything fails."""
    import tyro

    import models
    from cli.record import check_output, write_figures
    from deploy.preflight import preflight
    from deploy.realtime import Realtime

    config = tyro.cli(PreflightConfig, prog="dmcm preflight", args=arguments)
    check_output(config.json)
    if not 0.0 <= config.jitter <= 600.0 or not 50.0 <= config.rate <= 1000.0:
        raise ValueError("give --jitter 0 to 600 s and --rate 50 to 1000 commands a second")
    checks = preflight(
        config.robot,
        config.model_dir or models.path(config.robot),
        config.policy,
        config.context,
        config.jitter,
        log=config.log,
        command_dt=1 / config.rate,
        realtime=Realtime(config.fifo, config.cpu) if config.fifo or config.cpu is not None else None,
    )
    width = max(len(check.name) for check in checks)
    for check in checks:
        print(f"{check.verdict:<4}  {check.name:<{width}}  {check.text}")
    failed = [check.name for check in checks if check.verdict == "fail"]
    print(f"\nnot ready: {', '.join(failed)}" if failed else "\nready")
    write_figures(config.json, {"ready": not failed, "checks": [asdict(c) for c in checks]}, ["preflight", *arguments])
    return 1 if failed else 0
