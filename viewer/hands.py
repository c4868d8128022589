"""What the user's hands do to a simulation: sliders and buttons, read once a step, from the simulation's own thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import viser

from robots.joints import LEGS

# name -> lowest, highest, step, value of a healthy robot, label
FACTORS = {
    "payload": (0.0, 5.0, 0.1, 0.0, "payload, kg"),
    "payload_x": (-0.1, 0.1, 0.01, 0.0, "payload forward, m"),
    "kp_scale": (0.4, 1.5, 0.05, 1.0, "stiffness Kp, ×"),
    "kd_scale": (0.4, 1.5, 0.05, 1.0, "damping Kd, ×"),
    "torque_limit_scale": (0.4, 1.0, 0.05, 1.0, "torque limit, ×"),
    "joint_friction": (0.0, 1.0, 0.05, 0.0, "joint friction, N m"),
    "latency": (0.0, 0.03, 0.001, 0.0, "latency, s"),
}
COMMAND = (("forward, m/s", -0.8, 1.2, 0.5), ("left, m/s", -0.5, 0.5, 0.0), ("turn left, rad/s", -1.2, 1.2, 0.0))
ALL, NEAREST, NOMINAL = "all", "of the nearest training robot", "of the nominal robot"
SPEEDS = ("0.1", "0.25", "0.5", "1", "2", "5")


class Setting(Protocol):
    """What a simulation begins with; `viewer.simulation.SimulationConfig` is one."""

    robot: str
    robots: int
    terrain: str
    level: int


@dataclass(frozen=True)
class Wishes:
    """What is wanted now.

    Attributes:
        command: m/s, m/s, rad/s.
        factors: robot factors by name, for the chosen robots.
        friction: of the feet.
        context: `NEAREST` or `NOMINAL`.
        chosen: index of the robot that sliders and pushes act on, None for all.
        terrain, level, agent: what the simulation is of.
        speed: simulated seconds a second.
        paused: whether it stands still.
        push: speed of a push that was asked for since the last time, m/s; 0 for none.
        restart: whether robots shall start again.
        shuffle: how often random conditions were asked for.
    """

    command: tuple[float, float, float]
    factors: dict[str, float]
    friction: float
    context: str
    chosen: int | None
    terrain: str
    level: int
    agent: str
    speed: float
    paused: bool
    push: float
    restart: bool
    shuffle: int

    def mine(self, count: int) -> np.ndarray:
        """Return which robots are chosen, (count,)."""
        return np.ones(count, bool) if self.chosen is None else np.arange(count) == self.chosen


class Hands:
    """The controls.

    Args:
        gui: viser's.
        setting: what the simulation begins with.
        agent: the one that walks.
        agents: those that may be chosen.
    """

    def __init__(self, gui: viser.GuiApi, setting: Setting, agent: str, agents: list[str]) -> None:
        gui.set_panel_label(f"{setting.robot}: simulation")
        self._pushes = self._restarts = self._shuffles = 0
        self._count = setting.robots
        with gui.add_folder("walk"):
            self._command = [gui.add_slider(name, low, high, 0.05, start) for name, low, high, start in COMMAND]
            stop = gui.add_button("stand still")
            stop.on_click(lambda _: self._stand())
        with gui.add_folder("push"):
            self._push_speed = gui.add_slider("speed, m/s", 0.2, 3.0, 0.1, 1.0)
            gui.add_button("push", icon=viser.Icon.HAND_MOVE).on_click(lambda _: self._count_up("_pushes"))
        with gui.add_folder("condition, while it walks"):
            if setting.robots > 1:
                names = [ALL, *(f"robot {i + 1}" for i in range(setting.robots))]
                self._chosen: Any = gui.add_dropdown("acts on", names)
            else:
                self._chosen = None
            self._factors = {
                name: gui.add_slider(label, low, high, step, start)
                for name, (low, high, step, start, label) in FACTORS.items()
            }
            self._weak = gui.add_dropdown("weak leg", ("none", *LEGS))
            self._strength = gui.add_slider("its strength, ×", 0.3, 1.0, 0.05, 0.6)
            self._friction = gui.add_slider("foot friction", 0.1, 1.5, 0.05, 0.8)
            gui.add_button("random robots").on_click(lambda _: self._count_up("_shuffles"))
            self._context = gui.add_dropdown("context", (NEAREST, NOMINAL))
        with gui.add_folder("simulation"):
            self._agent = gui.add_dropdown("policy", agents, initial_value=agent)
            from sim.terrain import KINDS, LEVELS

            self._terrain = gui.add_dropdown("terrain", KINDS, initial_value=setting.terrain)
            self._level = gui.add_slider("level", 0, LEVELS - 1, 1, setting.level)
            self._speed = gui.add_dropdown("speed", SPEEDS, initial_value="1")
            self._paused = gui.add_checkbox("pause", False)
            self._follow = gui.add_checkbox("follow the robot", True)
            gui.add_button("start again").on_click(lambda _: self._count_up("_restarts"))
        self._done = (0, 0)

    def _count_up(self, what: str) -> None:
        setattr(self, what, getattr(self, what) + 1)

    def _stand(self) -> None:
        for slider in self._command:
            slider.value = 0.0

    @property
    def robot(self) -> int:
        """Index of the robot that charts and camera follow."""
        chosen = self._choice()
        return 0 if chosen is None else chosen

    @property
    def follow(self) -> bool:
        """Whether the camera follows it."""
        return bool(self._follow.value)

    def _choice(self) -> int | None:
        if self._count == 1 or self._chosen.value == ALL:
            return None
        return int(self._chosen.value.split()[1]) - 1

    def read(self) -> Wishes:
        """Return what is wanted now; a click counts once."""
        clicked, self._done = self._done, (self._pushes, self._restarts)
        factors = {name: float(slider.value) for name, slider in self._factors.items()}
        for leg in LEGS:
            weak = self._weak.value == leg
            factors[f"weak_leg_{leg.lower()}"] = float(self._strength.value) if weak else 1.0
        return Wishes(
            command=tuple(float(slider.value) for slider in self._command),
            factors=factors,
            friction=float(self._friction.value),
            context=self._context.value,
            chosen=self._choice(),
            terrain=self._terrain.value,
            level=int(self._level.value),
            agent=self._agent.value,
            speed=float(self._speed.value),
            paused=bool(self._paused.value),
            push=float(self._push_speed.value) if self._done[0] > clicked[0] else 0.0,
            restart=self._done[1] > clicked[1],
            shuffle=self._shuffles,
        )
