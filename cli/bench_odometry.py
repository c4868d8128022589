"""`dmcm bench odometry`: how well the legs of the simulated field robot tell how fast it goes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

COMMANDS = ((0.5, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.4, 0.0), (0.0, 0.0, 1.0), (-0.5, 0.0, 0.0), (0.6, 0.2, -0.8))
SECONDS = 3.0  # of walking with each
COMMAND_DT = 0.005  # s
AXES = ("forward", "left", "up")


def main(arguments: Sequence[str]) -> None:
    """Walk several robots with a policy and compare leg odometry with the truth."""
    import tyro

    import models
    import robots
    from cli.record import check_output, write_figures
    from deploy.policy import OnnxPolicy

    def bench(robot: str = "go1", policy: Path | None = None, walks: int = 4, seed: int = 10, json: Path | None = None):
        """Measure the error of leg odometry while the simulated field robot walks.

        Args:
            robot: which robot.
            policy: ONNX file that walks; the shipped one without contexts by default.
            walks: how many robots, each with other biases, masses and payload.
            seed: of the first robot.
            json: file for the figures.
        """
        check_output(json)
        spec = robots.load(robot)
        walker = OnnxPolicy.load(policy or models.path(robot) / "vanilla.onnx", spec)
        figures = _figures([_walk(spec, walker, seed + i) for i in range(walks)])
        for name in ("speed", "error_with_forces", "error_without_forces", "tracking_error"):
            rms = figures[name]["rms_m_per_s"]
            print(f"{name:<22}" + "  ".join(f"{axis} {value:.3f} m/s" for axis, value in rms.items()))
        write_figures(json, figures, ["bench", "odometry", *arguments], seed)

    tyro.cli(bench, prog="dmcm bench odometry", args=arguments)


def _walk(spec: Any, policy: Any, seed: int) -> Any:
    """Return true velocity, odometry with and without foot forces, and command, m/s, (n, 4, 3)."""
    import mujoco
    import numpy as np

    from deploy.controller import Controller, ControllerConfig
    from deploy.driver import Operator
    from deploy.loop import run
    from deploy.odometry import LegOdometry
    from sim.factors import RobotFactors
    from sim.field import FieldRobot

    payload = float(np.random.default_rng(seed).uniform(0.0, 2.0))
    robot = FieldRobot(spec, RobotFactors(payload=payload), seed=seed, lying=False, command_dt=COMMAND_DT)
    controller = Controller(spec, policy, config=ControllerConfig(command_dt=COMMAND_DT))
    sensed, blind = LegOdometry(spec, policy.control_dt), LegOdometry(spec, policy.control_dt)
    rows: list[list[Any]] = []
    rotation = np.zeros(9)

    def operator(control: Controller, state: Any) -> Operator | None:
        if control.fault:
            raise ValueError(f"the robot of seed {seed} faulted: {control.fault}")
        if control.state in ("passive", "stand"):
            return Operator(event="stand_up" if control.state == "passive" else "walk")
        if control.state != "walk":
            return Operator()
        if control.policy_tick:
            mujoco.mju_quat2Mat(rotation, robot.data.qpos[3:7])
            truth = rotation.reshape(3, 3).T @ robot.data.qvel[:3]
            command = [*control.velocity[:2], 0.0]
            rows.append([truth, sensed.update(state, state.foot_force), blind.update(state), command])
        part = int(len(rows) * policy.control_dt / SECONDS)
        return Operator(velocity=COMMANDS[part]) if part < len(COMMANDS) else None

    run(controller, robot, operator)
    return np.array(rows)


def _figures(walks: list[Any]) -> dict[str, Any]:
    import numpy as np

    def rms(values: Any) -> dict[str, Any]:
        return {"rms_m_per_s": dict(zip(AXES, np.sqrt(np.mean(np.square(values), axis=0)).tolist(), strict=True))}

    truth, sensed, blind, command = np.moveaxis(np.concatenate(walks), 1, 0)
    return {
        "walks": len(walks),
        "seconds_each": SECONDS * len(COMMANDS),
        "speed": rms(truth),
        "error_with_forces": rms(sensed - truth),
        "error_without_forces": rms(blind - truth),
        "tracking_error": rms(command - truth),
    }
