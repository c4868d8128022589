"""`dmcm bench sim`: how fast the simulators step and learn, beside other stacks on this machine."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Measure, and print a line for each configuration."""
    import tempfile
    from pathlib import Path

    import tyro

    from benchmarks.sim_bench import SimBenchConfig, bench, endurance
    from cli.record import check_output, write_figures

    config = tyro.cli(SimBenchConfig, prog="dmcm bench sim", args=arguments)
    check_output(config.json)
    command = ["bench", "sim", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        figures = bench(config, Path(folder), lambda so_far: write_figures(config.json, so_far, command, 0))
    if config.endure:
        print(endurance(figures))
    for name, ratio in figures.get("times_as_fast_as", {}).items():
        print(f"{ratio:.1f} times the environment steps of {name}")
