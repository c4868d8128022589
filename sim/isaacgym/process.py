"""Starts Isaac Gym's worker in its own interpreter, speaks with it, and says in one sentence what stopped it."""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import IO, Any

import numpy as np

from sim.isaacgym import worker

START_SECONDS = 600.0  # to load Isaac Gym, which compiles its bridge to torch the first time, and to make all robots
STEP_SECONDS = 60.0
END_SECONDS = 5.0
HELP = "docs/isaacgym.md says how to install it"


class WorkerError(OSError):
    """What stopped the worker, and what to do."""


def interpreter(given: Path | None) -> Path:
    """Return the interpreter that has Isaac Gym: the given one, or DMCM_ISAACGYM_PYTHON.

    Raises:
        WorkerError: if none is named, or there is none.
    """
    named = given or os.environ.get("DMCM_ISAACGYM_PYTHON")
    if not named:
        how = "give --env.isaacgym-python PATH or set DMCM_ISAACGYM_PYTHON"
        raise WorkerError(f"Isaac Gym needs an interpreter of its own (Python 3.8): {how}; {HELP}")
    path = Path(named).expanduser().absolute()  # not resolved: a virtual environment's python is a link
    if not path.is_file() or not os.access(path, os.X_OK):
        how = "give --env.isaacgym-python or DMCM_ISAACGYM_PYTHON the python of the environment with Isaac Gym"
        raise WorkerError(f"there is no interpreter at {path}: {how}")
    return path


class Worker:
    """A running worker and the block of memory shared with it.

    Args:
        python: an interpreter with isaacgym, torch and numpy.
        setup: what `worker.Robots` needs to know; its `num_envs` sizes the block.
        urdf: the robot.
        mesh: vertices (v, 3) and triangles (t, 3) of the terrain.

    Attributes:
        given: INPUT, (num_envs, width) float32; the trainer's to write.
        made: OUTPUT, (num_envs, width) float32.
        device: where the simulation runs.

    Raises:
        WorkerError: if it does not start.
    """

    def __init__(self, python: Path, setup: dict[str, Any], urdf: str, mesh: tuple[np.ndarray, np.ndarray]) -> None:
        block, memory = _shared_block(setup["num_envs"])
        self.given, self.made = worker.views(block, setup["num_envs"])
        self.channel, other = socket.socketpair()
        self.log, self.advice = tempfile.TemporaryFile(), f"; {HELP}"
        with other, memory, _setup_file(setup, urdf, mesh) as described:
            self.process = self._start(python, other.fileno(), memory.fileno(), described.fileno())
        self._finalizer = weakref.finalize(self, _end, self.process, self.channel)
        words = self._answer(START_SECONDS, "did not start")
        self.device, self.advice = json.loads(words.removeprefix("ready "))["device"], ""

    def _start(self, python: Path, *descriptors: int) -> subprocess.Popen:
        words = [python, worker.__file__, *descriptors, os.getpid()]
        try:
            return subprocess.Popen(
                list(map(str, words)),
                stdin=subprocess.DEVNULL,
                stdout=self.log,
                stderr=self.log,
                pass_fds=descriptors,
                env=_environment(python),
                start_new_session=True,  # Ctrl-C is for the trainer, which ends the worker after its checkpoint
            )
        except OSError as problem:
            raise WorkerError(f"cannot start {python}: {problem.strerror}; {HELP}") from None

    def step(self) -> None:
        """Advance by one control period.

        Raises:
            WorkerError: if the worker has died, failed or takes too long.
        """
        try:
            self.channel.sendall(b"s")
        except OSError:
            raise self._obituary("died") from None
        self._answer(STEP_SECONDS, "died")

    def close(self) -> None:
        """End the worker."""
        self._finalizer()

    def _answer(self, seconds: float, what: str) -> str:
        """Return the worker's line; `what` happened if there is none."""
        self.channel.settimeout(seconds)
        line = b""
        try:
            while not line.endswith(b"\n"):
                part = self.channel.recv(4096)
                if not part:
                    raise self._obituary(what)
                line += part
        except TimeoutError:
            self.close()
            hint = "the GPU may be out of memory or hang: look at nvidia-smi, or try fewer --env.num-envs"
            raise WorkerError(f"the Isaac Gym worker gave no answer for {seconds:.0f} s: {hint}") from None
        except ConnectionError:
            raise self._obituary(what) from None
        text = line.decode().strip()
        if text.startswith("error "):
            self.close()
            raise WorkerError(f"Isaac Gym: {text.removeprefix('error ')}{self.advice}")
        return text

    def _obituary(self, what: str) -> WorkerError:
        """Return how the worker ended, with the last line that it wrote."""
        self.close()
        code = self.process.returncode
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self.log.seek(0)
        lines = [line for line in self.log.read().decode(errors="replace").splitlines() if line.strip()]
        said = f": {lines[-1].strip()}" if lines else ""
        return WorkerError(f"the Isaac Gym worker {what} ({how}){said}{self.advice}")


def _shared_block(num_envs: int) -> tuple[mmap.mmap, IO[bytes]]:
    """Return a block in memory and its file, which has no name: nothing is left of it when both processes end."""
    shared = "/dev/shm"
    file = tempfile.TemporaryFile(dir=shared if os.access(shared, os.W_OK) else None)
    file.truncate(worker.size(num_envs))
    block = mmap.mmap(file.fileno(), 0)
    worker.HEADER.pack_into(block, 0, worker.MAGIC, worker.VERSION, num_envs)
    return block, file


def _setup_file(setup: dict[str, Any], urdf: str, mesh: tuple[np.ndarray, np.ndarray]) -> IO[bytes]:
    """Return a file without a name that tells the worker what to simulate, at its beginning."""
    file = tempfile.TemporaryFile()
    vertices, triangles = mesh[0].astype(np.float32), mesh[1].astype(np.uint32)
    np.savez(file, setup=json.dumps(setup), urdf=urdf, vertices=vertices, triangles=triangles)
    file.seek(0)
    return file


def _environment(python: Path) -> dict[str, str]:
    """Return the environment in which Isaac Gym finds libpython, which conda keeps beside the interpreter."""
    library = [str(python.parent.parent / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]
    return {**os.environ, "LD_LIBRARY_PATH": os.pathsep.join(filter(None, library))}


def _end(process: subprocess.Popen, channel: socket.socket) -> None:
    """Close the channel, at which the worker ends, and see that it does."""
    channel.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
