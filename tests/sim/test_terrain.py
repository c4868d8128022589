from itertools import pairwise

import mujoco
import numpy as np
import pytest

import robots
from sim import scene, shapes, terrain
from sim.terrain import CELL, KINDS, LEVELS, TERRAINS, TILE, TerrainWorld

BOXED = [kind for kind, ground in TERRAINS.items() if ground.boxes]
FIELDS = [kind for kind, ground in TERRAINS.items() if ground.field]


@pytest.fixture(scope="module")
def world():
    return TerrainWorld()


def height(world, x, y):
    return world.heights[int(x / CELL), int(y / CELL)]


@pytest.mark.parametrize("kind", ["stairs", "pyramid_stairs"])
def test_stairs_have_the_rise_that_their_level_says(world, kind):
    for level in range(LEVELS):
        x, y = terrain.tile_center(kind, level)
        edge = x - shapes.PLATEAU / 2 - (shapes.NUM_STEPS - 1) * shapes.STEP_DEPTH
        treads = [height(world, edge + (i + 0.5) * shapes.STEP_DEPTH, y) for i in range(shapes.NUM_STEPS - 1)]
        assert np.allclose(np.diff([0.0, *treads]), terrain.stair_rise(level), atol=1e-6)


def test_an_inverted_pyramid_climbs_from_its_floor_to_all_sides(world):
    for level in (0, 7):
        tile = world.tile_heights("pyramid_stairs_inv", level)
        middle = len(tile) // 2
        for way in (tile[middle:, middle], tile[:middle, middle][::-1], tile[middle, middle:], tile[middle, :middle]):
            steps = np.unique(np.round(way, 6))
            assert np.allclose(steps, terrain.stair_rise(level) * np.arange(shapes.NUM_STEPS + 1), atol=1e-6)
        assert tile[middle, middle] == 0.0


def test_slopes_have_the_inclination_that_their_level_says(world):
    for kind, sign in (("slope", 1.0), ("slope_inv", -1.0)):
        for level in range(LEVELS):
            tile = world.tile_heights(kind, level)[:, 90]
            rise = np.diff(tile)[35:70] / CELL  # within the ramp on the left
            assert np.allclose(rise, sign * np.tan(terrain.slope_angle(level)), atol=1e-6)


def test_gaps_are_as_wide_as_their_level_says_and_deep(world):
    for level in (0, 3, 7):
        tile = world.tile_heights("gaps", level, 0.01)[:, 0]
        edges = np.flatnonzero(np.diff(tile))
        widths = np.diff(edges)[::2] * 0.01
        assert len(widths) == 2 * shapes.GAPS
        assert np.allclose(widths, terrain.gap_width(level), atol=0.011)
        assert np.ptp(tile) == pytest.approx(shapes.PIT)


def test_stepping_stones_are_as_far_apart_as_their_level_says():
    world = TerrainWorld(kinds=("stepping_stones",))
    for level in range(LEVELS):
        stones = world.tiles["stepping_stones", level][4:]
        along = sorted({round(s.center[0], 6) for s in stones})
        assert all(b - a == pytest.approx(shapes.STONE_SPACING) for a, b in pairwise(along))
        assert np.allclose([2 * s.half[0] for s in stones], shapes.STONE_SPACING - terrain.stone_gap(level))
        tops = np.array([2 * s.half[2] for s in stones]) - shapes.PIT
        assert np.abs(tops).max() <= 0.1 * terrain.stone_gap(level)


def test_waves_are_as_high_as_their_level_says_and_end_at_the_rim(world):
    for level in range(LEVELS):
        tile = world.tile_heights("waves", level)
        assert tile.max() == pytest.approx(terrain.wave_height(level), rel=0.06)
        assert np.abs(np.concatenate([tile[0], tile[-1], tile[:, 0], tile[:, -1]])).max() < 0.02


@pytest.mark.parametrize("kind", [*BOXED, *FIELDS])
def test_the_physics_has_the_heights_that_are_looked_up(world, kind):
    """Rays from above meet every level's tile, as a simulation holds it, where the grid says that it is."""
    alone = TerrainWorld(kinds=(kind,))
    model = scene.training_model(robots.load("go1"), alone)
    tiles, rng, row = scene.tile_shapes(alone), np.random.default_rng(0), KINDS.index(kind)
    model.geom_conaffinity[model.geom("plane").id] = 0
    for level in (0, LEVELS // 2, LEVELS - 1):
        for slot in range(tiles.slots):
            geom = model.geom(scene.tile_geom(slot))
            geom.pos, geom.size = tiles.pos[row, level, slot], tiles.size[row, level, slot]
            geom.quat = tiles.quat[row, level, slot]
        data = mujoco.MjData(model)
        data.qpos[0] = -100.0
        mujoco.mj_forward(model, data)
        # Points in the middle of the grid's cells, where it has the height of that very point.
        cell = rng.integers(4, round(TILE / CELL) - 4, (60, 2))
        place = alone.tile_heights(kind, level)[cell[:, 0], cell[:, 1]]
        shift = level * TILE if kind in FIELDS else 0.0
        for (i, j), expected in zip(cell, place, strict=True):
            start = np.array([shift + (i + 0.5) * CELL, row * TILE + (j + 0.5) * CELL, 3.0])
            distance = mujoco.mj_ray(model, data, start, [0.0, 0.0, -1.0], None, 1, -1, np.zeros(1, np.int32))
            assert 3.0 - distance == pytest.approx(expected, abs=0.003), (kind, level, start)


@pytest.mark.parametrize("kind", [*BOXED, *FIELDS])
def test_every_kind_gets_harder(world, kind):
    values = [TERRAINS[kind].value(level) for level in range(LEVELS)]
    assert np.all(np.diff(values) > 0)
    assert not np.array_equal(world.tile_heights(kind, 0), world.tile_heights(kind, LEVELS - 1))


def test_a_kind_has_as_many_boxes_at_every_level(world):
    for kind in BOXED:
        assert len({len(world.tiles[kind, level]) for level in range(LEVELS)}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_robots_start_on_level_ground_within_their_tile(world, kind):
    """Where robots start is room for their feet on one level, and it lies within the tile."""
    ground = TERRAINS[kind]
    if ground.start == "anywhere":
        return
    for level in range(LEVELS):
        x = 0.0 if ground.start == "centre" else ground.reach(level) + 0.7
        assert x < TILE / 2 - 0.2  # beyond that, an episode ends
        tile = world.tile_heights(kind, level)
        columns = np.arange(round((x - 0.3 + TILE / 2) / CELL), min(len(tile), round((x + 0.3 + TILE / 2) / CELL)))
        assert np.ptp(tile[columns][:, 80:100]) < 1e-6, (kind, level)


def test_flat_ground_is_flat(world):
    cells = round(TILE / CELL)
    row = KINDS.index("flat")
    assert np.abs(world.heights[:, row * cells : (row + 1) * cells]).max() == 0.0


def test_a_world_of_some_kinds_has_them_where_and_as_the_world_of_all_has_them(world):
    some = TerrainWorld(kinds=("stairs", "rough", "blocks"))
    assert {kind for kind, _ in some.tiles} == {"stairs", "blocks"} and set(some.fields) == {"rough"}
    assert all(some.tiles[tile] == world.tiles[tile] for tile in some.tiles)
    assert np.array_equal(some.fields["rough"], world.fields["rough"])
    cells = round(TILE / CELL)
    for kind in KINDS:
        rows = slice(KINDS.index(kind) * cells, (KINDS.index(kind) + 1) * cells)
        expected = world.heights[:, rows] if kind in some.kinds else 0.0
        assert np.array_equal(some.heights[:, rows], expected * np.ones_like(some.heights[:, rows]))


def test_what_was_trained_on_has_not_moved():
    assert KINDS[:5] == ("rough", "slope", "stairs", "blocks", "flat")
    world = TerrainWorld(kinds=KINDS[:5])
    assert world.tiles["blocks", 3][2].center == pytest.approx((1.69412, -1.40322, 0.03965), abs=1e-5)
    assert world.fields["rough"][40, 500] == pytest.approx(0.0248155, abs=1e-6)


def test_names_are_unique_but_for_flat_ground():
    names = [terrain.name(kind, level) for kind in KINDS for level in range(LEVELS) if kind != "flat"]
    assert len(set(names)) == len(names)
    assert terrain.name("stairs", 5) == "stairs_13cm"
    assert terrain.name("flat", 3) == "flat"


def test_a_new_kind_names_a_kin_that_was_trained_on():
    for kind in KINDS:
        kin = TERRAINS[kind].kin
        assert (kin is None) == (kind in KINDS[:5])
        assert kin is None or kin in KINDS[:5]


@pytest.mark.parametrize(
    ("shares", "message"),
    [({"stair": 1.0}, "no terrain 'stair'"), ({"stairs": 0.0}, "zero"), ({"stairs": 1.0, "flat": -0.1}, "flat")],
)
def test_shares_that_make_no_sense_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        terrain.used_kinds(shares)


def test_only_kinds_with_a_share_are_used():
    assert terrain.used_kinds({"stairs": 0.5, "flat": 0.0, "rough": 0.5}) == ("rough", "stairs")


def test_terrains_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from sim.terrain_picture import draw

    draw(tmp_path / "some.png", ("gaps", "flat"))
    assert (tmp_path / "some.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(ValueError, match="no terrain 'stair'"):
        draw(tmp_path / "none.png", ("stair",))
    with pytest.raises(ValueError, match=r"cannot write .*none\.xyz"):
        draw(tmp_path / "none.xyz", ("flat",))
    assert not (tmp_path / "none.xyz").exists()
