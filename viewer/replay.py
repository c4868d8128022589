"""A log in the browser: a time bar, the robot, and its charts."""

from __future__ import annotations

import threading
import time

import numpy as np
import viser

from viewer import drawings
from viewer.body import Body
from viewer.knowledge import Knowledge
from viewer.log import Recording
from viewer.panels import SECONDS, Panels
from viewer.stage import Stage

FPS = 30.0
CHART_PERIOD = 0.2  # s between two drawings of the charts
SPEEDS = ("0.25", "0.5", "1", "2", "5", "10")


class Replay:
    """Plays a recording.

    Args:
        server: viser's.
        recording: the log.
        knowledge: contexts and dynamics model of its robot.
        context: the robot's context in the log, None for the nominal one.

    Attributes:
        now: time that is shown, s.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        recording: Recording,
        knowledge: Knowledge,
        context: np.ndarray | None = None,
    ) -> None:
        self._recording, self._context, self._server = recording, context, server
        self._track, self._dt = recording.track, recording.spec.control_dt
        self.end, self.now = float(self._track["time"][-1]), 0.0
        self._stage = Stage(server, Body(recording.spec), ghost=True)
        self._panels = Panels(server, recording.spec, knowledge, "time between two records")
        self._load = self._loads(360)
        self._wake, self._seek, self._moving = threading.Event(), None, False
        self._controls(server.gui)
        self.show(0.0)

    def _loads(self, count: int) -> np.ndarray:
        """Return the largest share of a torque limit in each of `count` parts of the log, (count,)."""
        share = np.nan_to_num(np.abs(self._track["joint_torque"]) / self._recording.spec.torque_limit).max(axis=1)
        parts = np.array_split(share, min(count, len(share)))
        return np.array([part.max() for part in parts])

    def _controls(self, gui: viser.GuiApi) -> None:
        recording = self._recording
        gui.set_panel_label(f"{recording.spec.name}: {recording.path.name}")
        self._bar = gui.add_html("")
        self._slider = gui.add_slider("time, s", 0.0, round(self.end, 2), 0.02, 0.0)
        self._slider.on_update(self._slid)
        self._play = gui.add_button("play", icon=viser.Icon.PLAYER_PLAY)
        self._play.on_click(lambda _: self._toggle())
        self._speed = gui.add_dropdown("speed", SPEEDS, initial_value="1")
        self._follow = gui.add_checkbox("follow the robot", True)
        self._status = gui.add_html("")
        choices = [f"{event.time:.1f} s  {event.text}" for event in recording.events]
        if choices:
            self._events = gui.add_dropdown("jump to", choices)
            self._events.on_update(lambda _: self.seek(recording.events[choices.index(self._events.value)].time))
        said = [
            f"**Position** by leg odometry, **height** over the lowest foot: a log knows neither. {recording.warning}"
        ]
        said += [f"- {name}: `{text[:16]}`" for name, text in recording.metadata.items() if text]
        with gui.add_folder("about this log", expand_by_default=False):
            gui.add_markdown("\n".join(said))

    def _toggle(self) -> None:
        self._moving = not self._moving
        self._play.label = "pause" if self._moving else "play"
        self._play.icon = viser.Icon.PLAYER_PAUSE if self._moving else viser.Icon.PLAYER_PLAY
        if self._moving and self.now >= self.end:
            self._seek = 0.0
        self._wake.set()

    def _slid(self, event: viser.GuiEvent) -> None:
        if event.client is not None:  # the user's hand, not `show`
            self.seek(self._slider.value)

    def seek(self, time: float) -> None:
        """Go to a time, s."""
        self._seek = time
        self._wake.set()

    def show(self, now: float, charts: bool = True) -> None:
        """Show a time, s."""
        self.now = now = float(np.clip(now, 0.0, self.end))
        index = self._track.at(now)
        row = self._track.until(index, 1)
        with self._server.atomic():
            self._stage.follow(row["position"][0] if self._follow.value else None)
            self._stage.show(row["position"], row["quaternion"], row["joint_position"], row["target"])
            self._slider.value = round(now, 2)
            if charts:
                self._draw(index)
        self._server.flush()

    def _draw(self, index: int) -> None:
        window = self._track.until(index, round(SECONDS / self._dt))
        self._panels.draw(window)
        self._panels.draw_contexts(window, self._context, self._recording.metadata.get("terrain", "flat"))
        self._bar.content = drawings.timeline(
            self._recording.spans, self._recording.events, self._load, self.end, self.now
        )
        self._status.content = drawings.facts(self._facts())

    def _facts(self) -> list[tuple[str, str]]:
        """Return the state at the time shown, and what happened last before it."""
        past = [event for event in self._recording.events if event.time <= self.now + 1e-6]
        facts = [("state", self._recording.state(self.now) or "not in the log")]
        if past:
            facts.append(("fault" if past[-1].fault else "last", past[-1].text))
        return facts

    def run(self) -> None:
        """Serve until the process is interrupted."""
        drawn, last = 0.0, time.monotonic()
        while True:
            self._wake.wait(1.0 / FPS if self._moving else None)
            self._wake.clear()
            now, target, self._seek = time.monotonic(), self._seek, None
            if target is None and self._moving:
                target = self.now + (now - last) * float(self._speed.value)
                if target >= self.end:
                    self._toggle()
            charts = target is not None and (now - drawn >= CHART_PERIOD or not self._moving)
            last = now
            if target is None:
                continue
            self.show(target, charts)
            drawn = now if charts else drawn
