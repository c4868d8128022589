"""`dmcm terrain`: draw the terrains."""

from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> None:
    """Write a picture of all levels of some kinds."""
    import tyro

    from cli.record import check_output
    from sim.terrain_picture import DRAWN, draw

    def terrain(kinds: tuple[str, ...] = DRAWN, out: Path = Path("terrains.png"), seed: int = 0) -> None:
        """Draw terrains, all levels of a kind in a row: seen from above, and from the side.

        Args:
            kinds: which ones, e.g. `--kinds stairs gaps`; see docs/terrains.md.
            out: PNG, PDF or SVG file.
            seed: of what is random about them; a training has `--env.terrain.seed`.
        """
        check_output(out)
        draw(out, kinds, seed)
        print(f"wrote {out}")

    tyro.cli(terrain, prog="dmcm terrain", args=arguments)
