"""`dmcm export`: write a policy as ONNX, one trained here or one from another stack."""

from collections.abc import Sequence

TRAINED = (
    "Export a policy checkpoint to ONNX. A policy from another stack is imported instead with --torchscript FILE or "
    "--onnx FILE, --config FILE, --out FILE and --robot NAME (docs/import_policy.md)."
)


def main(arguments: Sequence[str]) -> None:
    """Export a checkpoint, or import another stack's policy, and say how far ONNX is from it."""
    import tyro

    from policy.export import ExportConfig, export
    from policy.foreign.convert import ImportConfig, convert

    if any(word.split("=")[0] in ("--torchscript", "--onnx") for word in arguments):
        foreign = tyro.cli(ImportConfig, prog="dmcm export", args=arguments)
        print(f"wrote {foreign.out}: at most {convert(foreign):.1e} from {foreign.torchscript or foreign.onnx}")
        return
    config = tyro.cli(ExportConfig, prog="dmcm export", description=TRAINED, args=arguments)
    print(f"wrote {config.out}: at most {export(config):.1e} from torch")
