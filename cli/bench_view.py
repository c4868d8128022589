"""`dmcm bench view`: what looking costs."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Measure, print, and write the figures."""
    import tyro

    from cli.record import check_output, write_figures
    from viewer.bench import ViewBenchConfig, bench

    config = tyro.cli(ViewBenchConfig, prog="dmcm bench view", args=arguments)
    check_output(config.json)
    figures = bench(config)
    log, simulation, page = figures["log"], figures["simulation"], figures["page"]
    print(
        f"simulation of {simulation['robots']} robots: {simulation['steps_per_s_without']:.0f} steps/s unwatched, "
        f"{simulation['steps_per_s_with']:.0f} watched at {simulation['frames_per_s']:.0f} frames/s: "
        f"cost {simulation['cost']:.1%} of the speed, {simulation['cpu_cost']:.1%} more processor time a step"
    )
    print(
        f"log of {log['minutes']:g} min: opened in {log['open_s']:.1f} s, a jump takes {log['jump_ms']['p50']:.1f} ms "
        f"(p99 {log['jump_ms']['p99']:.1f}, max {log['jump_ms']['max']:.1f})"
    )
    print(f"being watched costs the controller {figures['publisher']['send_us']['p50']:.0f} us a policy period")
    print(f"replay of {page['seconds']:g} s as a page: {page['megabytes']:.1f} MB")
    write_figures(config.json, figures, ["bench", "view", *arguments], config.seed)
