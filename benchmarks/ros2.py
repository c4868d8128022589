"""Builds the ROS 2 workspace, runs its tests and measures its jitter on a real ROS 2, and writes what came of it.

    source /opt/ros/jazzy/setup.bash
    python benchmarks/ros2.py --json docs/results/ros2.json     # then benchmarks/tables.py puts it into docs/ros2.md

`--fifo` is the SCHED_FIFO priority of control loop and simulated robot: a machine that has other work needs it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))


def build(workspace: Path) -> dict[str, Any]:
    """Build the workspace from a copy of its sources, and return how that went."""
    shutil.copytree(
        ROOT / "ros2_ws" / "src", workspace / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__")
    )
    command = ["colcon", "build", "--event-handlers", "console_direct-"]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr, sep="\n")
    words = re.search(r"Summary: (\d+) packages? finished \[(.+)\]", done.stdout)
    told = re.search(r"(\d+) packages? had stderr output", done.stdout)
    return {
        "command": shlex.join(command),
        "exit_code": done.returncode,
        "packages": int(words[1]) if words else 0,
        "took": words[2] if words else "",
        "packages_with_warnings": int(told[1]) if told else 0,
    }


def in_workspace(workspace: Path, *words: str, **environment: str) -> int:
    """Run a command with the workspace sourced, and return its exit code."""
    script = f"source {shlex.quote(str(workspace / 'install' / 'setup.bash'))} && exec {shlex.join(words)}"
    return subprocess.run(["bash", "-c", script], cwd=ROOT, env={**os.environ, **environment}, check=False).returncode


def tests(workspace: Path, robot: str, fifo: int) -> dict[str, Any]:
    """Run the tests on the real ROS 2, and return what came of each."""
    report = workspace / f"report-{robot}.xml"
    words = [
        sys.executable,
        "-m",
        "pytest",
        "tests/ros2_ws",
        "-p",
        "no:cacheprovider",
        "-o",
        "junit_logging=system-out",
    ]
    addopts = "--import-mode=importlib"
    code = in_workspace(
        workspace,
        *(*words, "-o", f"addopts={addopts}", f"--junitxml={report}"),
        DEPLOY_TEST_PRIORITY=str(fifo),
        DEPLOY_TEST_ROBOT=robot,
    )
    return {"robot": robot, "exit_code": code, "tests": outcomes(report)}


def outcomes(report: Path) -> list[dict[str, Any]]:
    """Return each test's outcome, time and what it printed, from a JUnit report."""
    found = []
    for case in ET.parse(report).getroot().iter("testcase"):
        bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        printed = (case.findtext("system-out") or "").strip().splitlines()
        found.append(
            {
                "name": case.get("name"),
                "outcome": "passed" if bad is None else {"skipped": "skipped"}.get(bad.tag, "failed"),
                "reason": "" if bad is None else (bad.get("message") or "").splitlines()[0],
                "seconds": round(float(case.get("time", 0)), 1),
                "printed": [line for line in printed if line.startswith(">")],
            }
        )
    return found


def jitter(workspace: Path, seconds: float, rounds: int, fifo: int) -> dict[str, Any]:
    """Measure the jitter with and without ROS, in turns."""
    out = workspace / f"jitter-{fifo}.json"
    given = ["--seconds", str(seconds), "--rounds", str(rounds), "--fifo", str(fifo), "--json", str(out)]
    code = in_workspace(workspace, "ros2", "run", "deploy", "jitter", *given)
    return json.loads(out.read_text()) if code == 0 else {"exit_code": code}


def table(figures: dict[str, Any]) -> str:
    """Return what is shown in docs/ros2.md."""
    ros, made, off = figures["ros"], figures["build"], figures["jitter"]
    versions = f"rclpy {ros['rclpy']}, {ros['rmw']}, Python {ros['python']}"
    lines = [
        f"On ROS 2 {ros['distribution']}, {ros['origin']} ({versions}). No other was tried.",
        "",
        f"`{made['command']}`: {made['packages']} packages in {made['took']}, exit code {made['exit_code']}, "
        f"{made['packages_with_warnings']} with warnings.",
    ]
    if "ratio" in off:
        lines += [
            "",
            f"Jitter of the {off['command_rate']:g} Hz control loop, SCHED_FIFO {off['realtime_priority']}, "
            f"{off['subscribers'][0]} subscribers to everything, {len(off['with_ros']['rounds'])} rounds of each kind "
            f"in turn, {off['with_ros']['periods']} periods with ROS:",
            "",
            "| | p50 | p99 | p99.9 |",
            "|---|---|---|---|",
        ]
        for name, key in (("without ROS", "without_ros"), ("inside the ROS process", "with_ros")):
            values = off[key]["jitter_ms"]
            lines.append(f"| {name} | {values['p50']:.3f} ms | {values['p99']:.3f} ms | {values['p999']:.3f} ms |")
        lines.append("| ratio | " + " | ".join(f"{off['ratio'][p]:.2f}" for p in ("p50", "p99", "p999")) + " |")
    return "\n".join([*lines, "", *_outcomes(figures["runs"])])


def _outcomes(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return a table of the tests, a column for each robot: how long a passed one took, or why one failed."""
    passed = [
        f"{run['robot']} {sum(t['outcome'] == 'passed' for t in run['tests'])} of {len(run['tests'])}" for run in runs
    ]
    found = [{test["name"]: test for test in run["tests"]} for run in runs]
    lines = [
        f"`tests/ros2_ws`, passed: {', '.join(passed)}.",
        "",
        "| test | " + " | ".join(f"robot:={run['robot']}" for run in runs) + " |",
        "|---|" + "---|" * len(runs),
    ]
    for name in dict.fromkeys(name for tests in found for name in tests):
        cells = [_outcome(tests[name]) if name in tests else "—" for tests in found]
        lines.append(f"| {name.removeprefix('test_').replace('_', ' ')} | {' | '.join(cells)} |")
    return lines


def _outcome(test: dict[str, Any]) -> str:
    if test["outcome"] == "passed":
        return f"{test['seconds']:.0f} s"
    return f"{test['outcome']}: {test['reason'].removeprefix('AssertionError: ')}".removesuffix(": ")


def main() -> None:
    """Do it all."""
    from importlib.metadata import version

    from cli.record import check_output, write_figures

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--fifo", type=int, default=0)
    parser.add_argument("--robots", nargs="+", default=["go1"])
    parser.add_argument("--seconds", type=float, default=20.0, help="of a round of jitter")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--origin", default="binary packages", help="where this ROS 2 comes from")
    given = parser.parse_args()
    check_output(given.json)
    ros = {
        "distribution": os.environ["ROS_DISTRO"],
        "rclpy": version("rclpy"),
        "rmw": os.environ.get("RMW_IMPLEMENTATION", "the default middleware"),
        "python": sys.version.split()[0],
        "origin": given.origin,
    }
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        made = build(workspace)
        if made["exit_code"]:
            sys.exit("the workspace does not build")
        runs = [tests(workspace, robot, given.fifo) for robot in given.robots]
        off = jitter(workspace, given.seconds, given.rounds, given.fifo)
    figures = {"ros": ros, "build": made, "runs": runs, "jitter": off}
    write_figures(given.json, figures, program="python benchmarks/ros2.py")
    print(table(figures))


if __name__ == "__main__":
    main()
