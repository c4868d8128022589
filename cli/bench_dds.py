"""`dmcm bench dds`: Go2 over DDS on this machine, in two processes: a walk, a server that dies, a second writer."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.controller import Controller
    from deploy.driver import Operator
    from deploy.loop import LoopReport
    from deploy.unitree.go2_dds import Go2Driver

PATIENCE = 20.0  # s for whatever must happen


@dataclass(frozen=True)
class DdsBenchConfig:
    """Measure Go2 over DDS on this machine: this process drives, another one is the robot.

    Attributes:
        seconds: of the walk at `speed`.
        speed: m/s.
        soak: s of walking with changing commands instead of everything else.
        model_dir: folder with the models; the shipped ones by default.
        interface: network interface.
        domain: DDS domain; nobody else may use it.
        rate: commands a second.
        fifo: SCHED_FIFO priority of both processes; 0 for none.
        seed: of the robot.
        json: file for the figures.
    """

    seconds: float = 60.0
    speed: float = 1.0
    soak: float = 0.0
    model_dir: Path | None = None
    interface: str = "lo"
    domain: int = 57
    rate: float = 250.0
    fifo: int = 20
    seed: int = 0
    json: Path | None = None


def main(arguments: Sequence[str]) -> None:
    """Run the bench and print its figures."""
    import tyro

    from cli.record import check_output, write_figures

    config = tyro.cli(DdsBenchConfig, prog="dmcm bench dds", args=arguments)
    check_output(config.json)
    figures = {"soak": _soak(config)} if config.soak else {**_walk(config), **_faults(config)}
    print(json.dumps(figures, indent=1))
    write_figures(config.json, figures, ["bench", "dds", *arguments], config.seed)


class Server:
    """The simulated robot in a process of its own."""

    def __init__(self, config: DdsBenchConfig) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self._figures = Path(self.folder.name) / "server.json"
        options = {"domain": config.domain, "interface": config.interface, "fifo": config.fifo, "seed": config.seed}
        words = [f"--{name}={value}" for name, value in options.items()]
        command = [
            sys.executable,
            "-c",
            "from cli.main import run; run()",
            "sim-robot",
            *words,
            f"--json={self._figures}",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def kill(self) -> None:
        """Let it die as by SIGKILL."""
        self.process.kill()
        self.process.wait()

    def end(self) -> dict[str, Any]:
        """End it in order and return its figures."""
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE)
        return json.loads(self._figures.read_text(encoding="utf-8"))


def _operate(config: DdsBenchConfig, scenario: Any, log: Path | None = None) -> tuple[LoopReport, Controller]:
    """Drive the robot as the scenario, a generator of what the operator wants, tells."""
    from cli.run import RunConfig, controller_of
    from deploy.log import LogWriter
    from deploy.loop import LATE_TICKS, run
    from deploy.realtime import Realtime
    from deploy.unitree.go2_dds import Go2Driver

    controller = controller_of(RunConfig(robot="go2", model_dir=config.model_dir, rate=config.rate))
    driver = Go2Driver(config.interface, config.domain, 1 / config.rate)
    wishes = scenario(controller, driver)
    writer = LogWriter(log, controller.spec, controller.provenance()) if log else None
    try:
        realtime = Realtime(fifo=config.fifo)
        report = run(controller, driver, lambda *_: next(wishes, None), writer, None, realtime, LATE_TICKS)
    finally:
        driver.close()
        if writer:
            writer.close()
    return report, controller


def _script(text: str, controller: Controller) -> Iterator[Operator]:
    from deploy.script import Script, parse

    script = Script(parse(text), controller.config.command_dt)
    while (wish := script(controller, None)) is not None:
        yield wish
    if script.error:
        raise ValueError(f"'{text}': {script.error}")


def _until(reached: Any, wish: Operator) -> Iterator[Operator]:
    """Want the same until something has happened."""
    end = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > end:
            raise ValueError(f"nothing happened for {PATIENCE:g} s")
        yield wish


def _walk(config: DdsBenchConfig) -> dict[str, Any]:
    text = f"stand_up; walk {config.speed} 0 0 for {config.seconds}; stand for 1; lie_down"
    server = Server(config)
    report, _ = _operate(config, lambda controller, driver: _script(text, controller))
    figures = server.end()
    return {"walk": {"script": text, "faults": report.trips, **_rates(report, figures)}}


def _rates(report: LoopReport, server: dict[str, Any]) -> dict[str, Any]:
    rates = server["rates"][1:-1]  # the first and the last second are not whole
    return {
        "ticks": report.ticks,
        "walked_m": server["walked"],
        "commands_hz": {"mean": sum(rates) / len(rates), "min": min(rates)},
        "states_hz": server["states"] / server["seconds"],
        "server_late": server["late"],
        "watchdog": server["braked"],
        "late": report.late,
        "jitter_ms": report.jitter_ms,
        "step_ms": report.step_ms,
    }


def _faults(config: DdsBenchConfig) -> dict[str, Any]:
    from deploy.driver import Operator
    from deploy.unitree import dds
    from deploy.unitree.go2_messages import cmd_to_cdr, pack_command
    from deploy.unitree.idl import types

    figures: dict[str, Any] = {}
    servers = [Server(config)]

    def scenario(controller: Controller, driver: Go2Driver) -> Iterator[Operator]:
        walking = Operator(velocity=(config.speed, 0.0, 0.0))
        yield from _script(f"stand_up; walk {config.speed} for 3", controller)
        killed = time.monotonic()
        servers[-1].kill()
        yield from _until(lambda: controller.state == "fault", walking)
        figures["killed"] = {"reaction_ms": 1e3 * (time.monotonic() - killed), "message": controller.fault}
        yield from _until(lambda: time.monotonic() - killed > 1.0, walking)
        figures["killed"]["problem"] = driver.problem
        servers.append(Server(config))
        started = time.monotonic()
        yield from _until(lambda: driver.problem is None, Operator())
        yield from _script("reset; stand_up", controller)
        figures["restarted"] = {"standing_s": time.monotonic() - started}
        yield from _script(f"walk {config.speed} for 3", controller)
        rival = dds.writer(dds.participant(config.domain, config.interface), dds.LOW_CMD, types().LowCmd)
        command = types().LowCmd.of(cmd_to_cdr(pack_command(controller.damping_command())))
        appeared = time.monotonic()
        rival.write(command)
        yield from _until(lambda: controller.state == "fault", walking)
        figures["hijacked"] = {"reaction_ms": 1e3 * (time.monotonic() - appeared), "message": controller.fault}
        del rival
        yield from _until(lambda: driver.problem is None, Operator())
        yield from _script("reset; stand_up; lie_down", controller)

    _operate(config, scenario)
    servers[-1].end()
    return figures


def _soak(config: DdsBenchConfig) -> dict[str, Any]:
    """Walk with a new command every few seconds, and watch the memory of both processes and the log."""
    import numpy as np

    from deploy.driver import Operator

    rng, memory, faults = np.random.default_rng(config.seed), {"driver": [], "robot": []}, []
    server, start = Server(config), time.monotonic()

    def walk(controller: Controller, velocity: tuple[float, ...]) -> Iterator[Operator]:
        for _ in range(round(rng.uniform(2.0, 8.0) * config.rate)):
            if controller.fault:
                return
            yield Operator(velocity=velocity)

    def scenario(controller: Controller, driver: Go2Driver) -> Iterator[Operator]:
        yield from _script("stand_up; walk 0 for 1", controller)
        while time.monotonic() - start < config.soak:
            for name, process in (("driver", "self"), ("robot", server.process.pid)):
                memory[name].append(_resident_mb(process))
            velocity = tuple(rng.uniform([-0.3, -0.3, -0.6], [config.speed, 0.3, 0.6]).tolist())
            yield from walk(controller, velocity)
            if controller.fault:  # the operator's part: see what it was, and go on
                faults.append({"after_s": time.monotonic() - start, "cause": controller.fault})
                yield from _until(lambda: driver.problem is None, Operator())
                yield from _script("reset; stand_up; walk 0 for 1", controller)
        yield from _script("stand for 1; lie_down", controller)

    with tempfile.TemporaryDirectory() as folder:
        report, controller = _operate(config, scenario, Path(folder) / "log")
        records = _records(Path(folder) / "log")
    expected = report.ticks * controller.config.command_dt / controller.spec.control_dt
    warm = {name: values[len(values) // 10 :] for name, values in memory.items()}
    return {
        "seconds": config.soak,
        "faults": faults,
        "records": records,
        "records_expected": round(expected),
        "memory_mb": {name: {"start": v[0], "end": v[-1], "max": max(v)} for name, v in warm.items()},
        **_rates(report, server.end()),
    }


def _resident_mb(process: int | str) -> float:
    text = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS")) / 1024


def _records(log: Path) -> int:
    """Return how many policy ticks a log holds; rosbag2's metadata is JSON here."""
    bag = json.loads((log / "metadata.yaml").read_text(encoding="utf-8"))["rosbag2_bagfile_information"]
    counts = {t["topic_metadata"]["name"]: t["message_count"] for t in bag["topics_with_message_count"]}
    return counts["/joint_states"]
