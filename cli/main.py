"""Finds the subcommand, runs it, and turns its errors into one sentence; imports no room and no library itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True)
class Command:
    """A subcommand.

    Attributes:
        target: `module:function` that takes the arguments after the subcommand's name.
        help: what it does, in a line.
    """

    target: str
    help: str


COMMANDS = {
    "demo": Command("cli.demo:main", "a robot that nobody described adapts in 20 s and climbs stairs, in simulation"),
    "play": Command("cli.play:main", "look at a task with a zero, random or trained agent; viewer or video"),
    "view": Command("cli.view:main", "look at a simulation, a log or the running controller, in the browser"),
    "terrain": Command("cli.terrain:main", "draw every kind of terrain at every level"),
    "collect": Command("cli.collect:main", "drive many robots over many terrains and write the dataset"),
    "train policy": Command("cli.train:policy", "train a locomotion policy"),
    "train dynamics": Command("cli.train:dynamics", "train the dynamics model and its context bank"),
    "train all": Command("cli.train_all:main", "run every stage from nothing to exported models"),
    "runs": Command("cli.runs:main", "list training runs, compare two, and say how to go on with one"),
    "export": Command("cli.export:main", "write a trained policy as ONNX"),
    "import-legged-gym": Command("cli.import_legged_gym:main", "turn a legged_gym configuration into one of ours"),
    "evaluate": Command("cli.evaluate:main", "measure how often each policy arrives, with robots in many conditions"),
    "adapt": Command("cli.adapt:main", "find a robot's context from a log of 20 s on flat ground"),
    "preflight": Command("cli.preflight:main", "check policy, contexts, log folder and timing before a motor moves"),
    "run": Command("cli.run:main", "drive a robot by a script, the keyboard or its own remote"),
    "sim-robot": Command("cli.sim_robot:main", "serve a simulated robot to programs for the real one"),
    "field": Command("cli.field:main", "calibrate a robot in the field: walk 20 s, adapt, accept, keep the context"),
    "bench train": Command("cli.bench:train", "measure training speed and memory"),
    "bench sim": Command("cli.bench_sim:main", "measure the simulators' speed and memory beside other stacks'"),
    "bench parity": Command("cli.bench:parity", "compare simulators: the same robots and policy on two of them"),
    "bench meta": Command("cli.bench:meta", "measure the meta-learners' training speed"),
    "bench sine": Command("cli.bench:sine", "train and compare the meta-learners on sine regression"),
    "bench dynamics": Command("cli.bench_dynamics:main", "compare dynamics models, and what their contexts tell"),
    "bench discovery": Command("cli.bench:discovery", "find the factors of a stream of sines without labels"),
    "bench walk": Command("cli.bench_walk:main", "let a policy walk on simulated robots that vary"),
    "bench commands": Command("cli.bench_commands:main", "see how policies follow commands in every direction"),
    "bench dds": Command("cli.bench_dds:main", "measure Go2 over DDS on this machine: a walk, a dead robot, a rival"),
    "bench odometry": Command("cli.bench_odometry:main", "measure how well the legs tell how fast the robot goes"),
    "bench motion": Command("cli.bench_motion:main", "compare calibration motions on simulated field robots"),
    "bench sysid": Command("cli.bench_sysid:main", "compare adaptation with MuJoCo's system identification"),
    "bench control": Command("cli.bench_runtime:control", "measure the controller's step and the loop's jitter"),
    "bench standup": Command("cli.bench_runtime:standup", "measure the torque of standing up from any lying pose"),
    "bench faults": Command("cli.bench_runtime:faults", "try every fault in every state, and fuzz the controller"),
    "bench view": Command("cli.bench_view:main", "measure what looking costs: simulation, logs, controller"),
    "bench soak": Command("cli.bench_runtime:soak", "walk for hours with changing commands, as fast as possible"),
}

# Which extra brings a library that the field side does without.
EXTRAS = {
    "mujoco": "sim",
    "matplotlib": "sim",
    "imageio": "sim",
    "rich": "sim",
    "torch": "train",
    "rsl_rl": "train",
    "tensordict": "train",
    "onnx": "train",
    "onnxscript": "train",
    "yaml": "train",
    "wandb": "wandb",
    "mujoco_warp": "gpu",
    "cyclonedds": "unitree",
    "viser": "view",
}

FAILED, MISUSED, INTERRUPTED, CUT_OFF = 1, 2, 130, 141


def overview(group: str = "") -> str:
    """Return the help of all subcommands, or of those whose name starts with the word `group`."""
    shown = {name: command for name, command in COMMANDS.items() if not group or name.split()[0] == group}
    width = max(map(len, shown))
    lines = [f"usage: dmcm {group + ' ' if group else ''}SUBCOMMAND [OPTIONS]", ""]
    lines += [f"  {name:<{width}}  {command.help}" for name, command in shown.items()]
    lines += ["", "Options of a subcommand: dmcm SUBCOMMAND --help. DMCM_TRACEBACK=1 shows where an error comes from."]
    return "\n".join(lines)


def sentence(error: Exception) -> str:
    """Return what went wrong in one line."""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    elif isinstance(error, ModuleNotFoundError) and _package(error) in EXTRAS:
        package = _package(error)
        text = f"this needs the package '{package}', which is not installed: pip install '.[{EXTRAS[package]}]'"
    else:
        text = str(error)
    return " ".join(text.split()) or type(error).__name__


def _package(error: ModuleNotFoundError) -> str:
    return (error.name or "").split(".")[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `dmcm` with `arguments` (the process's by default) and return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words == ["--version"]:
        from importlib.metadata import version

        print(version("dmcm"))
        return 0
    name = next((name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS), None)
    if name is None:
        return _misused(words)
    module, function = COMMANDS[name].target.split(":")
    try:
        return getattr(import_module(module), function)(words[len(name.split()) :]) or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe has left, as in `dmcm ... | head`
        sys.stdout = open(os.devnull, "w")
        return CUT_OFF
    except (ValueError, OSError, ModuleNotFoundError) as error:
        ours = isinstance(error, ModuleNotFoundError) and _package(error) not in EXTRAS
        if ours or os.environ.get("DMCM_TRACEBACK"):
            raise
        print(f"dmcm: {sentence(error)}", file=sys.stderr)
        return FAILED


def _misused(words: list[str]) -> int:
    group = words[0]
    if any(name.startswith(f"{group} ") for name in COMMANDS):
        asked = len(words) == 1 or words[1] in ("-h", "--help")
        print(overview(group), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else MISUSED
    print(f"dmcm: there is no subcommand '{group}': choose one of {', '.join(COMMANDS)}", file=sys.stderr)
    return MISUSED


def run() -> None:
    """Run `dmcm` as a process."""
    sys.exit(main())
