"""`dmcm bench`: what this machine does."""

from collections.abc import Sequence


def train(arguments: Sequence[str]) -> None:
    """Measure training speed and memory."""
    import tyro

    from cli.record import check_output, write_figures
    from policy.bench import TrainBenchConfig, bench

    config = tyro.cli(TrainBenchConfig, prog="dmcm bench train", args=arguments)
    check_output(config.json)
    figures = bench(config)
    for name, value in figures.items():
        print(f"{name:<26} {value:12.2f}" if name == "ratio" else f"{name:<26} {value:12.0f}")
    write_figures(config.json, figures, ["bench", "train", *arguments], config.seed)


def control(arguments: Sequence[str]) -> None:
    """Measure the controller's step with the shipped policy and contexts."""
    from pathlib import Path

    import tyro

    import models
    from cli.record import check_output, write_figures
    from cli.trials import controller
    from deploy.bench import measure

    def bench(
        robot: str = "go1", model_dir: Path | None = None, steps: int = 20000, seed: int = 0, json: Path | None = None
    ) -> None:
        """Measure the controller's step: observation, policy, guards, limits.

        Args:
            robot: which robot.
            model_dir: folder with the models; the shipped ones by default.
            steps: how many steps are timed.
            seed: of the robot states.
            json: file for the figures.
        """
        check_output(json)
        made = controller(robot, model_dir or models.path(robot), "multi.onnx", None, "flat")
        result = measure(made, steps, seed)
        for name, values in (("with the policy", result.step_ms), ("between", result.between_ms)):
            print(f"step {name:<16} " + "  ".join(f"{key} {value:.3f} ms" for key, value in values.items()))
        figures = {"steps": result.steps, "step_ms": result.step_ms, "between_ms": result.between_ms}
        write_figures(json, figures, ["bench", "control", *arguments], seed)

    tyro.cli(bench, prog="dmcm bench control", args=arguments)
