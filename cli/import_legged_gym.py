"""`dmcm import-legged-gym`: turn a legged_gym configuration into one for `dmcm train policy --config`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass
class ImportConfig:
    """Turn a legged_gym configuration into one of ours; it is parsed, not run (docs/coming_from_legged_gym.md).

    Attributes:
        config: a Python file with a subclass of LeggedRobotCfg, and of LeggedRobotCfgPPO if there is one.
        out: the YAML file to write.
        name: which subclass, where the file has several.
        robot: our robot; by default the one that `asset.file` names.
    """

    config: Annotated[Path, tyro.conf.Positional]
    out: Path = Path("config.yaml")
    name: str | None = None
    robot: str | None = None


def main(arguments: Sequence[str]) -> None:
    """Write the configuration and name every field that is not in it."""
    config = tyro.cli(ImportConfig, prog="dmcm import-legged-gym", args=arguments)
    from cli.record import check_output
    from policy import config_file
    from policy.foreign.legged_gym import translate

    check_output(config.out)
    made = translate(config.config, config.name, config.robot)
    left = [f"{field}: {reason}" for field, reason in made.left]
    above = [f"{made.name} of {config.config.name}, by dmcm import-legged-gym"]
    config_file.write(config.out, made.config, [*above, *(["Not carried over:", *left] if left else [])])
    print(f"wrote {config.out}: {made.name}, {len(made.carried)} of the fields that it sets")
    if left:
        print(f"not carried over, {len(left)}:")
    for line in left:
        print(f"  {line}")
    print(f"train with: dmcm train policy --config {config.out}")
