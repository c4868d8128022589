"""Whether a policy uses its contexts: how far its actions move when one of them is exchanged and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import robots
from benchmarks.evaluation import COMMAND_DT, folder_of
from deploy.context import ContextBank, RobotContext, load_bank
from deploy.controller import Controller, ControllerConfig
from deploy.driver import Operator, StateLike
from deploy.loop import run
from deploy.policy import OnnxPolicy
from robots.spec import RobotSpec
from sim.field import FieldRobot
from sim.trial import StairsTrial

RISE = 0.13  # m


def use(robot: str, models: Path, mode: str, seed: int = 0) -> dict[str, Any]:
    """Return how far contexts move a policy's actions, as a share of what its actions do while climbing.

    The policy climbs stairs once, on the nominal field robot; on what it saw there its actions are taken again with the
    contexts of the bank's robots, and of its terrains, in turn. `robots` is the root mean square of the difference over
    all of them, `terrains` that of each terrain; `factors` compare the thirds of the bank with most and least of one.
    """
    spec = robots.load(robot)
    policy = OnnxPolicy.load(models / f"{mode}.onnx", spec)
    bank = load_bank(folder_of(models, mode) / "bank.safetensors", spec, policy.dynamics_digest)
    stairs = next(name for name in bank.terrains if name.startswith("stairs_13"))
    seen = _climb(spec, policy, bank, stairs, seed)

    def act(context: np.ndarray, terrain: str) -> np.ndarray:
        return np.array([policy(row, context, bank.terrain(terrain)) for row in seen])

    base = act(bank.nominal_robot, stairs)
    scale = float(np.sqrt(base.var(axis=0).mean()))

    def moved(actions: np.ndarray) -> float:
        return float(np.sqrt(np.square(actions - base).mean())) / scale

    rng = np.random.default_rng(seed)
    some = rng.permutation(len(bank.robot_contexts))[:32]
    each = {int(i): act(bank.robot_contexts[i], stairs) for i in some}
    return {
        "mode": mode,
        "ticks": len(seen),
        "robots": float(np.sqrt(np.mean([moved(actions) ** 2 for actions in each.values()]))),
        "terrains": {name: moved(act(bank.nominal_robot, name)) for name in bank.terrains if name != stairs},
        "factors": {name: _between(bank, each, name) / scale for name in ("payload", "kp_scale")},
    }


def _between(bank: ContextBank, each: dict[int, np.ndarray], name: str) -> float:
    """Return the difference between the mean actions for robots with much and with little of a factor."""
    column = bank.robot_factors[list(each), bank.factor_names.index(name)]
    order, third = np.argsort(column), len(column) // 3
    actions = np.array(list(each.values()))
    low, high = (actions[part].mean(axis=0) for part in (order[:third], order[-third:]))
    return float(np.sqrt(np.square(high - low).mean()))


def _climb(spec: RobotSpec, policy: OnnxPolicy, bank: ContextBank, terrain: str, seed: int) -> np.ndarray:
    """Return what the policy sees while it climbs, once for every action, (n, observation)."""
    made = Controller(spec, policy, bank=bank, config=ControllerConfig(command_dt=COMMAND_DT))
    made.set_context(RobotContext(bank.nominal_robot, bank.dynamics_digest))
    made.set_terrain(terrain)
    trial = StairsTrial.drawn(RISE, 7, seed)
    robot = FieldRobot(spec, None, trial.boxes, seed=seed, lying=False, heading=trial.heading, command_dt=COMMAND_DT)
    seen: list[np.ndarray] = []
    periods = 0

    def operator(control: Controller, state: StateLike | None) -> Operator | None:
        nonlocal periods
        if control.state in ("passive", "stand"):
            return Operator(event="stand_up" if control.state == "passive" else "walk")
        if control.fault or trial.reached(robot.position) or periods * COMMAND_DT > trial.time_limit:
            return None
        if control.state != "walk":
            return Operator()
        periods += 1
        if control.policy_tick and len(control.observation()):
            seen.append(control.observation())
        return Operator(velocity=trial.velocity(state.quaternion))

    run(made, robot, operator)
    return np.array(seen)
