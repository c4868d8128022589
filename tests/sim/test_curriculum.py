import pytest

pytest.importorskip("torch")
import torch

from sim.batched import Draw, Part
from sim.config import TerrainConfig
from sim.curriculum import Curriculum
from sim.terrain import KINDS, LEVELS, TILE, tile_center

CPU = torch.device("cpu")


def curriculum(kind, level, count=1):
    made = Curriculum(TerrainConfig(shares={kind: 1.0}), count, Draw(0, CPU))
    made.level[:] = level
    everyone = Part(torch.ones(count, dtype=torch.bool))
    made.place(everyone)
    return made, everyone


@pytest.mark.parametrize(
    ("kind", "start", "end", "commanded", "fallen", "level"),
    [
        ("stairs", -3.0, 1.6, 5.0, False, 4),  # far enough
        ("stairs", -3.0, 1.6, 5.0, True, 3),  # but it fell
        ("stairs", -3.0, 1.0, 5.0, False, 3),  # not far enough, more than half of the way
        ("stairs", -3.0, -1.0, 5.0, False, 2),  # less than half of the way
        ("stairs", 0.0, 4.35, 5.0, False, 4),  # off the tile
        ("slope", -4.0, -4.35, 0.5, False, 3),  # off the tile by a step backwards
        ("flat", 0.0, 4.35, 5.0, False, 3),  # flat ground has no end
    ],
)
def test_levels_follow_the_way(kind, start, end, commanded, fallen, level):
    made, everyone = curriculum(kind, 3)
    x, y = tile_center(kind, 3)
    made.start[:] = torch.tensor([x + start, y])
    made.update(everyone, torch.tensor([[x + end, y]]), torch.tensor([commanded]), torch.tensor([fallen]))
    assert made.level.tolist() == [level]


def test_the_last_level_leads_to_any_and_the_first_to_itself():
    made, everyone = curriculum("stairs", LEVELS - 1, 200)
    far, nobody = made.start + torch.tensor([5.0, 0.0]), torch.zeros(200, dtype=torch.bool)
    made.update(everyone, far, torch.full((200,), 5.0), nobody)
    assert set(made.level.tolist()) == set(range(LEVELS))
    made.level[:] = 0
    made.update(everyone, made.start, torch.full((200,), 5.0), nobody)
    assert not made.level.any()


@pytest.mark.parametrize("kind", KINDS)
def test_robots_start_well_inside_their_tile_and_levels_stay_when_it_is_off(kind):
    made, everyone = curriculum(kind, 2, 100)
    away = (made.start - torch.tensor(tile_center(kind, 2))).abs()
    assert away.max() <= TILE / 2 - 0.5 + 1e-4 and not made.outside(made.start).any()
    made.config.curriculum = False
    made.update(everyone, made.start + 6.0, torch.full((100,), 5.0), torch.zeros(100, dtype=torch.bool))
    assert (made.level == 2).all() and made.mean_levels()[KINDS.index(kind)] == 2.0


def test_a_part_by_mask_writes_what_a_part_by_rows_does(monkeypatch):
    mask = torch.tensor([True, False, True])
    by_rows = Part(mask)
    monkeypatch.setattr("sim.batched.ROWS_ON", ())
    by_mask = Part(mask)
    assert (by_rows.count, by_mask.count) == (2, 3)
    for shape in ((3,), (3, 2), (3, 2, 2)):
        values, left, right = torch.rand(shape), torch.zeros(shape), torch.zeros(shape)
        by_rows.put(left, values[mask])
        by_mask.put(right, values)
        assert torch.equal(left, right) and not left[1].any()
        by_rows.put(left, 7.0)
        by_mask.put(right, 7.0)
        assert torch.equal(left, right)
