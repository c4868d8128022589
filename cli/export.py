"""`dmcm export`: write a trained policy as ONNX."""

from collections.abc import Sequence


def main(arguments: Sequence[str]) -> None:
    """Export a checkpoint and say how far ONNX is from torch."""
    import tyro

    from policy.export import ExportConfig, export

    config = tyro.cli(ExportConfig, prog="dmcm export", args=arguments)
    print(f"wrote {config.out}: at most {export(config):.1e} from torch")
