"""Shows a training while it runs, and leaves its figures in the run's folder.

In a terminal one screen is kept up to date: progress, what the robots do, every reward term, every terrain's level.
Elsewhere a line is printed now and then. `progress.jsonl` gets a line an iteration, which `dmcm runs` reads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from policy.runs import PROGRESS
from sim.terrain import LEVELS

LINE_EVERY = 15.0  # s between two lines where there is no terminal
BAR = 24  # characters of a bar
TOP = LEVELS - 1
MEMORY = 0.9  # weight of what is shown already in the mean of the speed


@dataclass(frozen=True)
class Snapshot:
    """What one iteration was like.

    Attributes:
        iteration: its number in the run.
        samples: environment steps so far.
        seconds: that it took.
        samples_per_s: environment steps a second.
        reward: mean of the last episodes' sums.
        episode_s: mean length of the last episodes, s.
        falls: share of the episodes that ended in a fall; None if none ended.
        std: mean standard deviation of the actions.
        terms: reward a second by its term.
        levels: mean level of the robots on each kind of terrain.
    """

    iteration: int
    samples: int
    seconds: float
    samples_per_s: float
    reward: float
    episode_s: float
    falls: float | None
    std: float
    terms: Mapping[str, float] = field(default_factory=dict)
    levels: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, ended: Mapping[str, float], kinds: Collection[str], **figures: Any) -> Snapshot:
        """Return the snapshot with what the environment logs of episodes that ended, and of the `kinds` of terrain."""
        levels = {kind: level for kind, level in _under("Terrain/", ended).items() if kind in kinds}
        return cls(falls=ended.get("Episode/falls"), terms=_under("Reward/", ended), levels=levels, **figures)


class Monitor:
    """Shows snapshots; a context manager around the training.

    Args:
        run: folder of the run.
        total: environment steps at which the training ends.
        console: where to show it; the process's terminal by default.
        hidden: show and write nothing, as in all but one of several processes.
    """

    def __init__(self, run: Path, total: int, console: Console | None = None, hidden: bool = False) -> None:
        self.run, self.total, self.hidden = run, total, hidden
        self._console = console or Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._speed, self._last_line = 0.0, -LINE_EVERY
        self._terms: dict[str, float] = {}
        self._levels: dict[str, float] = {}

    def __enter__(self) -> Monitor:
        """Begin."""
        if self._shows_screen():
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End; the last screen stays."""
        if self._shows_screen():
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Show the snapshot and append it to the run's progress."""
        if self.hidden:
            return
        self._speed = snapshot.samples_per_s if not self._speed else self._mixed(snapshot.samples_per_s)
        self._terms.update(snapshot.terms)
        self._levels.update(snapshot.levels)
        with (self.run / PROGRESS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(_rounded(asdict(snapshot))) + "\n")
        if self._console.is_terminal:
            self._live.update(self._screen(snapshot), refresh=True)
        elif time.monotonic() - self._last_line >= LINE_EVERY or snapshot.samples >= self.total:
            self._last_line = time.monotonic()
            self._console.print(self.line(snapshot), soft_wrap=True, highlight=False)

    def line(self, snapshot: Snapshot) -> str:
        """Return the snapshot in a line."""
        levels = " ".join(f"{kind} {level:.1f}" for kind, level in self._levels.items())
        falls = "-" if snapshot.falls is None else f"{snapshot.falls:.0%}"
        return (
            f"{_count(snapshot.samples):>8} of {_count(self.total)}  {self._speed:6.0f} samples/s  "
            f"left {self._left(snapshot)}  reward {snapshot.reward:6.2f}  episode {snapshot.episode_s:4.1f} s  "
            f"falls {falls}  std {snapshot.std:4.2f}  levels: {levels or '-'}"
        )

    def _screen(self, snapshot: Snapshot) -> Panel:
        head = Table.grid(padding=(0, 2), expand=True)
        head.add_column(ratio=1)
        head.add_column(justify="right", no_wrap=True)
        head.add_row(
            ProgressBar(total=self.total, completed=min(snapshot.samples, self.total)),
            f"{_count(snapshot.samples)} of {_count(self.total)} samples   {self._speed:,.0f} /s   "
            f"left {self._left(snapshot)}",
        )
        falls = "-" if snapshot.falls is None else f"{snapshot.falls:.0%}"
        figures = Text.from_markup(
            f"reward [b]{snapshot.reward:.2f}[/]   episode [b]{snapshot.episode_s:.1f} s[/]   falls [b]{falls}[/]   "
            f"action std [b]{snapshot.std:.2f}[/]   iteration {snapshot.iteration}"
        )
        sides = Table.grid(padding=(0, 4))
        sides.add_row(self._rewards(), self._terrains())
        return Panel(Group(head, figures, "", sides), title=str(self.run), title_align="left", border_style="dim")

    def _rewards(self) -> Table:
        """Return a bar for each reward term, in one colour for what is earned, in another for what it costs."""
        table = Table("reward a second", "", "", box=None, padding=(0, 1), header_style="dim")
        largest = max((abs(value) for value in self._terms.values()), default=0.0) or 1.0
        for name, value in sorted(self._terms.items(), key=lambda item: -abs(item[1])):
            bar = Text("█" * round(BAR * abs(value) / largest), style="cyan" if value > 0 else "yellow")
            table.add_row(name, f"{value:+.3f}", bar)
        return table

    def _terrains(self) -> Table:
        table = Table("terrain level", "", "", box=None, padding=(0, 1), header_style="dim")
        for name, level in self._levels.items():
            bar = Text("■" * round(level), style="cyan").append("·" * (TOP - round(level)), style="dim")
            table.add_row(name, f"{level:.1f}", bar)
        return table

    def _left(self, snapshot: Snapshot) -> str:
        if not self._speed:
            return "?"
        minutes, seconds = divmod(round(max(0, self.total - snapshot.samples) / self._speed), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{seconds:02d}"

    def _mixed(self, speed: float) -> float:
        return MEMORY * self._speed + (1.0 - MEMORY) * speed

    def _shows_screen(self) -> bool:
        return self._console.is_terminal and not self.hidden


def _count(samples: int) -> str:
    return f"{samples / 1e6:.2f} M" if samples >= 1e5 else f"{samples:,}"


def _under(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    return {key[len(prefix) :]: value for key, value in values.items() if key.startswith(prefix)}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return float(f"{value:.5g}") if isinstance(value, float) else value
