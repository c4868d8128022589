import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from dynamics_model.dataset import GRAVITY, Dataset, DatasetError, SensorNoise, read_task
from robots.frame import FRAME_SIZE

QUIET = SensorNoise(0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def data(folder):
    return Dataset.read(folder, 3)


def header(path):
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        return json.loads(file.metadata()["dmcm"])


def altered(folder, tmp_path, change=None, **fields):
    """Return a folder with the first task, changed."""
    source = sorted(folder.glob("*.safetensors"))[0]
    tensors, meta = load_file(str(source)), header(source)
    if change:
        change(tensors)
    save_file(tensors, str(tmp_path / source.name), metadata={"dmcm": json.dumps({**meta, **fields})})
    return tmp_path


def test_what_is_read(data):
    assert data.terrains == ["flat", "rough_2", "stairs_10cm"] and len(data.robot_ids) == 32
    assert data.factor_names == ["payload", "kp_scale", "kd_scale"] and data.factor_units == ["kg", "x", "x"]
    assert int((data.grid < 0).sum()) == 1 and data.grid[3, 2] == -1
    # Two segments of 80 and 160 frames: a window needs H - 1 frames before and one after.
    assert data.count.tolist() == [(80 - 3) + (160 - 3)] * 95


def test_windows_hold_their_own_history_and_the_change_that_follows(data, folder):
    task, frames, segment = read_task(sorted(folder.glob("*"))[4])
    index = next(i for i, t in enumerate(data.tasks) if t.path == task.path)
    log = data.log(torch.tensor([index]), 0, 300)
    assert log.weight.sum() == data.count[index] and log.frames.shape == (1, 300, 3 * FRAME_SIZE)
    for k, t in ((0, 2), (76, 78), (77, 82), (100, 105)):  # the 78th window starts the second segment
        assert segment[t - 2] == segment[t + 1]
        torch.testing.assert_close(log.frames[0, k].view(3, FRAME_SIZE), frames[t - 2 : t + 1])
        torch.testing.assert_close(log.targets[0, k], (frames[t + 1] - frames[t])[:30])


def test_random_samples_come_from_their_task_and_window(data):
    tasks = torch.tensor([5, 9])
    early, late = data.sample(tasks, 400, (0.0, 0.5)), data.sample(tasks, 400, (0.5, 1.0))
    for b, task in enumerate(tasks):
        whole = data.log(task[None], 0, int(data.count[task]))
        row = [(whole.frames[0] == sample).all(-1).nonzero().item() for sample in early.frames[b]]
        other = [(whole.frames[0] == sample).all(-1).nonzero().item() for sample in late.frames[b]]
        assert max(row) + 3 < min(other)
        torch.testing.assert_close(early.targets[b], whole.targets[0, row])


def test_noise_has_its_size_is_fresh_and_agrees_within_a_sample(data):
    torch.manual_seed(0)
    noise = SensorNoise()
    tasks = torch.arange(20)
    clean, noisy = data.log(tasks, 0, 200), data.log(tasks, 0, 200, noise)
    difference = (noisy.frames - clean.frames).reshape(-1, 3, FRAME_SIZE)
    for place, size in ((slice(0, 3), 0.02), (slice(6, 18), 0.002), (slice(18, 30), 0.1)):
        assert float(difference[..., place].std()) == pytest.approx(size, rel=0.05)
    assert float(difference[..., 30:].abs().max()) == 0
    torch.testing.assert_close(noisy.frames.reshape(-1, FRAME_SIZE)[:, GRAVITY].norm(dim=-1), torch.ones(20 * 200 * 3))
    # In a log the next window's history and this window's target see the same noise.
    frames = noisy.frames.reshape(20, 200, 3, FRAME_SIZE)
    torch.testing.assert_close(frames[:, :70, 2], frames[:, 1:71, 1])
    change = frames[:, 1:71, 2, :30] - frames[:, :70, 2, :30]
    torch.testing.assert_close(noisy.targets[:, :70], change, atol=1e-5, rtol=0)
    assert not torch.equal(data.log(tasks, 0, 200, noise).frames, noisy.frames)
    torch.testing.assert_close(data.log(tasks, 0, 50, QUIET).frames, clean.frames[:, :50])


def test_held_out_robots_never_train_and_the_nominal_one_always_does(data):
    train, held = data.split(0.25, 3, 0)
    assert len(held) == 8 and not set(train.tolist()) & set(held.tolist())
    assert 0 in train and torch.equal(data.split(0.25, 3, 0)[1], held)
    assert 3 not in data.split(0.9, 0, 2)[1]  # it has no data on stairs
    with pytest.raises(DatasetError, match="leave 1 for training"):
        data.split(1.0, 0, 0)


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        (None, {"schema": 9}, "schema 9, this version reads 1"),
        (None, {"kind": "bank"}, "not a task file"),
        (None, {"terrain": {}}, "lacks 'terrain.name'"),
        (lambda t: t.pop("joint_velocity"), {}, "has no tensor 'joint_velocity'"),
        (lambda t: t["action"].__setitem__((5, 1), float("nan")), {}, "contains NaN"),
        (lambda t: t.update(action=t["action"][:, :11].contiguous()), {}, "'action' has shape"),
        (lambda t: t.update(segment=torch.arange(240, dtype=torch.int32)), {}, "only 0 usable transitions"),
    ],
)
def test_bad_files_are_named_with_a_reason(folder, tmp_path, change, fields, message):
    with pytest.raises(DatasetError, match=message) as error:
        Dataset.read(altered(folder, tmp_path, change, **fields))
    assert "task_00000" in str(error.value)


def test_missing_and_damaged_and_mixed(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such dataset folder"):
        Dataset.read(tmp_path / "none")
    with pytest.raises(DatasetError, match="holds no task"):
        Dataset.read(tmp_path)
    source = sorted(folder.glob("*.safetensors"))[0]
    (tmp_path / "task_00001.safetensors").write_bytes(source.read_bytes()[:1000])
    with pytest.raises(DatasetError, match=r"task_00001.*damaged"):
        Dataset.read(tmp_path)
    altered(folder, tmp_path)
    (tmp_path / "task_00001.safetensors").unlink()
    save_file(
        load_file(str(source)),
        str(tmp_path / "task_00001.safetensors"),
        metadata={"dmcm": json.dumps({**header(source), "robot_digest": "other"})},
    )
    with pytest.raises(DatasetError, match="do not mix datasets"):
        Dataset.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"robot_factors": {"payload": 9.0, "kp_scale": 1.0, "kd_scale": 1.0}}, "is another one"),
     ({"terrain": {"name": "ice", "kind": "flat", "level": 0}}, "is not flat here")],
)  # fmt: skip
def test_one_robot_and_one_terrain_are_the_same_in_all_files(folder, tmp_path, change, words):
    first, second, *_ = sorted(folder.glob("task_*.safetensors"))
    for path in (first, sorted(folder.glob("task_*.safetensors"))[3] if "terrain" in change else second):
        meta = header(path) | (change if path != first else {})
        save_file(load_file(str(path)), str(tmp_path / path.name), metadata={"dmcm": json.dumps(meta)})
    with pytest.raises(DatasetError, match=f"{words}.*, do not mix datasets"):
        Dataset.read(tmp_path)


def test_an_unknown_terrain_is_named(data):
    with pytest.raises(DatasetError, match="no terrain 'moon' among flat"):
        data.terrain_index("moon")
