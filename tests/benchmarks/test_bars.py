"""The table of what was asked: each line says what is measured, and whether that is enough."""

import pytest

from benchmarks import bars
from reports.charts import wilson

HARD = ("stairs_13cm", "stairs_15cm")
ROBOTS = ("nominal", "+1.5 kg", "Kp x0.6")


def climbs(successes, episodes=200):
    rows = []
    for mode, won in successes.items():
        low, high = wilson(won, episodes)
        cell = {"mode": mode, "successes": won, "episodes": episodes, "low": low, "high": high, "uncalibrated": 0}
        rows += [{**cell, "condition": robot, "terrain": terrain} for robot in ROBOTS for terrain in HARD]
    return {"rows": rows}


def dynamics(found, swap):
    rows = []
    for split in ("id", "ood"):
        for terrain in ("flat", "stairs_13cm"):
            ends = [("true", "true", 0.0, 1.0), (bars.LEARNER, "nominal", 0.0, 2.0)]
            ends += [(bars.LEARNER, c, 20.0, found) for c in ("adapted", "on_terrain")]
            ends += [(bars.LEARNER, "swap", 20.0, swap)]
            for method, context, seconds, error in ends:
                row = {"method": method, "split": split, "context": context, "seconds": seconds, "error_1": error}
                rows.append({**row, "terrain": terrain})
    return {"rows": rows}


def met(ours=190, theirs=150, adapted=190, found=1.1, swap=1.12, payload=0.4, kp=0.04):
    before = climbs({"vanilla": theirs, "vanilla_compensated": theirs, "multi_compensated": 0})
    since = climbs({"multi_compensated": ours})
    narrow = climbs({m: theirs for m in ("vanilla", "single", "vanilla_compensated", "single_compensated", "oracle")})
    narrow["rows"] += climbs({"multi_compensated": ours, "multi": adapted})["rows"]
    motion = {"motions": {"shipped": {"robots": 24, "payload": payload, "kp": kp}}}
    shipped, beyond = [before, since, climbs({"multi": adapted})], [before, since]
    figures = [*shipped, *beyond, narrow, dynamics(found, swap), motion, *[narrow] * 6]
    lines = bars.markdown(figures).split("\n")[2:]
    return [line.rsplit("|", 2)[1].strip() for line in lines], lines


def test_what_is_enough_is_met():
    verdicts, lines = met()
    assert verdicts == ["yes"] * 25
    assert (
        "| above in 4 of 4 cells, below in 0, of 200 episodes each; together 95.0 (93.3–96.3) % against 75.0"
        in lines[8]
    )


@pytest.mark.parametrize(
    ("changed", "failing", "told"),
    [
        ({"ours": 189}, [0], "| 94.5 (90.4–96.9) % of 200 episodes |"),
        ({"adapted": 159}, [4, 5, 6, 7, 11, 14, 15, 16, 17], "multi, adapted: nominal"),
        ({"theirs": 185}, [*range(8, 18)], "above in 0 of 4 cells, below in 0"),
        ({"theirs": 200, "ours": 190}, [*range(8, 18)], "above in 0 of 4 cells, below in 4"),
        ({"theirs": 200, "ours": 189}, [0, *range(8, 19)], "94"),
        ({"theirs": 200, "adapted": 189}, [4, *range(8, 18), 19, 20], "94.5"),
        ({"found": 1.3, "swap": 1.3}, [21], "70 % and 70 %"),
        ({"found": 1.1, "swap": 1.2}, [22], "+9.1 % and +9.1 %"),
        ({"payload": 0.51}, [23], "0.51 kg"),
        ({"kp": 0.051}, [24], "5.1 %"),
    ],
)
def test_what_is_not_enough_is_not(changed, failing, told):
    verdicts, lines = met(**changed)
    assert [i for i, verdict in enumerate(verdicts) if verdict == "**no**"] == failing
    assert told in lines[failing[0]]
