"""Adapt on a log and print the context as JSON: what the node runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

# A child inherits the control loop's real-time class: it gives that up before it imports anything that takes long.
CHILD = (
    "import os; os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)); os.nice(5); "
    "from deploy_ros.find import main; main()"
)


def find_elsewhere(log: Path, robot: str, models: Path, command: str) -> dict[str, Any]:
    """Return what `calibration.find` finds, from a process that leaves the control loop its interpreter and its core.

    Raises:
        ValueError: if the log was refused, with the reason.
    """
    words = [sys.executable, "-c", CHILD, str(log), robot, str(models), command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip().splitlines()
        raise ValueError(told[-1] if told else f"the adaptation ended with exit code {done.returncode}")
    return json.loads(done.stdout)


def main() -> None:
    """Print the context found on the log that is named."""
    import calibration

    log, robot, models, command = sys.argv[1:5]
    try:
        result = calibration.find(log, robot, models, command=command)
    except (ValueError, OSError) as problem:
        sys.exit(" ".join(str(problem).split()))
    print(json.dumps(result.context))
