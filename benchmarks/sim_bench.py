"""Measures the simulators, and other stacks beside them: every one a process of its own, asked in turn.

The machine may have other work, so speeds compare as ratios within a round: what is compared is stepped in alternation,
a few seconds each, and the median over the rounds counts. The physics alone repeats the very steps of the environment.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
LOOKS = 40  # at the memory, in a measurement of endurance
PEERS = ROOT / "benchmarks" / "peers.py"
TERRAINS: dict[str, dict[str, float]] = {
    "mixed": {"flat": 0.15, "rough": 0.1, "slope": 0.1, "stairs": 0.5, "blocks": 0.15},  # a training's by default
}


@dataclass(frozen=True)
class SimBenchConfig:
    """Measure how fast the environment steps and learns, and what memory it takes.

    Attributes:
        sim: which simulator; for a GPU, e.g. `--sim mujoco_warp --num-envs 4096 8192 16384`.
        num_envs: numbers of robots to measure on stairs.
        terrains: to measure with the number of robots in the middle of `num_envs`: kinds (see docs/terrains.md), or
            `mixed`, a training's.
        rounds: how often everything is measured; medians count.
        seconds: of stepping in a round.
        learn: iterations of PPO to measure; 0 for none.
        torch_threads: threads of the environment and the learner.
        mjlab: Python interpreter of a virtual environment with mjlab, a peer: its Go1 on flat ground, on the CPU.
        mjlab_envs: its number of robots.
        gymnasium: Python interpreter of one with gymnasium[mujoco], a peer.
        endure: instead of all this, make so many steps with `num_envs` robots and see whether memory grows.
        json: file for the figures.
    """

    sim: Literal["mujoco", "mujoco_warp"] = "mujoco"
    num_envs: tuple[int, ...] = (64, 256, 1024, 4096)
    terrains: tuple[str, ...] = ("flat", "mixed", "stepping_stones")
    rounds: int = 3
    seconds: float = 2.0
    learn: int = 1
    torch_threads: int = 2
    mjlab: Path | None = None
    mjlab_envs: int = 16
    gymnasium: Path | None = None
    endure: int = 0
    json: Path | None = None


class Worker:
    """A process that builds an environment and measures it when asked.

    Raises:
        ValueError: if it ends before it is ready; the message holds its last line.
    """

    def __init__(self, name: str, command: Sequence[str | Path], log: Path) -> None:
        self.name, self._log = name, log
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._about: dict[str, Any] | None = None

    @property
    def about(self) -> dict[str, Any]:
        """What it has built: how many robots, physics steps in one of its own, and their length, s; waits for it."""
        self._about = self._about or self._read()
        return self._about

    def ask(self, **question: float) -> dict[str, Any]:
        """Return what it measures."""
        _ = self.about
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            pass  # it has ended, which reading tells
        return self._read()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        last = [text for text in self._log.read_text().splitlines() if text.strip()][-1:] or ["it says nothing"]
        raise ValueError(f"the measurement of {self.name} ended with code {self._process.returncode}: {last[0]}")

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def bench(
    config: SimBenchConfig, folder: Path, keep: Callable[[dict[str, Any]], None], say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Return the figures of `dmcm bench sim`: `rows`, and how many times as fast as the peers ours is.

    Args:
        config: what to measure.
        folder: for the workers' logs.
        keep: takes the figures so far after every group of rows, so that a long measurement may be cut short.
        say: takes a line for every row.

    Raises:
        ValueError: if a terrain does not exist, an interpreter is missing, or a measurement ends early.
    """
    check(config)
    if config.endure:
        return _endure(config, folder, keep)
    middle = sorted(config.num_envs)[len(config.num_envs) // 2]
    figures = {"reference": {"terrain": "stairs", "num_envs": middle}, "rows": []}
    plans = [("stairs", middle)] + [("stairs", count) for count in config.num_envs if count != middle]
    plans += [(terrain, middle) for terrain in config.terrains]
    for i, plan in enumerate(plans):
        rows, ratios = _group(config, *plan, None if i else _peers(config), folder)
        for row in rows:
            say(line(row))
        figures["rows"] += rows
        figures |= {} if i else {"times_as_fast_as": ratios, "rounds": config.rounds, "seconds": config.seconds}
        keep(figures)
    return figures


def check(config: SimBenchConfig) -> None:
    """Check all that can be wrong before a long measurement.

    Raises:
        ValueError: if a terrain does not exist, an interpreter is missing, or a number is not positive.
    """
    from sim.terrain import check_kinds

    check_kinds(terrain for terrain in config.terrains if terrain not in TERRAINS)
    if not config.num_envs or min(*config.num_envs, config.rounds, config.mjlab_envs) < 1 or config.seconds <= 0.0:
        raise ValueError("--num-envs, --mjlab-envs, --rounds and --seconds must be positive")
    for name, python in (("mjlab", config.mjlab), ("gymnasium", config.gymnasium)):
        if python is not None and not os.access(python, os.X_OK):
            raise ValueError(f"--{name}: there is no Python interpreter {python}")


def _ours(config: SimBenchConfig, terrain: str, count: int) -> list[str]:
    setup = {
        "backend": config.sim,
        "shares": TERRAINS.get(terrain, {terrain: 1.0}),
        "num_envs": count,
        "nuisances": "usual",
        "threads": config.torch_threads,
    }
    return [sys.executable, "-m", "policy.sim_worker", json.dumps(setup)]


def _peers(config: SimBenchConfig) -> dict[str, list[str | Path]]:
    peers: dict[str, list[str | Path]] = {}
    if config.mjlab:
        peers["mjlab"] = [config.mjlab, "-P", PEERS, "mjlab", str(config.mjlab_envs)]
    if config.gymnasium:
        peers["gymnasium_ant"] = [config.gymnasium, "-P", PEERS, "gymnasium_ant", "1"]
    return peers


def _group(
    config: SimBenchConfig, terrain: str, count: int, peers: dict[str, list[str | Path]] | None, folder: Path
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Measure our environment, and peers if given, in alternation; return rows, and how many times as fast ours is."""
    commands = {config.sim: _ours(config, terrain, count), **(peers or {})}
    workers: dict[str, Worker] = {}
    try:
        for name, command in commands.items():
            workers[name] = Worker(name, command, folder / f"{name}_{terrain}_{count}.log")
        about = {name: worker.about for name, worker in workers.items()}  # all stand before one is measured
        rounds = [
            {name: worker.ask(seconds=config.seconds) for name, worker in workers.items()} for _ in range(config.rounds)
        ]
        learned = workers[config.sim].ask(learn=config.learn) if config.learn else {}
    finally:
        for worker in workers.values():
            worker.close()
    rows = [
        _row(name, terrain if name == config.sim else "flat", about[name], [r[name] for r in rounds])
        for name in commands
    ]
    if learned:
        rows[0] |= _shares(rows[0], learned)
    ratios = {
        name: statistics.median(r[config.sim]["env_steps_per_s"] / r[name]["env_steps_per_s"] for r in rounds)
        for name in commands
        if name != config.sim
    }
    return rows if peers is None else [rows[0], _bare(rows[0]), *rows[1:]], ratios


def _row(name: str, terrain: str, about: dict[str, Any], rounds: list[dict[str, float]]) -> dict[str, Any]:
    def median(key: str) -> float:
        return statistics.median(r[key] for r in rounds)

    share = [r["env_steps_per_s"] * about["substeps"] / r["physics_steps_per_s"] for r in rounds]
    return {
        "backend": name,
        "terrain": terrain,
        "num_envs": about["num_envs"],
        "env_steps_per_s": median("env_steps_per_s"),
        "physics_steps_per_s": median("physics_steps_per_s"),
        "peak_rss_mb": max(r["peak_rss_mb"] for r in rounds),
        **({"device_mb": max(r["device_mb"] for r in rounds)} if "device_mb" in rounds[0] else {}),
        "of_bare_physics": statistics.median(share),
        "substeps": about["substeps"],
        "physics_dt": about["physics_dt"],
    }


def _bare(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row of the physics alone, as a backend of its own."""
    steps = row["physics_steps_per_s"] / row["substeps"]
    kept = {key: value for key, value in row.items() if key not in ("samples_per_s", "share")}
    return {**kept, "backend": f"{row['backend']}_physics", "env_steps_per_s": steps, "of_bare_physics": 1.0}


def _shares(row: dict[str, Any], learned: dict[str, float]) -> dict[str, Any]:
    """Return what a training spends its time on: the shares of physics, environment and learner."""
    physics = row["of_bare_physics"] / row["env_steps_per_s"]
    step, sample = 1.0 / row["env_steps_per_s"], 1.0 / learned["samples_per_s"]
    sample = max(sample, step)
    share = {"physics": physics / sample, "environment": (step - physics) / sample, "learner": 1.0 - step / sample}
    peak = max(row["peak_rss_mb"], learned["peak_rss_mb"])
    return {"samples_per_s": learned["samples_per_s"], "share": share, "peak_rss_mb": peak}


def _endure(config: SimBenchConfig, folder: Path, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return what memory the environment holds as it makes many steps, looked at in even distances."""
    count, steps = min(config.num_envs), -(-config.endure // LOOKS)
    done: dict[str, Any] = {"backend": config.sim, "terrain": "mixed", "num_envs": count, "steps": 0, "rss_mb": []}
    with Worker(config.sim, _ours(config, "mixed", count), folder / "endurance.log") as worker:
        for _ in range(LOOKS):
            done["rss_mb"].append(worker.ask(endure=steps)["rss_mb"])
            done["steps"] += steps
            keep({"endurance": done})
    return {"endurance": done}


def line(row: dict[str, Any]) -> str:
    """Return a row as a line for the terminal."""
    text = (
        f"{row['backend']:<22} {row['terrain']:<16} {row['num_envs']:>6} robots {row['env_steps_per_s']:>10,.0f} "
        f"env-steps/s {row['of_bare_physics']:>5.2f} of physics {row['peak_rss_mb']:>7,.0f} MB"
    )
    if row.get("share"):
        parts = ", ".join(f"{name} {share:.0%}" for name, share in row["share"].items())
        text += f"  learning {row['samples_per_s']:,.0f}/s ({parts})"
    return text


def table(figures: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    head = "| backend | terrain | robots | env-steps/s | of its physics alone | learning, samples/s | memory, MB |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for row in sorted(figures["rows"], key=lambda row: (row["terrain"] != "stairs", row["num_envs"])):
        share, samples = row.get("share"), row.get("samples_per_s")
        learning = "—" if not samples else f"{samples:,.0f}"
        if share:
            learning += f" ({', '.join(f'{name} {part:.0%}' for name, part in share.items())})"
        cells = [row["backend"], row["terrain"], f"{row['num_envs']:,}", f"{row['env_steps_per_s']:,.0f}"]
        cells += [f"{row['of_bare_physics']:.2f}", learning, f"{row['peak_rss_mb']:,.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    ours, count = figures["rows"][0]["backend"], figures["reference"]["num_envs"]
    for name, ratio in figures["times_as_fast_as"].items():
        lines += [
            "",
            f"`{ours}`, {count:,} robots on stairs: {ratio:,.1f} times the steps of `{name}` in the same rounds.",
        ]
    return "\n".join(lines)


def endurance(figures: dict[str, Any]) -> str:
    """Return the line of a measurement of endurance."""
    done = figures["endurance"]
    memory, each = done["rss_mb"], done["steps"] // len(done["rss_mb"])
    return (
        f"{done['steps']:,} steps of {done['num_envs']} robots, {done['terrain']} terrain: resident memory "
        f"{memory[0]:.1f} MB after {each:,} of them, {memory[len(memory) // 2]:.1f} MB half-way, "
        f"{memory[-1]:.1f} MB at the end."
    )


FROM_RESULTS = {"bench_sim": table, "bench_sim_endurance": endurance}
