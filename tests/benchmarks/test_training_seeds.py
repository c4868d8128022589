"""Evaluations of several training seeds, side by side and together."""

import pytest

from benchmarks import training_seeds
from reports.charts import wilson


def of_seed(won, *more):
    rows = [("vanilla", "+3 kg", "stairs_13cm", won), ("vanilla", "nominal", "stairs_13cm", 0), *more]
    named = [dict(zip(("mode", "condition", "terrain", "successes"), row, strict=True)) for row in rows]
    return {"rows": [{**row, "episodes": 10} for row in named]}


def test_training_seeds_stand_side_by_side_and_together():
    several = [of_seed(9, ("oracle", "+3 kg", "stairs_13cm", 5)), of_seed(6)]
    told = training_seeds.by_seed(several)
    assert "| training seed 0 | training seed 1 | mean (range) |" in told and "oracle" not in told
    assert "| vanilla | 90% (60–98) of 10 | 60% (31–83) of 10 | 75 (60–90) |" in told
    cells = training_seeds.by_cell(several)
    assert "**stairs 13 cm**" in cells and "|  | +3 kg | nominal |" in cells and "oracle" not in cells
    assert "| vanilla | 75 (60–90) | 0 |" in cells


def test_episodes_of_several_training_seeds_are_added_up():
    one, other = training_seeds.merged([of_seed(9), of_seed(6)])
    assert (one["condition"], one["successes"], one["episodes"]) == ("+3 kg", 15, 20)
    assert (one["low"], one["high"]) == wilson(15, 20) and (other["successes"], other["episodes"]) == (0, 20)


def test_the_figure_shows_every_seed_and_all_of_them_together(tmp_path, monkeypatch):
    axes = pytest.importorskip("matplotlib.axes")
    drawn, plot = [], axes.Axes.plot

    def recorded(axis, x, y, *look, **more):
        drawn.append((x, look[0] if look else ""))
        return plot(axis, x, y, *look, **more)

    monkeypatch.setattr(axes.Axes, "plot", recorded)
    several = [of_seed(9, ("oracle", "+3 kg", "stairs_13cm", 5)), of_seed(6)]
    training_seeds.figure(several, tmp_path / "seeds.png")
    assert [x for x, look in drawn if look == "|"] == [90.0, 60.0, 0.0, 0.0]
    assert [x for x, look in drawn if look == "o"] == [75.0, 0.0]
    assert (tmp_path / "seeds.png").read_bytes().startswith(b"\x89PNG")
