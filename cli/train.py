"""`dmcm train policy|dynamics`: train a locomotion policy, or the dynamics model with all that is made from it."""

from collections.abc import Sequence
from pathlib import Path

POLICY = (
    "Train a locomotion policy with rsl_rl's PPO. --config FILE takes a YAML or JSON file of these options, such as a "
    "run's config.json or what `dmcm import-legged-gym` writes; options given beside it win. --run RUN --resume goes "
    "on as that run's config.json says, but for options given beside it. --sim and --isaacgym-python are short for "
    "--env.sim and --env.isaacgym-python."
)

SHORT = {"--sim": "--env.sim", "--isaacgym-python": "--env.isaacgym-python"}


def policy(arguments: Sequence[str]) -> None:
    """Train a policy and name its checkpoint."""
    import argparse

    import tyro

    from policy import config_file
    from policy.config import PolicyConfig

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, prog="dmcm train policy")
    parser.add_argument("--config", type=Path)
    given, options = parser.parse_known_args(list(arguments))
    source = given.config or _resumed(options)
    default = config_file.read(source) if source else PolicyConfig()
    options = [SHORT.get(word, word) for word in options]
    config = tyro.cli(PolicyConfig, prog="dmcm train policy", description=POLICY, default=default, args=options)
    from cli.record import commit
    from policy import distributed, runs
    from policy.train import run

    origin = runs.Origin.now(["dmcm", "train", "policy", *arguments], commit())
    checkpoint = run(config, origin)
    if distributed.rank() == 0:
        more = " (with more --samples)" if runs.read(config.run).finished else ""
        print(f"wrote {checkpoint}\ngo on with{more}: {origin.resume()}")


def _resumed(options: Sequence[str]) -> Path | None:
    """Return the configuration of the run that is to be resumed, None if none is or it left none."""
    import argparse

    from policy.config import PolicyConfig
    from policy.runs import CONFIG

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--run", type=Path, default=PolicyConfig().run)
    parser.add_argument("--resume", action="store_true")
    asked = parser.parse_known_args(list(options))[0]
    path = asked.run / CONFIG
    return path if asked.resume and path.is_file() else None


def dynamics(arguments: Sequence[str]) -> None:
    """Train the dynamics model, build the context bank and export the adaptation step."""
    import tyro

    from dynamics_model import bank, export, train

    config = tyro.cli(train.TrainConfig, prog="dmcm train dynamics", args=arguments)
    result = train.run(config)
    if result.model is None:
        print(f"interrupted: the same command with --resume goes on from {config.output}")
        return
    print(f"wrote {result.model}: {train.summary(result.validation)}")
    contexts = config.output / "bank.safetensors"
    bank.run(bank.BankConfig(result.model, config.dataset, contexts, config.flat, config.seed, config.threads))
    print(f"wrote {contexts}")
    graph = config.output / "dynamics.onnx"
    export.run(export.ExportConfig(result.model, contexts, graph))
    print(f"wrote {graph}")
