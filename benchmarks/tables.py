"""Writes the tables of the documentation from the files that the measuring commands left in docs/results.

Run it after measuring: `python benchmarks/tables.py`. Between `<!-- results:NAME -->` and `<!-- /results -->` every
document holds what is written here, and nothing there is typed by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
DOCUMENTS = (ROOT / "README.md", ROOT / "models" / "go1" / "README.md")


def demo(figures: dict[str, Any]) -> str:
    """Return the table of one demo or of several at other rises."""
    robot, stairs, error = figures["robot"], figures["stairs"], figures["prediction_error"]
    rows = [
        f"Go1 with {robot['payload_kg']:g} kg on its back and Kp × {robot['kp_scale']:g}, neither told; "
        f"{stairs['steps']} steps of {100 * stairs['rise_m']:g} cm:",
        "",
        "| policy | on top |",
        "|---|---|",
    ]
    label = {
        "adapted": "contexts: adapted robot, stairs",
        "nominal": "contexts: nominal robot, stairs",
        "vanilla": "no contexts",
    }
    rows += [f"| {label[n]} | {c['successes']} of {c['trials']} |" for n, c in figures["success"].items()]
    known = [f"{r['name']} {r['value']:.2f} {r['unit']}" for r in figures["readings"] if r["known"]]
    rows += [
        "",
        f"Held-out prediction error {error['before']:.4f} before and {error['after']:.4f} after adapting "
        f"({error['after'] / error['before'] - 1:+.0%}). Read from the context: {', '.join(known)}.",
    ]
    return "\n".join(rows) + "\n\n" + _origin(figures)


def speed(figures: dict[str, Any]) -> str:
    """Return the lines of `dmcm bench train`."""
    return (
        f"Training on box stairs: {figures['samples_per_s']:,.0f} samples/s end to end, "
        f"{figures['ratio']:.2f} of the bare physics ({figures['physics_env_steps_per_s']:,.0f} env-steps/s), "
        f"{figures['peak_rss_mb']:,.0f} MB.\n\n" + _origin(figures)
    )


def control(figures: dict[str, Any]) -> str:
    """Return the line of `dmcm bench control`."""
    step = ", ".join(f"{key} {value:.3f} ms" for key, value in figures["step_ms"].items())
    return f"Controller step with the policy: {step}.\n\n" + _origin(figures)


def _origin(figures: dict[str, Any]) -> str:
    run = figures["run"]
    return (
        f"<sub>`{run['command']}`, seed {run['seed']}, commit {run['commit']}, {run['date'][:10]}, "
        f"{run['machine']['cores']} cores of {run['machine']['cpu']}.</sub>"
    )


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "demo": demo,
    "demo_13cm": demo,
    "bench_train": speed,
    "bench_control": control,
}


def fill(text: str) -> str:
    """Return the document with the tables between its marks written anew.

    Raises:
        FileNotFoundError: if a result is missing.
        ValueError: if a mark names no table.
    """

    def table(mark: re.Match[str]) -> str:
        name = mark[1]
        if name not in TABLES:
            raise ValueError(f"there is no table '{name}': choose one of {', '.join(TABLES)}")
        figures = json.loads((RESULTS / f"{name}.json").read_text())
        return f"<!-- results:{name} -->\n{TABLES[name](figures)}\n<!-- /results -->"

    return re.sub(r"<!-- results:(\w+) -->\n.*?<!-- /results -->", table, text, flags=re.DOTALL)


def main() -> None:
    """Fill every document."""
    for path in DOCUMENTS:
        path.write_text(fill(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
