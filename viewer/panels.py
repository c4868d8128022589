"""The charts beside the scene: how the robot walks, its joints, and what its contexts say."""

from __future__ import annotations

from typing import Any

import numpy as np
import viser

from robots.joints import LEGS, PARTS
from robots.spec import RobotSpec
from viewer import drawings
from viewer.drawings import ASKED, MEASURED, OTHER
from viewer.knowledge import Knowledge
from viewer.track import Track

SECONDS = 5.0  # s that the charts show
WIDTH = 390  # pixels
SHOWN_FACTORS = ("payload", "kp_scale", "kd_scale", "torque_limit_scale", "joint_friction", "latency")


class Chart:
    """A chart of lines over time.

    Args:
        gui: where it goes.
        title, unit: of it.
        lines: name -> colour.
        limits: of the y axis; None follows the data.
        height: pixels.
    """

    def __init__(
        self,
        gui: viser.GuiApi,
        title: str,
        unit: str,
        lines: dict[str, str],
        limits: tuple[float, float] | None = None,
        height: int = 105,
    ) -> None:
        gui.add_html(drawings.title(title, unit, lines if len(lines) > 1 else None))
        scales: dict[str, Any] = {"x": {"time": False}}
        if limits is not None:
            scales["y"] = {"range": limits}
        series = tuple(
            {"label": name, "stroke": color, "width": 1.6, "points": {"show": False}} for name, color in lines.items()
        )
        self._handle = gui.add_uplot(
            data=tuple(np.linspace(0.0, 1.0, 2) * 0.0 for _ in range(1 + len(lines))),
            series=({"label": "s"}, *series),
            scales=scales,
            axes=({"size": 26}, {"size": 46, "space": 20}),
            legend={"show": False},
            height=height,
            padding=(8, 12, 0, 0),
        )
        self._lines = len(lines)

    def draw(self, time: np.ndarray, *lines: np.ndarray) -> None:
        """Show lines, (t,), over times, (t,), where all are known; a line that is not given is as the one before."""
        lines += (lines[-1],) * (self._lines - len(lines))
        known = np.isfinite(lines).all(axis=0)
        if known.sum() > 1:
            self._handle.data = tuple(np.ascontiguousarray(line[known], dtype=np.float64) for line in (time, *lines))


class Panels:
    """All charts of one robot, docked left of the scene.

    Args:
        server: viser's.
        spec: the robot.
        knowledge: contexts and dynamics model.
        loop: what the loop's time is called.
    """

    def __init__(self, server: viser.ViserServer, spec: RobotSpec, knowledge: Knowledge, loop: str) -> None:
        gui, self._spec, self._knowledge = server.gui, spec, knowledge
        panel = gui.add_panel()
        panel.dock_left()
        panel.set_width(WIDTH)
        with panel.add_tab("Walk"):
            self._walk(gui)
        with panel.add_tab("Joints"):
            self._joints(gui)
        with panel.add_tab("Contexts"):
            self._contexts(gui)
        with panel.add_tab("Loop"):
            self._loop = Chart(gui, loop, "ms", {"time": MEASURED}, height=160)
        self._drawn: tuple[str, bytes] | None = None

    def _walk(self, gui: viser.GuiApi) -> None:
        names = (("forward", "m/s", 1.3), ("left", "m/s", 0.8), ("turning left", "rad/s", 1.5))
        lines = {"measured": MEASURED, "asked for": ASKED}
        self._tracking = [Chart(gui, name, unit, lines, (-most, most)) for name, unit, most in names]
        gui.add_html(drawings.title("feet on the ground", "the last 3 s"))
        self._gait = gui.add_html("")

    def _joints(self, gui: viser.GuiApi) -> None:
        gui.add_html(drawings.title("torque", "% of the limit; the line is the largest of the last second"))
        self._torques = gui.add_html("")
        self._leg = gui.add_dropdown("leg", LEGS)
        lines = {"measured": MEASURED, "target": ASKED}
        self._positions = [Chart(gui, part, "rad", lines, height=95) for part in PARTS]
        shares = dict(zip(PARTS, (MEASURED, ASKED, OTHER), strict=True))
        self._shares = Chart(gui, "torque of the leg", "% of the limit", shares, (-105.0, 105.0))

    def _contexts(self, gui: viser.GuiApi) -> None:
        knowledge = self._knowledge
        self._error: Chart | None = None
        if knowledge.bank is None:
            gui.add_markdown(f"No context bank in `{knowledge.folder}`: train one with `dmcm train dynamics`.")
            return
        gui.add_html(drawings.title("training robots by their contexts", "and this robot's"))
        self._map = gui.add_html("")
        names = [name for name in SHOWN_FACTORS if name in knowledge.bank.factor_names]
        self._factor = gui.add_dropdown("coloured by", names)
        if knowledge.model is not None:
            lines = {"nominal context": ASKED, "in use": MEASURED}
            self._error = Chart(gui, "prediction error", "of variance", lines, height=150)
        else:
            gui.add_markdown(f"No dynamics model of this bank in `{knowledge.folder}`.")

    def draw(self, track: Track) -> None:
        """Show the last seconds of a track."""
        if len(track) < 2:
            return
        time, share = track["time"], 100 * track["joint_torque"] / self._spec.torque_limit
        for axis, chart in enumerate(self._tracking):
            chart.draw(time, track["velocity"][:, axis], track["command"][:, axis])
        self._gait.content = drawings.gait(time, track["contact"])
        recent = time > time[-1] - 1.0
        self._torques.content = drawings.torques(np.abs(share[-1]) / 100, np.abs(share[recent]).max(axis=0) / 100)
        leg = 3 * LEGS.index(self._leg.value)
        for part, chart in enumerate(self._positions):
            chart.draw(time, track["joint_position"][:, leg + part], track["target"][:, leg + part])
        self._shares.draw(time, *share[:, leg : leg + 3].T)
        self._loop.draw(time, track["milliseconds"])

    def draw_contexts(self, track: Track, context: np.ndarray | None, terrain: str) -> None:
        """Show the context in use on the map, and the prediction error over the track; slower than `draw`."""
        bank, plane = self._knowledge.bank, self._knowledge.plane
        if bank is None or plane is None:
            return
        context = bank.nominal_robot if context is None else context
        key = self._factor.value, context.tobytes()
        if key != self._drawn:
            self._drawn = key
            column = bank.factor_names.index(self._factor.value)
            marks = {"nominal": plane.project(bank.nominal_robot)}
            if not np.allclose(context, bank.nominal_robot):
                marks["in use"] = plane.project(context)
            label = f"{bank.factor_units[column]} {self._factor.value}".replace("x ", "× ")
            self._map.content = drawings.context_map(
                plane.project(bank.robot_contexts), bank.robot_factors[:, column], label, marks, plane.shares
            )
        if self._error is not None:
            errors = self._knowledge.errors(track, context, terrain)
            self._error.draw(track["time"], *(_smooth(error) for error in errors.values()))


def _smooth(error: np.ndarray, count: int = 10) -> np.ndarray:
    """Return the mean over the last 0.2 s of what is known, (t,)."""
    known = np.isfinite(error)
    sums = np.cumsum(np.where(known, error, 0.0)), np.cumsum(known)
    total, number = (np.concatenate([part[:count], part[count:] - part[:-count]]) for part in sums)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
