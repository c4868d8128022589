"""Task files of walking robots, read into one tensor, and batches of noisy windows drawn from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from robots.frame import FRAME, FRAME_SIZE, STATE_SIZE

SCHEMA = 1
GRAVITY = slice(3, 6)
HEADER = ("robot", "robot_digest", "control_dt", "robot_id", "terrain_id", "robot_factors", "terrain", "factor_units")
TORQUE = ("torque", 12)  # N m, what a frame has besides if a model takes it
WINDOW_GAP = 8  # transitions between two windows of a log, so that they share no frame
APART = "do not mix datasets"


class DatasetError(ValueError):
    """A dataset that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class SensorNoise:
    """Standard deviations of white noise that is added to the recorded, noise-free signals.

    Attributes:
        angular_velocity: rad/s.
        projected_gravity: of the unit vector, which stays of unit length.
        joint_position: rad.
        joint_velocity: rad/s.
        joint_torque: N m, where a model takes it.
    """

    angular_velocity: float = 0.02
    projected_gravity: float = 0.005
    joint_position: float = 0.002
    joint_velocity: float = 0.1
    joint_torque: float = 0.3

    def scale(self) -> Tensor:
        """Return the standard deviation of every state value, [STATE_SIZE]."""
        return torch.cat([torch.full((size,), float(getattr(self, name))) for name, size in FRAME if name != "action"])

    def add(self, frames: Tensor) -> Tensor:
        """Return `frames` [..., FRAME_SIZE or more] with noise on states and torques; actions are known exactly."""
        noise = torch.randn(*frames.shape[:-1], STATE_SIZE) * self.scale()
        noisy = frames.clone()
        noisy[..., :STATE_SIZE] += noise
        noisy[..., FRAME_SIZE:] += torch.randn_like(noisy[..., FRAME_SIZE:]) * self.joint_torque
        if self.projected_gravity > 0:
            noisy[..., GRAVITY] /= noisy[..., GRAVITY].norm(dim=-1, keepdim=True).clamp_min(1e-6)
        return noisy


@dataclass(frozen=True)
class Task:
    """One file: one robot on one terrain.

    Attributes:
        path: the file.
        robot_id, terrain_id: which robot and terrain.
        robot_factors: true factors of the robot by name; units in `meta["factor_units"]`.
        terrain: name, kind, level, friction, ...
        meta: the whole header.
    """

    path: Path
    robot_id: int
    terrain_id: int
    robot_factors: dict[str, float]
    terrain: dict[str, Any]
    meta: dict[str, Any]


@dataclass
class Windows:
    """Raw (not normalised) samples of B tasks.

    Attributes:
        frames: histories, oldest first [B, N, H * FRAME_SIZE].
        targets: change of the state over the next step [B, N, STATE_SIZE].
        weight: 0 for padding, else 1 [B, N].
    """

    frames: Tensor
    targets: Tensor
    weight: Tensor | None = None


def read_task(path: Path, torque: bool = False) -> tuple[Task, Tensor, Tensor]:
    """Return a task file's header, frames [T, FRAME_SIZE] and segments int64 [T]; torques at the end if asked for.

    Raises:
        FileNotFoundError: if it does not exist.
        DatasetError: if it is damaged, of another schema, or lacks something.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such task file")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("dmcm", "null"))
            names = set(file.keys())
            signals = (*FRAME, TORQUE) if torque else FRAME
            missing = [name for name in (*(n for n, _ in signals), "segment") if name not in names]
            if missing:
                raise DatasetError(f"{path}: has no tensor '{missing[0]}', collect the dataset again")
            parts = [file.get_tensor(name).float() for name, _ in signals]
            segment = file.get_tensor("segment").long()
    except (SafetensorError, json.JSONDecodeError) as error:
        raise DatasetError(f"{path}: damaged ({error}), delete it and collect again") from error
    task = _task(path, header)
    for (name, size), part in zip(signals, parts, strict=True):
        if part.ndim != 2 or part.shape != (len(segment), size):
            raise DatasetError(f"{path}: '{name}' has shape {tuple(part.shape)}, expected ({len(segment)}, {size})")
    frames = torch.cat(parts, -1)
    if not bool(frames.isfinite().all()):
        raise DatasetError(f"{path}: contains NaN or infinite values, delete it and collect again")
    return task, frames, segment


def task_files(folder: Path) -> list[Path]:
    """Return a dataset's files in order of their names.

    Raises:
        FileNotFoundError: if there is no such folder.
        DatasetError: if it holds no task files.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such dataset folder, run `dmcm collect` first")
    paths = sorted(folder.glob("task_*.safetensors"))
    if not paths:
        raise DatasetError(f"{folder}: holds no task_*.safetensors files, run `dmcm collect` first")
    return paths


def digest(folder: Path) -> str:
    """Return the hash that a dataset's card calls it by: the SHA-256 over its files' own, in order of their names.

    Raises:
        FileNotFoundError, DatasetError: as `task_files`.
    """
    whole = hashlib.sha256()
    for path in task_files(folder):
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def _task(path: Path, header: Any) -> Task:
    if not isinstance(header, dict) or header.get("kind") != "task":
        raise DatasetError(f"{path}: not a task file (no 'dmcm' header of kind 'task')")
    if header.get("schema") != SCHEMA:
        raise DatasetError(f"{path}: schema {header.get('schema')}, this version reads {SCHEMA}: collect again")
    missing = [key for key in HEADER if key not in header]
    if missing or "name" not in header["terrain"]:
        raise DatasetError(f"{path}: its header lacks '{missing[0] if missing else 'terrain.name'}', collect again")
    factors = {name: float(value) for name, value in header["robot_factors"].items()}
    return Task(path, int(header["robot_id"]), int(header["terrain_id"]), factors, header["terrain"], header)


class Dataset:
    """All tasks of a folder in memory.

    Attributes:
        history: frames in a window, H.
        tasks: one entry per file.
        robot, robot_digest, control_dt: which robot and its control period, s.
        robot_ids: ids of the robots, sorted [R].
        terrain_ids, terrains: ids and names of the terrains, sorted by id [K].
        grid: task of robot i on terrain j, -1 where there is none, int64 [R, K].
        factor_names, factor_units, factors: what is known of the robots, [F], [F], float32 [R, F].
        signals: frames of all tasks one after the other [M, FRAME_SIZE].
    """

    def __init__(self, loaded: list[tuple[Task, Tensor, Tensor]], history: int = 3) -> None:
        """Index the tasks as `read_task` returns them.

        Raises:
            DatasetError: if there is none, they are of different robots, or one has no usable transition.
        """
        if not loaded:
            raise DatasetError("dataset: no tasks, run `dmcm collect` first")
        if history < 1:
            raise ValueError(f"history: need at least 1 frame, not {history}")
        self.history = history
        self.tasks = [task for task, _, _ in loaded]
        self._describe()
        self.signals = torch.cat([frames for _, frames, _ in loaded])
        newest, counts, begin = [], [], 0
        for task, frames, segment in loaded:
            rows = _valid_rows(segment, history)
            if len(rows) < 2 * WINDOW_GAP:
                raise DatasetError(f"{task.path}: only {len(rows)} usable transitions, collect it again")
            newest.append(rows + begin)
            counts.append(len(rows))
            begin += len(frames)
        self.newest = torch.cat(newest)
        self.count = torch.tensor(counts)
        self.first = self.count.cumsum(0) - self.count
        self.offsets = torch.arange(1 - history, 2)

    def _describe(self) -> None:
        head = self.tasks[0].meta
        for task in self.tasks:
            for key in ("robot", "robot_digest", "control_dt"):
                if task.meta[key] != head[key]:
                    raise DatasetError(f"{task.path}: {key} is {task.meta[key]}, not {head[key]}: {APART}")
            if task.robot_factors.keys() != self.tasks[0].robot_factors.keys():
                raise DatasetError(f"{task.path}: other robot factors than the other files, {APART}")
        self.robot, self.robot_digest = head["robot"], head["robot_digest"]
        self.control_dt = float(head["control_dt"])
        self.robot_ids = sorted({task.robot_id for task in self.tasks})
        self.terrain_ids = sorted({task.terrain_id for task in self.tasks})
        self.terrains = ["" for _ in self.terrain_ids]
        self.factor_names = list(self.tasks[0].robot_factors)
        self.factor_units = [str(head["factor_units"].get(name, "")) for name in self.factor_names]
        self.factors = torch.zeros(len(self.robot_ids), len(self.factor_names))
        self.grid = torch.full((len(self.robot_ids), len(self.terrain_ids)), -1)
        robot_row = {identity: i for i, identity in enumerate(self.robot_ids)}
        terrain_row = {identity: j for j, identity in enumerate(self.terrain_ids)}
        for index, task in enumerate(self.tasks):
            i, j = robot_row[task.robot_id], terrain_row[task.terrain_id]
            if self.grid[i, j] >= 0:
                raise DatasetError(f"{task.path}: robot {task.robot_id} on terrain {task.terrain_id} occurs twice")
            factors = torch.tensor([task.robot_factors[name] for name in self.factor_names])
            if (self.grid[i] >= 0).any() and not torch.equal(self.factors[i], factors):
                raise DatasetError(
                    f"{task.path}: robot {task.robot_id} is another one than in the files before, {APART}"
                )
            if self.terrains[j] not in ("", task.terrain["name"]):
                raise DatasetError(f"{task.path}: terrain {task.terrain_id} is not {self.terrains[j]} here, {APART}")
            self.grid[i, j] = index
            self.terrains[j] = str(task.terrain["name"])
            self.factors[i] = factors

    @classmethod
    def read(cls, folder: Path, history: int = 3, torque: bool = False) -> Dataset:
        """Return the dataset in `folder`; with `torque` the frames end with the joint torques.

        Raises:
            FileNotFoundError: if there is no such folder.
            DatasetError: if it holds no task files, or one of them is unusable.
        """
        return cls([read_task(path, torque) for path in task_files(folder)], history)

    def terrain_index(self, name: str = "flat") -> int:
        """Return the column of the terrain called `name`.

        Raises:
            DatasetError: if there is none.
        """
        if name not in self.terrains:
            raise DatasetError(f"dataset: no terrain '{name}' among {', '.join(self.terrains)}")
        return self.terrains.index(name)

    def split(self, held_out: float, seed: int, terrain: int) -> tuple[Tensor, Tensor]:
        """Return rows of the training and of the held-out robots, all with data on the column `terrain`.

        Robot 0 is the nominal one and always trains.

        Raises:
            DatasetError: if fewer than two robots would train.
        """
        rows = [i for i in range(len(self.robot_ids)) if bool((self.grid[i] >= 0).any())]
        candidates = [i for i in rows if self.robot_ids[i] != 0 and self.grid[i, terrain] >= 0]
        order = torch.randperm(len(candidates), generator=torch.Generator().manual_seed(seed))
        chosen = {candidates[k] for k in order[: round(held_out * len(candidates))]}
        train = torch.tensor([i for i in rows if i not in chosen])
        if len(train) < 2:
            raise DatasetError(f"dataset: {len(rows)} robots leave {len(train)} for training, collect more")
        return train, torch.tensor(sorted(chosen), dtype=torch.long)

    def sample(
        self, tasks: Tensor, count: int, window: tuple[float, float] = (0.0, 1.0), noise: SensorNoise | None = None
    ) -> Windows:
        """Return `count` random samples of each of the `tasks` [B], with fresh noise on each.

        Args:
            tasks: indices of tasks.
            count: samples per task, N.
            window: part of every log to draw from; windows that touch share no frame.
            noise: sensor noise; the frames of one sample and its target see the same.
        """
        total = self.count[tasks, None]
        low = (window[0] * total).long() + (WINDOW_GAP // 2 if window[0] > 0 else 0)
        high = (window[1] * total).long() - (WINDOW_GAP // 2 if window[1] < 1 else 0)
        draw = low + (torch.rand(len(tasks), count) * (high - low)).long()
        rows = self.newest[self.first[tasks, None] + torch.minimum(draw, high - 1)]
        frames = self.signals[rows[..., None] + self.offsets]
        return self._windows(noise.add(frames) if noise else frames)

    def log(self, tasks: Tensor, begin: int = 0, count: int = 800, noise: SensorNoise | None = None) -> Windows:
        """Return the transitions begin .. begin + count of each task, with noise as one robot's log has it.

        Tasks with fewer transitions are padded with weight 0.
        """
        place = torch.arange(begin, begin + count)
        valid = place < self.count[tasks, None]
        rows = self.newest[self.first[tasks, None] + torch.minimum(place, self.count[tasks, None] - 1)]
        if noise is None:
            frames = self.signals[rows[..., None] + self.offsets]
        else:
            logs = []
            for row in rows:
                low, high = row.min() + self.offsets[0], row.max() + 2
                logs.append(noise.add(self.signals[low:high])[row[:, None] - low + self.offsets])
            frames = torch.stack(logs)
        windows = self._windows(frames)
        windows.weight = valid.float()
        return windows

    def _windows(self, frames: Tensor) -> Windows:
        targets = frames[..., -1, :STATE_SIZE] - frames[..., -2, :STATE_SIZE]
        return Windows(frames[..., :-1, :].flatten(-2), targets)


def _valid_rows(segment: Tensor, history: int) -> Tensor:
    """Return the frames t for which t-history+1 .. t+1 lie in one segment."""
    if len(segment) <= history:
        return torch.zeros(0, dtype=torch.long)
    whole = segment.unfold(0, history + 1, 1)
    return (whole == whole[:, :1]).all(-1).nonzero()[:, 0] + history - 1
