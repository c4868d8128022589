"""`dmcm bench control|standup|faults|soak`: what the runtime does on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.drivers import RobotName


def control(arguments: Sequence[str]) -> None:
    """Measure the controller's step and its parts, and how well the loop keeps its period."""
    import tyro

    from cli.record import check_output, write_figures

    def bench(
        robot: RobotName = "go1",
        model_dir: Path | None = None,
        steps: int = 20000,
        seconds: float = 20.0,
        fifo: int = 80,
        seed: int = 0,
        json: Path | None = None,
    ) -> None:
        """Measure the controller's step, its parts, and the loop's jitter, idle and with every core loaded.

        Args:
            robot: which robot.
            model_dir: folder with the models; the shipped ones by default.
            steps: how many steps are timed.
            seconds: how long each loop runs in real time, s; 0 leaves the loops out.
            fifo: SCHED_FIFO priority of the loops that have one, if it is permitted.
            seed: of the robot states.
            json: file for the figures.
        """
        from benchmarks.timing import measure_all, table

        check_output(json)
        if steps < 100 or not 0 <= seconds <= 3600:
            raise ValueError("give --steps 100 or more and --seconds 0 to 3600")
        figures = measure_all(robot, model_dir, steps, seconds, fifo, seed)
        print(table(figures))
        write_figures(json, figures, ["bench", "control", *arguments], seed)

    tyro.cli(bench, prog="dmcm bench control", args=arguments)


def standup(arguments: Sequence[str]) -> None:
    """Measure the torque of standing up from random lying poses."""
    import tyro

    from cli.record import check_output, write_figures

    def bench(poses: int = 50, seed: int = 0, workers: int = 2, json: Path | None = None) -> None:
        """Let Go1 and Go2, nominal and loaded, stand up from random lying poses in simulation.

        Args:
            poses: for each robot and condition.
            seed: of the first pose; the motion was tuned on poses from 1000 on.
            workers: processes.
            json: file for the figures.
        """
        from dataclasses import asdict

        from rich.progress import track

        from benchmarks.standup import CONDITIONS, attempts

        check_output(json)
        names = ["go1", "go2"]
        total = len(names) * len(CONDITIONS) * poses
        done = list(track(attempts(names, poses, seed, workers), "standing up", total=total, transient=True))
        rows = []
        for name in names:
            for condition in CONDITIONS:
                mine = [a for a in done if (a.robot, a.condition) == (name, condition)]
                worst = max(mine, key=lambda a: a.torque)
                row = {
                    "robot": name,
                    "condition": condition,
                    "poses": poses,
                    "stood": sum(a.stood for a in mine),
                    "torque_share_max": worst.torque,
                    "torque_share_median": sorted(a.torque for a in mine)[poses // 2],
                    "worst_joint": worst.joint,
                    "kick_nm": max(a.kick for a in mine),
                    "seconds_max": max(a.seconds for a in mine),
                    "reasons": sorted({a.reason for a in mine if a.reason}),
                }
                rows.append(row)
                print(
                    f"{name}  {condition:<17} stood {row['stood']} of {poses}, torque at most "
                    f"{row['torque_share_max']:.0%} of the limit ({row['worst_joint']}), median "
                    f"{row['torque_share_median']:.0%}, within {row['seconds_max']:.1f} s {'; '.join(row['reasons'])}"
                )
        figures = {"rows": rows, "attempts": [asdict(a) for a in done]}
        write_figures(json, figures, ["bench", "standup", *arguments], seed)

    tyro.cli(bench, prog="dmcm bench standup", args=arguments)


def faults(arguments: Sequence[str]) -> int:
    """Try every fault in every state, and fuzz."""
    import tyro

    from cli.record import check_output, write_figures

    def bench(
        model_dir: Path | None = None,
        ticks: int = 1_000_000,
        fifo: int = 40,
        seed: int = 0,
        workers: int = 2,
        json: Path | None = None,
    ) -> int:
        """Try every fault on the simulated Go1 in every state, pause and kill real processes, and fuzz the controller.

        Args:
            model_dir: folder with the models; the shipped ones by default.
            ticks: fuzzed states; 0 leaves them out.
            fifo: SCHED_FIFO priority of the processes that are paused and killed; 0 where it is not permitted.
            seed: of the robots and the fuzzed states.
            workers: processes.
            json: file for the figures.
        """
        import models
        from benchmarks import fault_trials, process_faults

        check_output(json)
        folder = model_dir or models.path("go1")
        rows = []
        for row in process_faults.run_all(folder, seed, fifo):
            rows.append(_told(row))
        for row in fault_trials.run_all(fault_trials.jobs("go1", folder, seed), workers):
            rows.append(_told(row))
        fuzzed = _fuzz(folder, ticks, seed, workers)
        green = all(row["safe"] and row["log_readable"] for row in rows)
        print(
            f"\n{len(rows)} rows, {'all green' if green else 'NOT all green'}; {fuzzed['commands_outside_limits']} "
            f"commands outside limits in {fuzzed['ticks_fuzzed']} fuzzed ticks"
        )
        write_figures(json, {"rows": rows, **fuzzed}, ["bench", "faults", *arguments], seed)
        return 0 if green and not fuzzed["commands_outside_limits"] else 1

    return tyro.cli(bench, prog="dmcm bench faults", args=arguments)


def _told(row: Any) -> dict[str, Any]:
    from dataclasses import asdict

    verdict = "ok  " if row.safe and row.log_readable else "FAIL"
    reaction = "carries on" if row.reaction_ms is None else f"damped after {row.reaction_ms:.0f} ms"
    print(f"{verdict} {row.fault:<31} {row.state:<10} {reaction:<20} {row.reason}", flush=True)
    return asdict(row)


def _fuzz(folder: Path, ticks: int, seed: int, workers: int) -> dict[str, Any]:
    from concurrent.futures import ProcessPoolExecutor

    from benchmarks.timing import fuzz_part

    if not ticks:
        return {"ticks_fuzzed": 0, "commands_outside_limits": 0}
    parts = [(folder, ticks // workers + (i < ticks % workers), seed + i) for i in range(workers)]
    with ProcessPoolExecutor(workers) as pool:
        reports = list(pool.map(fuzz_part, parts))
    return {
        "ticks_fuzzed": sum(report.ticks for report in reports),
        "commands_outside_limits": sum(report.outside for report in reports),
        "faults_fuzzed": sum(report.trips for report in reports),
        "ticks_in_state": {name: sum(report.states[name] for report in reports) for name in reports[0].states},
    }


def soak(arguments: Sequence[str]) -> int:
    """Walk for hours with changing commands, as fast as possible."""
    import tyro

    from cli.record import check_output, write_figures

    def bench(
        robot: RobotName = "go1",
        model_dir: Path | None = None,
        hours: float = 2.0,
        log: Path | None = None,
        seed: int = 0,
        json: Path | None = None,
    ) -> int:
        """Walk the simulated field robot for hours with changing commands, as fast as possible.

        Args:
            robot: which robot.
            model_dir: folder with the models; the shipped ones by default.
            hours: simulated time, h.
            log: rosbag2 folder that is kept; a temporary one by default.
            seed: of the robot and the commands.
            json: file for the figures.
        """
        from benchmarks.soak import soak as walk

        check_output(json)
        if not 0 < hours <= 100:
            raise ValueError("give --hours above 0, at most 100")
        figures = walk(robot, model_dir, hours, log, seed)
        for name, value in figures.items():
            print(f"{name:<20} {value}")
        write_figures(json, figures, ["bench", "soak", *arguments], seed)
        return 0 if figures["steady"] and figures["complete"] and not figures["trips"] else 1

    return tyro.cli(bench, prog="dmcm bench soak", args=arguments)
