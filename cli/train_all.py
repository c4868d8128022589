"""`dmcm train all`: every stage from nothing to what a robot needs, each a `dmcm` command that one could type."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.drivers import RobotName

SETTINGS = "settings.json"
LITTLE = ("--action-std", 0.18, "--ppo.entropy-coef", 0.0, "--ppo.quiet-share", 0.5)  # exploration, as a robot will act
LEARNER = ("--table.iterations", 10_000, "--table.seconds", "inf", "--chains-stage.iterations", 500)
VARIED = ("--env.nuisances.preset", "usual")  # floors, motors and encoders as they come
LEVEL = "--env.terrain.start-level"
# Where a robot calibrates: much flat ground, of any grip, on which one with a weak leg must not fall.
GROUND = (*VARIED, "--env.factors", "limping", LEVEL, 4)
GROUND += ("--env.terrain.shares.flat", 0.5, "--env.terrain.shares.stairs", 0.25)
STEEP = (LEVEL, 7)  # where it climbs: every height from the beginning, as the start has seen them
TEACHING = (("told", 5e-4), ("told_fine", 1e-4, "--env.fine"), ("multi", 3e-5, "--env.fine"))  # at what rates


@dataclass
class AllConfig:
    """Train everything for a robot; what an earlier call has finished is kept, what it has begun goes on.

    Attributes:
        robot: which robot.
        out: folder for all stages, runs/<robot>_all by default; its `models` gets what a robot needs. Other settings
            need another folder.
        base_samples: environment steps of the base policy, in the narrow ranges.
        samples: environment steps in the wide ranges, from the base policy on: the start that all policies share.
        calibration_samples: environment steps of the policy that collects the data and calibrates in the field, after
            that, half of the robots on flat ground.
        vanilla_samples: environment steps of the policy without contexts, after the start.
        last_samples: environment steps of a last stretch of both, with little exploration, as a robot will act.
        fine_samples: environment steps of the policy without contexts after that, with fine physics, in which feet do
            not creep, and as many again with nuisances, after which it goes about as fast as told.
        context_samples: environment steps in which that teaches the policy with contexts what corrected gains would do;
            as many again with fine physics, and once more with small steps.
        num_robots: conditions in the dataset.
        seed: of every stage.
    """

    robot: RobotName = "go1"
    out: Path | None = None
    base_samples: float = 18e6
    samples: float = 42e6
    calibration_samples: float = 4.5e6
    vanilla_samples: float = 5e6
    last_samples: float = 3.5e6
    fine_samples: float = 5e6
    context_samples: float = 0.8e6
    num_robots: int = 320
    seed: int = 0


def main(arguments: Sequence[str]) -> None:
    """Run the stages in order.

    Raises:
        ValueError: if the folder's stages were made with other settings or options, or its record of them is damaged.
    """
    import tyro

    config = tyro.cli(AllConfig, prog="dmcm train all", args=arguments)
    out = config.out or Path("runs") / f"{config.robot}_all"
    _keep_settings(config, out)
    made, data, learned = out / "models", out / "data", out / "dynamics"
    base = _policy(config, out / "base", config.base_samples, "--env.factors", "narrow")
    start = _policy(config, out / "start", config.samples, "--init", base)
    walks = _stretches(config, out / "calibration", config.calibration_samples, start, *GROUND)
    _export(config, walks, made / "calibration.onnx")
    seed = ("--seed", config.seed)
    robots = ("--num-robots", config.num_robots, *_robot(config))
    _dmcm("collect", "--policy", made / "calibration.onnx", "--out", data, *robots, *seed)
    go_on = ("--resume",) if (learned / "checkpoint.safetensors").exists() else ()
    learns = ("--dataset", data, "--output", learned, *LEARNER, *seed, *go_on)
    _once(learned / "dynamics.onnx", "train", "dynamics", *learns)
    for name in ("bank.safetensors", "dynamics.onnx"):
        _copy(learned / name, made / name)
    bank = ("--bank", made / "bank.safetensors")
    climbs = _stretches(config, out / "climbs", config.vanilla_samples, start, *STEEP, *bank)
    fine = (*STEEP, *bank, "--env.fine", *LITTLE)
    firm = _policy(config, out / "firm", config.fine_samples, *fine, "--init", climbs)
    vanilla = _policy(config, out / "vanilla", config.fine_samples, *fine, *VARIED, "--init", firm)
    _export(config, vanilla, made / "vanilla.onnx")
    sees = ("--mode", "multi", *bank)
    school = (*STEEP, *VARIED, *sees, "--teacher", vanilla, "--env.context-dropout", 0)
    school += ("--action-std", 0.1, "--ppo.quiet-share", 0.5)
    multi = vanilla
    for name, rate, *physics in TEACHING:
        step = (*school, "--ppo.learning-rate", rate, *physics, "--init", multi)
        multi = _policy(config, out / name, config.context_samples, *step)
    _export(config, multi, made / "multi.onnx", *sees)
    print(f"\nall stages are finished: dmcm demo --robot {config.robot} --model-dir {made}")


def _keep_settings(config: AllConfig, out: Path) -> None:
    """Write the settings into the folder, unless its stages were made with other ones."""
    settings = {name: value for name, value in vars(config).items() if name != "out"}
    for name, before in _settings(out).items():
        now = settings.get(name, before)
        if now != before:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{out} was made with {option} {_shown(before)}, not {_shown(now)}: give another --out")
    out.mkdir(parents=True, exist_ok=True)
    partial = out / f".{SETTINGS}.{os.getpid()}"
    partial.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    os.replace(partial, out / SETTINGS)


def _settings(out: Path) -> dict[str, Any]:
    """Return the settings that the folder's stages were made with; none of a new one."""
    file = out / SETTINGS
    if not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise ValueError(f"{file} is damaged: remove it to go on as typed, or give another --out") from None


def _shown(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _stretches(config: AllConfig, run: Path, samples: float, start: Path, *more: object) -> Path:
    """Train a policy from the shared start, then a last stretch with little exploration; return its last checkpoint."""
    first = _policy(config, run, samples, *more, "--init", start)
    return _policy(config, run.with_name(f"{run.name}_last"), config.last_samples, *more, "--init", first, *LITTLE)


def _export(config: AllConfig, checkpoint: Path, product: Path, *sees: object) -> None:
    _once(product, "export", "--checkpoint", checkpoint, "--out", product, *_robot(config), *sees)


def _robot(config: AllConfig) -> tuple[str, str]:
    return "--robot", config.robot


def _policy(config: AllConfig, run: Path, samples: float, *more: object) -> Path:
    """Train a policy in the folder `run`, or go on, and return its last checkpoint."""
    setup = ("--samples", f"{samples:.0f}", "--seed", config.seed, "--env.robot", config.robot)
    words = ("dmcm", "train", "policy", "--run", run, *setup, *more)
    if _samples(run) >= 0:
        _refuse_another_recipe(run, words)
    if _samples(run) < samples:
        go_on = ("--resume",) if _samples(run) >= 0 else ()
        _dmcm(*words[1:], *go_on)
    if _samples(run) < samples:
        raise KeyboardInterrupt
    return run / f"model_{_samples(run)}.pt"


def _refuse_another_recipe(run: Path, words: Sequence[object]) -> None:
    """Raise ValueError if the run was begun with other words than these, as by an earlier version; folders may move."""
    from policy.runs import read

    origin = read(run).origin
    before = [Path(word).name for word in shlex.split(origin.command if origin else "") if word != "--resume"]
    now = [Path(str(word)).name for word in words]
    if before != now:
        differ = [word for word in (*before, *now) if (word in before) != (word in now)]
        raise ValueError(
            f"{run} was trained with other options than this stage has now ({' '.join(differ)}): give another --out, "
            "or remove this folder, those of the stages after it and what they wrote into models/"
        )


def _samples(run: Path) -> int:
    """Return the environment steps of a run's newest checkpoint, -1 without one."""
    return max((int(path.stem.split("_")[1]) for path in run.glob("model_*.pt")), default=-1)


def _once(product: Path, *words: object) -> None:
    """Run a stage that writes `product`, unless that exists."""
    if not product.exists():
        product.parent.mkdir(parents=True, exist_ok=True)
        _dmcm(*words)
    if not product.exists():
        raise KeyboardInterrupt


def _copy(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.copyfile(source, partial)
    os.replace(partial, target)


def _dmcm(*words: object) -> None:
    """Run `dmcm` with these words in a process of its own, which handles Ctrl-C, and end if it fails."""
    typed = [str(word) for word in words]
    print(f"\n$ {shlex.join(['dmcm', *typed])}", flush=True)
    stage = subprocess.Popen([sys.executable, "-c", "from cli.main import run; run()", *typed])
    # The terminal sends Ctrl-C to both; the stage writes its checkpoint, and this process waits for that.
    before = {signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None)}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, lambda *_: stage.terminate())
    try:
        code = stage.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if code:
        sys.exit(code if code > 0 else 128 - code)
