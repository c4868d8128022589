"""`dmcm train policy|dynamics`: train a locomotion policy, or the dynamics model with all that is made from it."""

from collections.abc import Sequence


def policy(arguments: Sequence[str]) -> None:
    """Train a policy and name its checkpoint."""
    import tyro

    from policy.config import PolicyConfig

    config = tyro.cli(PolicyConfig, prog="dmcm train policy", args=arguments)
    from policy.train import run

    print(f"wrote {run(config)}")


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
