"""Lets the simulated field robot stand up from random lying poses, and looks at the torque that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

import robots
from deploy.controller import Controller, ControllerConfig
from deploy.driver import Operator
from sim.factors import RobotFactors
from sim.field import FieldRobot
from sim.lying import lay

COMMAND_DT = 0.004  # s
WATCH = 1.0  # s of standing that count as well
PATIENCE = 20.0  # s
UPRIGHT = 0.9  # of the standing height
CONDITIONS = {
    "nominal": RobotFactors(),
    "3 kg on its back": RobotFactors(payload=3.0),
    "1.5 kg, Kp × 0.7": RobotFactors(payload=1.5, kp_scale=0.7),
}


@dataclass(frozen=True)
class Attempt:
    """How one robot stood up.

    Attributes:
        robot, condition, seed: which robot, in which pose.
        torque: largest measured torque of any joint while it stood up, as a share of the joint's limit.
        joint: which joint that was.
        seconds: until it stood.
        kick: largest change of any joint's torque from one command to the next, N m.
        stood: whether it stands, upright, at the end.
        reason: why it does not.
    """

    robot: str
    condition: str
    seed: int
    torque: float
    joint: str
    seconds: float
    kick: float
    stood: bool
    reason: str


def attempt(job: tuple[str, str, int]) -> Attempt:
    """Lay a robot down and let it stand up."""
    name, condition, seed = job
    spec = robots.load(name)
    robot = FieldRobot(spec, CONDITIONS[condition], seed=seed, command_dt=COMMAND_DT)
    lay(robot, np.random.default_rng([seed, 7]))
    controller = Controller(spec, config=ControllerConfig(COMMAND_DT))
    torques, stood_at = [], None
    for tick in range(round(PATIENCE / COMMAND_DT)):
        state = robot.read()
        torques.append(state.joint_torque.copy())
        event = "stand_up" if controller.state == "passive" else None
        robot.write(controller.step(state, Operator(event=event)))
        robot.wait()
        stood_at = tick if stood_at is None and controller.state == "stand" else stood_at
        if controller.fault or (stood_at is not None and (tick - stood_at) * COMMAND_DT > WATCH):
            break
    share = np.abs(torques) / spec.torque_limit
    high = robot.position[2] > UPRIGHT * spec.standing_height
    return Attempt(
        robot=name,
        condition=condition,
        seed=seed,
        torque=float(share.max()),
        joint=spec.joint_names[int(share.max(0).argmax())],
        seconds=(stood_at or tick) * COMMAND_DT,
        kick=float(np.abs(np.diff(torques, axis=0)).max()),
        stood=bool(controller.state == "stand" and high),
        reason=controller.fault or ("" if high else "crouched"),
    )


def attempts(names: list[str], poses: int, seed: int, workers: int) -> Iterator[Attempt]:
    """Let every robot in every condition stand up from that many poses."""
    jobs = [(name, condition, seed + i) for name in names for condition in CONDITIONS for i in range(poses)]
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(attempt, jobs, chunksize=5)
