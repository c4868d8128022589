import io
import json

import pytest
from rich.console import Console

from policy.monitor import PROGRESS, Monitor, Snapshot

ENDED = {
    "Reward/tracking": 0.5,
    "Reward/torques": -0.1,
    "Episode/falls": 0.25,
    "Terrain/stairs": 3.2,
    "Terrain/gaps": 0.0,
}


def snapshot(iteration=1, **changes):
    figures = {"samples": 1000 * iteration, "seconds": 0.5, "samples_per_s": 2000.0, "reward": 1.5}
    figures |= {"episode_s": 9.0, "std": 0.7, **changes}
    return Snapshot.of(ENDED, ["stairs"], iteration=iteration, **figures)


def console(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, height=40)


def test_a_snapshot_takes_terms_falls_and_the_levels_of_the_kinds_in_use():
    seen = snapshot()
    assert seen.terms == {"tracking": 0.5, "torques": -0.1}
    assert (seen.falls, seen.levels) == (0.25, {"stairs": 3.2})


def test_lines_are_printed_where_there_is_no_terminal(tmp_path):
    out = console(False)
    with Monitor(tmp_path, 10_000, out) as monitor:
        for i in range(1, 11):
            monitor.show(snapshot(i))
    lines = out.file.getvalue().splitlines()
    assert len(lines) == 2  # the first, and the last: the others came too soon
    assert all(word in lines[0] for word in ("1,000 of 10,000", "2000 samples/s", "falls 25%", "stairs 3.2", "0:00:04"))
    assert "\x1b" not in out.file.getvalue()


def test_a_terminal_shows_terms_as_bars_and_levels(tmp_path):
    out = console(True)
    with Monitor(tmp_path, 10_000, out) as monitor:
        monitor.show(snapshot())
    text = out.file.getvalue()
    assert all(word in text for word in ("tracking", "+0.500", "█", "torques", "-0.100", "■■■", "2,000 /s"))


def test_progress_is_kept_a_line_an_iteration(tmp_path):
    for first in (1, 3):  # a run and its resumption
        with Monitor(tmp_path, 10_000, console(False)) as monitor:
            monitor.show(snapshot(first))
            monitor.show(snapshot(first + 1))
    lines = [json.loads(line) for line in (tmp_path / PROGRESS).read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4] and lines[-1]["terms"]["torques"] == -0.1


def test_of_several_processes_only_the_first_shows(tmp_path):
    out = console(True)
    with Monitor(tmp_path, 10_000, out, hidden=True) as monitor:
        monitor.show(snapshot())
    assert out.file.getvalue() == "" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("terminal", [True, False])
def test_before_an_episode_has_ended_nothing_is_claimed(tmp_path, terminal):
    out = console(terminal)
    with Monitor(tmp_path, 10_000, out) as monitor:
        monitor.show(Snapshot(1, 1000, 0.5, 2000.0, 0.0, 0.0, None, 0.7))
    assert "falls -" in out.file.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")
