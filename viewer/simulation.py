"""The training environment in the browser: any policy, several robots, and hands on what acts on them.

The one file of the viewer that needs torch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import viser

import models
import robots
from deploy.load import BANK
from policy import inference
from policy.contexts import table_for
from policy.play import agent
from policy.train import make_env
from sim.config import CommandConfig, EnvConfig, RewardConfig, TerrainConfig
from sim.env import QuadrupedEnv
from sim.factors import FACTOR_NAMES, WIDE, RobotFactors
from sim.terrain import KINDS, LEVELS
from sim.terrain import name as terrain_name
from viewer.body import Body
from viewer.hands import NOMINAL, Hands, Wishes
from viewer.knowledge import Knowledge
from viewer.panels import SECONDS, Panels
from viewer.stage import Stage
from viewer.track import Recent, pack

FPS = 30.0
CHART_PERIOD, CONTEXT_PERIOD = 0.25, 2.0  # s between two drawings
FOREVER = 1e6  # s: an episode lasts until the robot falls or leaves its tile, a command until the next
WEAK = [FACTOR_NAMES.index(f"weak_leg_{leg}") for leg in ("fl", "fr", "rl", "rr")]


@dataclass
class SimulationConfig:
    """What to simulate.

    Attributes:
        agent: zero, random, an ONNX file, or the name of one of the robot's models without its ending.
        robot: its name.
        robots: how many.
        terrain, level: of the ground.
        models: folder with policies, bank and dynamics model; the shipped one by default.
        seed: of the start.
    """

    agent: str = ""
    robot: str = "go1"
    robots: int = 1
    terrain: str = "stairs"
    level: int = 3
    models: Path | None = None
    seed: int = 0

    @property
    def folder(self) -> Path:
        """Where the robot's models are, if it has any."""
        return self.models or models.folder(self.robot)

    def check(self) -> None:
        """Raise `ValueError` where there is no such terrain, level or number of robots."""
        if self.terrain not in KINDS:
            raise ValueError(f"there is no terrain '{self.terrain}': choose one of {', '.join(KINDS)}")
        if not 0 <= self.level < LEVELS:
            raise ValueError(f"level {self.level} does not exist: choose 0 to {LEVELS - 1}")
        if not 1 <= self.robots <= 64:
            raise ValueError(f"--robots {self.robots}: give 1 to 64")


@dataclass
class _Agent:
    name: str
    act: Callable
    about: dict = field(default_factory=dict)


def find_agent(wanted: str, robot: str, folder: Path, seed: int = 0) -> _Agent:
    """Return an agent by its name: zero, random, a file, or one of the robot's models in `folder` ("" is the best).

    Raises:
        FileNotFoundError: if there is no such policy.
        ValueError: if it is of another robot.
    """
    if wanted in ("zero", "random"):
        return _Agent(wanted, agent(wanted, robot, seed))
    shipped = sorted(path.stem for path in folder.glob("*.onnx") if path.stem in ("multi", "vanilla"))
    if not wanted and not shipped:
        raise FileNotFoundError(f"no policy of {robot} in {folder}: give --agent FILE.onnx, zero or random")
    path = folder / f"{wanted or shipped[0]}.onnx"
    path = path if path.exists() else Path(wanted)
    if not path.is_file():
        known = ", ".join(["zero", "random", *shipped])
        raise FileNotFoundError(f"no policy at {path}: give an ONNX file, or one of {known}")
    return _Agent(wanted or shipped[0], inference.load(path, robots.load(robot)), inference.metadata(path))


def environment(config: SimulationConfig, about: dict) -> QuadrupedEnv:
    """Return robots in nominal condition on one tile, which nothing but the viewer commands, pushes or restarts.

    Args:
        config: what to simulate.
        about: metadata of the policy that will walk.
    """
    setup = EnvConfig(
        robot=config.robot,
        num_envs=config.robots,
        threads=1 if config.robots < 8 else 0,
        seed=config.seed,
        episode_length_s=FOREVER,
        stall_s=0.0,
        push_speed=0.0,
        history=about.get("history", 1),
        terrain=TerrainConfig(shares={config.terrain: 1.0}, curriculum=False),
        commands=CommandConfig(period=FOREVER),
        rewards=RewardConfig(**dict.fromkeys(vars(RewardConfig()), 0.0)),
    )
    nominal = np.tile(RobotFactors().as_array(), (config.robots, 1))
    env = make_env(setup, table_for(about, config.folder / BANK, robots.load(config.robot), nominal))
    place = np.full(config.robots, KINDS.index(config.terrain)), np.full(config.robots, config.level)
    env.assign(*place, nominal, np.full(config.robots, 0.8))
    return env


class Simulation:
    """Runs the environment and shows it.

    Args:
        server: viser's.
        config: what to simulate.

    Attributes:
        env: the environment.
        hands: what the user sets.
        frames: that were shown.
    """

    def __init__(self, server: viser.ViserServer, config: SimulationConfig) -> None:
        config.check()
        torch.set_num_threads(1)  # a few robots: more threads would wait for each other, and busily
        self.config, self._server, self.spec = config, server, robots.load(config.robot)
        self._agent = find_agent(config.agent, config.robot, config.folder, config.seed)
        self._knowledge = Knowledge(self.spec, config.folder)
        self.env = environment(config, self._agent.about)
        self._stage = Stage(server, Body(self.spec), config.robots)
        self._panels = Panels(server, self.spec, self._knowledge, "time of a step of policy and simulation")
        self.hands = Hands(server.gui, config, self._agent.name, self._agents())
        self._recent = Recent(round(SECONDS / self.spec.control_dt))
        self._steps = self.frames = 0
        self._begin()

    def _agents(self) -> list[str]:
        shipped = [path.stem for path in self.config.folder.glob("*.onnx")]
        names = [self._agent.name, *(name for name in ("multi", "vanilla") if name in shipped), "zero", "random"]
        return list(dict.fromkeys(names))

    def _begin(self) -> None:
        """Show the ground, and start with the condition that the sliders have."""
        self._stage.tile(self.env.sim.world, self.config.terrain, self.config.level)
        self._factors = self.env.factors.cpu().numpy().copy()
        self._set: Wishes | None = None

    def apply(self, wishes: Wishes) -> None:
        """Let the user's wishes act: at once, while the robots walk."""
        before, self._set = self._set, wishes
        if (wishes.terrain, wishes.level, wishes.agent) != (self.config.terrain, self.config.level, self._agent.name):
            self._rebuild(wishes)
            before, self._set = None, wishes
        if before is None or (wishes.factors, wishes.friction, wishes.context, wishes.shuffle) != (
            before.factors,
            before.friction,
            before.context,
            before.shuffle,
        ):
            self._condition(wishes, before)
        if wishes.restart:
            self.env.restart()
        if wishes.push:
            angle = np.random.default_rng().uniform(-np.pi, np.pi, self.env.num_envs)
            speed = wishes.push * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
            self.env.sim.push(torch.as_tensor(speed * wishes.mine(len(angle))[:, None], dtype=torch.float32))
        self.env.command[:] = torch.tensor(wishes.command)
        self.env.heading[:] = torch.nan

    def _rebuild(self, wishes: Wishes) -> None:
        self._agent = find_agent(wishes.agent, self.config.robot, self.config.folder, self.config.seed)
        self.config.terrain, self.config.level = wishes.terrain, wishes.level
        factors = self._factors
        self.env = environment(self.config, self._agent.about)
        self._begin()
        self._factors = factors

    def _condition(self, wishes: Wishes, before: Wishes | None) -> None:
        """Give the chosen robots the factors that changed, and every robot the context that is wanted."""
        env, mine = self.env, wishes.mine(self.env.num_envs)
        old = {} if before is None else before.factors
        for name, value in wishes.factors.items():
            if old.get(name) != value and (before is not None or value != getattr(RobotFactors(), name)):
                self._factors[mine, FACTOR_NAMES.index(name)] = value
        if before is not None and wishes.shuffle != before.shuffle:
            self._factors = WIDE.sample(np.random.default_rng(wishes.shuffle), env.num_envs)
        env.factors[:] = torch.as_tensor(self._factors, dtype=torch.float32)
        env.friction[:] = wishes.friction
        env.sim.set_factors(env.everyone, env.factors, env.nuisances)
        if env.table is not None:
            kind, level = env.curriculum.kind, env.curriculum.level
            nearest = env.table.robots(env.table.nearest_robot(env.factors), kind, level)
            env.robot_context[:] = env.table.nominal(kind, level) if wishes.context == NOMINAL else nearest
        self._stage.condition(self._factors[:, FACTOR_NAMES.index("payload")], self._factors[:, WEAK])

    def step(self) -> None:
        """Advance by one control period."""
        begin = time.perf_counter()
        env = self.env
        with torch.inference_mode():
            env.step(self._agent.act(env.get_observations()))
        self._steps += 1
        self._recent.add(self._row(1e3 * (time.perf_counter() - begin)))

    def _row(self, milliseconds: float) -> np.ndarray:
        env, i = self.env, self.hands.robot
        sim = env.sim
        velocity, rate = env.base_linear_velocity[i].numpy(), sim.root_angular_velocity[i].numpy()
        return pack(
            1,
            time=self._steps * sim.control_dt,
            position=sim.root_position[i].numpy()[None],
            quaternion=sim.root_quaternion[i].numpy()[None],
            velocity=np.array([[velocity[0], velocity[1], rate[2]]]),
            command=env.command[i].numpy()[None],
            angular_velocity=rate[None],
            joint_position=sim.joint_position[i].numpy()[None],
            joint_velocity=sim.joint_velocity[i].numpy()[None],
            joint_torque=sim.joint_torque[i].numpy()[None],
            target=(self.spec.default_position + self.spec.action_scale * env.action[i].numpy())[None],
            contact=env.last_contact[i].numpy()[None],
            walking=float(env.episode_length_buf[i] > 0),  # not where it has just started again
            milliseconds=milliseconds,
        )[0]

    def show(self) -> None:
        """Move the robots in the scene to where they are."""
        self.frames += 1
        sim = self.env.sim
        position = sim.root_position.numpy()
        with self._server.atomic():
            self._stage.follow(position[self.hands.robot] if self.hands.follow else None)
            self._stage.show(position, sim.root_quaternion.numpy(), sim.joint_position.numpy())

    def draw(self, contexts: bool) -> None:
        """Draw the charts, with the contexts' where they are due."""
        track, i = self._recent.track(), self.hands.robot
        with self._server.atomic():
            self._panels.draw(track)
            if contexts:
                bank = self._knowledge.bank
                context = self.env.robot_context[i].numpy().astype(float)
                known = bank is not None and len(context) == len(bank.nominal_robot)
                self._panels.draw_contexts(
                    track, context if known else None, terrain_name(self.config.terrain, self.config.level)
                )

    def run(
        self,
        seconds: float = math.inf,
        paced: bool = True,
        shown: bool = True,
        until: Callable[[], bool] = lambda: False,
    ) -> int:
        """Run until the process is interrupted, and return the number of steps.

        Args:
            seconds: end after so long.
            paced: in real time instead of as fast as possible.
            shown: in the browser.
            until: ends it when true.
        """
        clock = _Clock(self.spec.control_dt)
        end, first = time.monotonic() + seconds, self._steps
        while time.monotonic() < end and not until():
            wishes = self.hands.read()
            self.apply(wishes)
            if wishes.paused:
                time.sleep(1.0 / FPS)
                continue
            self.step()
            if shown and clock.due("frame", 1.0 / FPS):
                self.show()
            if shown and clock.due("charts", CHART_PERIOD):
                self.draw(clock.due("contexts", CONTEXT_PERIOD))
            if paced:
                clock.pace(wishes.speed)
        return self._steps - first


class _Clock:
    """Says what is due, and keeps a simulation in step with the time."""

    def __init__(self, dt: float) -> None:
        self._dt, self._next, self._last = dt, time.monotonic(), {}

    def due(self, what: str, period: float) -> bool:
        now = time.monotonic()
        if now - self._last.get(what, -1e9) < period:
            return False
        self._last[what] = now
        return True

    def pace(self, speed: float) -> None:
        self._next += self._dt / speed
        late = time.monotonic() - self._next
        if late < 0:
            time.sleep(-late)
        elif late > 0.2:
            self._next += late
