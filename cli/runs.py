"""`dmcm runs`: list training runs, compare two, draw their learning curves, and say how to go on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policy.runs import Run


def main(arguments: Sequence[str]) -> None:
    """List the runs in a folder, describe one run, compare two, or draw the curves of any number."""
    import tyro

    from policy import runs

    def show(folders: tyro.conf.Positional[tuple[Path, ...]] = (Path("runs"),), curves: Path | None = None) -> None:
        """List training runs with their key figures; of one run, say how to go on; of two, what they do differently.

        Args:
            folders: a folder that holds runs, or one run, or two runs; with --curves any number of them.
            curves: image to draw the learning curves into, side by side: reward, falls, level on stairs.
        """
        if curves:
            _draw(folders, curves)
            return
        if len(folders) > 2:
            raise ValueError(f"{len(folders)} folders: give one that holds runs, or one run, or two runs to compare")
        if len(folders) == 2:
            _compare(*(runs.read(folder) for folder in folders))
        elif (folders[0] / runs.CONFIG).is_file():
            _describe(runs.read(folders[0]))
        else:
            _list(runs.find(folders[0]))

    tyro.cli(show, prog="dmcm runs", args=arguments)


def _draw(folders: Sequence[Path], path: Path) -> None:
    from cli.record import check_output
    from policy import curves, runs

    check_output(path)
    alone = [(folder / runs.CONFIG).is_file() for folder in folders]
    found = [
        run
        for folder, one in zip(folders, alone, strict=True)
        for run in ([runs.read(folder)] if one else sorted(runs.find(folder), key=lambda run: run.path))
    ]
    curves.draw(found, path)
    print(f"wrote {path}")


def _list(found: list["Run"]) -> None:
    from policy import runs

    rows = runs.rows(found)
    _table(list(rows[0]), [list(row.values()) for row in rows])
    print("\ndmcm runs RUN says how to go on with one; dmcm runs RUN RUN compares two")


def _describe(run: "Run") -> None:
    from policy import runs

    for name, value in runs.rows([run])[0].items():
        print(f"{name:<10} {value}")
    if run.origin is None:
        print("\nmade by an earlier version, which did not keep its command")
        return
    print(f"\nit was made in {run.origin.folder} by\n  {run.origin.command}")
    print(f"{'to train it longer, with more --samples' if run.finished else 'to go on'}:\n  {run.origin.resume()}")


def _compare(a: "Run", b: "Run") -> None:
    from policy import runs

    _table([*runs.rows([a])[0]], [list(row.values()) for row in runs.rows([a, b])])
    found = runs.differences(a, b)
    print()
    if found:
        _table(["option", str(a.path), str(b.path)], found)
    else:
        print("the same configuration")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns without a frame, so that they can be cut and searched."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
