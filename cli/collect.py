"""`dmcm collect`: walk many robots over many terrains and write the dataset, with its card."""

import json
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Collect the tasks that are missing, with a progress bar."""
    import tyro
    from rich.progress import track

    import robots
    from policy import inference
    from sim import datacard
    from sim.collect import CollectConfig, collect

    config = tyro.cli(CollectConfig, prog="dmcm collect", args=arguments)
    act = inference.load(config.policy, robots.load(config.robot))
    if mode := {"multi", "single", "oracle"} & {inference.metadata(config.policy).get("mode")}:
        raise ValueError(
            f"{config.policy} sees contexts ({mode.pop()}), and collecting has none: give a vanilla policy"
        )
    batches = -(-config.num_robots * len(config.terrains) // config.batch)
    for done, total, falls in track(collect(config, act), "collect", total=batches):
        print(f"{done} of {total} tasks, {falls:.2f} falls a minute")
    card = datacard.describe(config.out)
    (config.out / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    (config.out / "card.md").write_text(datacard.text(card), encoding="utf-8")
    print(f"wrote {config.out}: {card['transitions']:,} transitions, {config.out / 'card.md'}")
