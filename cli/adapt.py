"""`dmcm adapt`: find a robot's context from a log."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from cli.drivers import RobotName
from cli.record import check_output, write_figures


def main(arguments: Sequence[str]) -> None:
    """Run the field adaptation and print its report."""
    import tyro

    import models
    from calibration import RefusedError, Topics, report_page, run
    from calibration.report import checks_text, text

    usual = Topics()

    def adapt(
        log: tyro.conf.Positional[Path],
        robot: RobotName = "go1",
        out: Path = Path("context.json"),
        model_dir: Path | None = None,
        terrain: str = "flat",
        seed: int = 0,
        compensate: bool = False,
        report: Path | None = None,
        json: Path | None = None,
        topics: Topics = usual,
    ) -> None:
        """Find a robot's context from a log of 20 s of walking on flat ground.

        Args:
            log: rosbag2 folder, or .mcap or .db3 file.
            robot: name of the robot that walked.
            out: context file to write; untouched if the log is refused.
            model_dir: folder with dynamics.onnx and bank.safetensors; the shipped models of the robot by default.
            terrain: the bank's name of the ground that was walked on.
            seed: of the bootstrap that estimates the uncertainty.
            compensate: make of what was read factors on the gains of walking, and of the robot the nominal one; in
                simulation only so far.
            report: HTML file for a report to show.
            json: file for the figures.
            topics: where the log holds what is needed.
        """
        check_output(json)
        check_output(report)
        command = ["adapt", *arguments]
        typed = shlex.join(["dmcm", *command])
        folder = model_dir or models.path(robot)
        try:
            options = {"terrain": terrain, "topics": topics, "command": typed, "seed": seed, "compensate": compensate}
            result = run(log, robot, out, folder, **options)
        except RefusedError as refusal:
            if refusal.checks:
                print(checks_text(refusal.checks))
            raise
        print(text(result))
        if report is not None:
            print(f"report: {report_page.write(report, result, log, folder, topics=topics)}")
        write_figures(json, result.figures(), command, seed)

    tyro.cli(adapt, prog="dmcm adapt", args=arguments)
