"""The running controller in the browser: what it reports is shown, and nothing ever goes back to it."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import viser

import robots
from deploy.gains import NOMINAL, Gains
from deploy.live import Report, unpack
from deploy.states import FAULT, STATES
from robots.spec import RobotSpec
from viewer import drawings
from viewer.body import Body
from viewer.knowledge import Knowledge
from viewer.log import Event, Span
from viewer.panels import SECONDS, Panels
from viewer.reckon import Measured, Reckoner
from viewer.stage import Stage
from viewer.track import Recent

FPS = 30.0
CHART_PERIOD, CONTEXT_PERIOD = 0.25, 2.0  # s between two drawings
SILENT = 1.0  # s without a report after which the page says so
BAR = 60.0  # s that the bar of states shows


class Source(Protocol):
    """Where reports come from."""

    where: str

    def take(self) -> list[Report]:
        """Return the reports since the last time, without waiting."""
        ...


class UdpSource:
    """Reports of a controller on this machine, or of one that sends here.

    Args:
        host, port: to listen on.

    Attributes:
        where: for messages.
        others: when further controllers were heard last, by address; their reports are left out.

    Raises:
        ValueError: if the port is in use.
    """

    def __init__(self, host: str, port: int) -> None:
        self.where = f"UDP {host}:{port}"
        self.others: dict[tuple[str, int], float] = {}
        self._sender: tuple[str, int] | None = None
        self._heard = 0.0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind((host, port))
        except OSError as problem:
            self._socket.close()
            raise ValueError(
                f"cannot listen on {self.where} ({problem.strerror}): is another viewer open? give another --listen"
            ) from None

    def take(self) -> list[Report]:
        """Return the reports since the last time, without waiting; what is no report is passed over."""
        reports = []
        while True:
            try:
                datagram, sender = self._socket.recvfrom(65536)
            except (BlockingIOError, ConnectionResetError):
                return reports
            if self._sender != sender and self._sender is not None and time.monotonic() - self._heard < SILENT:
                self.others[sender] = time.monotonic()
                continue
            try:
                reports.append(unpack(datagram))
            except ValueError:
                continue
            self._sender, self._heard = sender, time.monotonic()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


def measured(reports: Sequence[Report]) -> Measured:
    """Return reports as rows."""
    columns = {name: np.array([report.values[name] for report in reports]) for name in reports[0].values}
    time_, milliseconds = columns.pop("stamp")[:, 0], columns.pop("milliseconds")[:, 0]
    state = [report.status.get("state", "") for report in reports]
    walking = np.array([name in STATES and STATES[name].motion == "policy" for name in state], dtype=float)
    return Measured(time=time_, walking=walking, milliseconds=milliseconds, **columns)


def robot_of(report: Report, wanted: str | None) -> RobotSpec:
    """Return the robot of a report.

    Raises:
        ValueError: if it is another than wanted, is not known, or has other constants here.
    """
    if wanted not in (None, report.robot):
        raise ValueError(f"the running controller is of robot '{report.robot}', not '{wanted}': leave --robot out")
    spec = robots.load(report.robot)
    if report.robot_digest and spec.digest() != report.robot_digest:
        raise ValueError(f"the running controller has other constants of {spec.name}: use one version of dmcm")
    return spec


class Live:
    """Shows a running controller.

    Args:
        server: viser's.
        source: of reports.
        first: reports that have come already, at least one.
        spec: the robot.
        models: folder with bank and dynamics model.
    """

    def __init__(
        self, server: viser.ViserServer, source: Source, first: list[Report], spec: RobotSpec, models: Path
    ) -> None:
        self._server, self._source, self.spec = server, source, spec
        self._stage = Stage(server, Body(spec), ghost=True)
        self._panels = Panels(server, spec, Knowledge(spec, models), "step of the control loop")
        self._recent = Recent(round(SECONDS / spec.control_dt))
        self._reckoner = Reckoner(spec)
        self._spans: deque[Span] = deque(maxlen=200)
        self._events: deque[Event] = deque(maxlen=50)
        self._loads: deque[tuple[float, float]] = deque(maxlen=round(BAR / spec.control_dt))
        self._heard, self._last = time.monotonic(), first[-1]
        gui = server.gui
        gui.set_panel_label(f"{spec.name}: live")
        gui.add_markdown(f"Reads from {source.where}. **Read only**: nothing here reaches the robot.")
        self._bar, self._status = gui.add_html(""), gui.add_html("")
        self._follow = gui.add_checkbox("follow the robot", True)
        gui.add_markdown("Position by leg odometry, height over the lowest foot.")
        self.take(first)

    def take(self, reports: list[Report]) -> None:
        """Take what has come, but for other robots; where a sensor is broken, its state alone."""
        reports = [r for r in reports if r.robot == self.spec.name and np.isfinite(r.values["stamp"]).all()]
        if not reports:
            return
        if reports[0].values["stamp"][0] < self._last.values["stamp"][0] - 1.0:  # another run
            self._reckoner, self._spans, self._events = Reckoner(self.spec), deque(maxlen=200), deque(maxlen=50)
            self._loads.clear()
        if sound := [report for report in reports if _sound(report)]:
            for row in self._reckoner.rows(measured(sound)):
                self._recent.add(row)
        for report in reports:
            self._note(report)
        self._last, self._heard = reports[-1], time.monotonic()

    def _note(self, report: Report) -> None:
        now, state = float(report.values["stamp"][0]), str(report.status.get("state", ""))
        last = self._spans.pop() if self._spans else None
        if last is not None:
            self._spans.append(Span(last.state, last.begin, now))
        if last is None or last.state != state:
            self._spans.append(Span(state, now, now))
            if state == FAULT:
                self._events.append(Event(now, True, str(report.status.get("fault", ""))))
        share = np.abs(report.values["joint_torque"]) / self.spec.torque_limit
        self._loads.append((now, float(np.nan_to_num(share).max())))

    def show(self) -> None:
        """Move the robot to where it was last."""
        row = self._recent.track()
        if not len(row):
            return
        row = row.until(len(row) - 1, 1)
        with self._server.atomic():
            self._stage.follow(row["position"][0] if self._follow.value else None)
            self._stage.show(row["position"], row["quaternion"], row["joint_position"], row["target"])

    def draw(self, contexts: bool) -> None:
        """Draw the charts, with the contexts' where they are due."""
        track = self._recent.track()
        with self._server.atomic():
            if len(track):
                self._panels.draw(track)
            if contexts and len(track):
                context = self._last.context if len(self._last.context) else None
                self._panels.draw_contexts(track, context, str(self._last.status.get("terrain", "flat")))
            now = float(self._last.values["stamp"][0])
            begin = max(now - BAR, self._spans[0].begin) if self._spans else now
            spans = [Span(s.state, max(s.begin, begin) - begin, s.end - begin) for s in self._spans if s.end > begin]
            events = [Event(e.time - begin, e.fault, e.text) for e in self._events if e.time > begin]
            load = np.array([share for _, share in self._loads])[:: max(1, len(self._loads) // 360)]
            self._bar.content = drawings.timeline(spans, events, load, now - begin, now - begin)
            self._tell()

    def _tell(self) -> None:
        """Say what the controller does, or that it is silent."""
        silent = time.monotonic() - self._heard
        status = self._last.status
        gains = Gains.from_row(status.get("gains", NOMINAL.row()))
        lines = [("state", status.get("state", "")), ("because", status.get("cause", ""))]
        lines += [(name, status.get(name, "")) for name in ("fault", "refusal", "context_warning")]
        lines += [
            ("robot context", str(status.get("context", ""))[:16]),
            ("terrain context", status.get("terrain", "")),
            ("gains", "" if gains == NOMINAL else str(gains)),
        ]
        if silent > SILENT:
            lines = [("silent", f"no report for {silent:.0f} s: has the controller ended?")]
        others = getattr(self._source, "others", {})
        more = sum(time.monotonic() - heard < SILENT for heard in others.values())
        if more:
            lines.append(("left out", f"{more} more controller(s) that report here"))
        self._status.content = drawings.facts([(name, str(value)) for name, value in lines if value])

    def run(self, until: Callable[[], bool] = lambda: False) -> None:
        """Serve until the process is interrupted, or `until` says so."""
        drawn = {"charts": 0.0, "contexts": 0.0}
        while not until():
            now = time.monotonic()
            reports = self._source.take()
            self.take(reports)
            if reports:
                self.show()
            if now - drawn["charts"] > CHART_PERIOD:
                due = now - drawn["contexts"] > CONTEXT_PERIOD
                drawn["charts"], drawn["contexts"] = now, now if due else drawn["contexts"]
                self.draw(due)
            time.sleep(1.0 / FPS)


def _sound(report: Report) -> bool:
    """Tell whether a report says where the robot's body is."""
    names = ("stamp", "quaternion", "angular_velocity", "joint_position", "joint_velocity")
    return all(np.isfinite(report.values[name]).all() for name in names)


def wait_for_first(source: Source, until: Callable[[], bool] = lambda: False) -> list[Report]:
    """Return the first reports of a controller; waits for them, or until `until` says so."""
    while not until():
        if reports := source.take():
            return reports
        time.sleep(0.05)
    return []
