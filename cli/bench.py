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


def meta(arguments: Sequence[str]) -> None:
    """Measure the meta-learners' training speed."""
    import tyro

    from cli.record import check_output, write_figures
    from dynamics_model.meta_bench import MetaBenchConfig, bench, table

    config = tyro.cli(MetaBenchConfig, prog="dmcm bench meta", args=arguments)
    check_output(config.json)
    figures = bench(config)
    print(table(figures))
    write_figures(config.json, figures, ["bench", "meta", *arguments], config.seed)


def sine(arguments: Sequence[str]) -> int:
    """Train and compare the meta-learners on sine regression."""
    import tyro

    from cli.record import check_output, write_figures
    from dynamics_model import sine_report
    from dynamics_model.sine_benchmark import SineConfig, run

    config = tyro.cli(SineConfig, prog="dmcm bench sine", args=arguments)
    check_output(config.json)
    figures = run(config)
    if figures is None:
        print(f"interrupted; the same command continues from {config.out}")
        return 130
    print(sine_report.markdown(figures))
    sine_report.write(figures, config.out)
    write_figures(config.json, figures, ["bench", "sine", *arguments], config.seed)
    return 0


def discovery(arguments: Sequence[str]) -> None:
    """Find the number of a stream's factors, and which of them changed, without labels."""
    import tyro

    from cli.record import check_output, write_figures
    from dynamics_model.discovery_benchmark import DiscoveryConfig, run, table

    config = tyro.cli(DiscoveryConfig, prog="dmcm bench discovery", args=arguments)
    check_output(config.json)
    figures = run(config, print)
    print(table(figures))
    write_figures(config.json, figures, ["bench", "discovery", *arguments], config.seed)


def parity(arguments: Sequence[str]) -> int:
    """Compare simulators: the same robots and the same policy on two of them."""
    import tyro

    from benchmarks.parity_report import table
    from cli.record import check_output, write_figures
    from policy.parity import ParityConfig, compare

    config = tyro.cli(ParityConfig, prog="dmcm bench parity", args=arguments)
    check_output(config.json)
    figures = compare(config)
    print(table(figures))
    write_figures(config.json, figures, ["bench", "parity", *arguments], config.seed)
    return 0 if all(pair["pass"] for pair in figures["pairs"].values()) else 1
