"""`dmcm bench dynamics`: dynamics models compared, what they predict and what their contexts tell."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Train what is missing, one method after another, and print the tables."""
    import tyro

    from cli.record import check_output, write_figures
    from dynamics_model.dynamics_benchmark import DynamicsBenchConfig, figures_of, run

    config = tyro.cli(DynamicsBenchConfig, prog="dmcm bench dynamics", args=arguments)
    check_output(config.json)
    from dynamics_model import dynamics_report

    found = {}
    for name, figures in run(config):
        if figures is None:
            print(f"interrupted in '{name}': the same command goes on from {config.out}")
            break
        found[name] = figures
        print(f"{name}: {dynamics_report.line(figures)}", flush=True)
    if found:
        figures = figures_of(config, found)
        print(f"\n{dynamics_report.markdown(figures)}")
        for path in (config.out / "dynamics.json", config.json):
            write_figures(path, figures, ["bench", "dynamics", *arguments], config.seed)
