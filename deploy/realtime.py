"""What the operating system grants a control loop: a scheduling class, a core of its own, memory that stays."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType

_LOCK_NOW_AND_LATER = 1 | 2  # MCL_CURRENT | MCL_FUTURE


@contextmanager
def steady_memory() -> Iterator[None]:
    """Keep what exists out of the garbage collector's rounds: with all of onnxruntime and MuJoCo one takes 10-30 ms."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def step_back() -> None:
    """Let the calling thread give way to the control loop whose thread began it, and passed its class on to it."""
    if hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) == os.SCHED_FIFO:
        priority = max(1, os.sched_getparam(0).sched_priority - 1)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))


@dataclass
class Realtime:
    """A context in which the calling thread runs as asked for; what was before returns at its end.

    Attributes:
        fifo: SCHED_FIFO priority, 1 to 99, with memory that is not swapped out; 0 leaves both. The process's other
            threads get one less: the one that holds the interpreter when the loop wakes must be let run.
        cpu: the core to stay on; None is any.

    Raises:
        ValueError: on entering, if the system does not permit it, with the remedy.
    """

    fifo: int = 0
    cpu: int | None = None
    _before: dict[int, tuple[int, int]] = field(default_factory=dict, init=False, repr=False)
    _cores: set[int] = field(default_factory=set, init=False, repr=False)

    def __enter__(self) -> Realtime:
        """Ask for everything, or for nothing if one part is refused."""
        try:
            if self.fifo:
                self._set_fifo()
                _lock_memory()
            if self.cpu is not None:
                self._pin(self.cpu)
        except ValueError:
            self._restore()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Return to what was before."""
        self._restore()

    def _set_fifo(self) -> None:
        if not 1 <= self.fifo <= 99:
            raise ValueError(f"SCHED_FIFO priority {self.fifo} is out of range: give 1 to 99")
        mine = _threads()[0]
        for thread in _threads():
            priority = self.fifo if thread == mine else max(1, self.fifo - 1)
            try:
                before = os.sched_getscheduler(thread), os.sched_getparam(thread).sched_priority
                os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(priority))
            except ProcessLookupError:  # a thread that has ended meanwhile
                continue
            except PermissionError:
                raise ValueError(
                    f"SCHED_FIFO is not permitted: add '{_user()} - rtprio 99' to /etc/security/limits.conf and log in "
                    "again, or leave it out"
                ) from None
            self._before[thread] = before

    def _pin(self, cpu: int) -> None:
        cores = os.sched_getaffinity(0)
        if cpu not in cores:
            raise ValueError(f"there is no core {cpu} for this process: choose one of {sorted(cores)}")
        self._cores = cores
        os.sched_setaffinity(0, {cpu})

    def _restore(self) -> None:
        if self._before:
            ctypes.CDLL(None).munlockall()
        for thread, (policy, priority) in self._before.items():
            with suppress(OSError):
                os.sched_setscheduler(thread, policy, os.sched_param(priority))
        if self._cores:
            os.sched_setaffinity(0, self._cores)
        self._before, self._cores = {}, set()


def _threads() -> list[int]:
    """Return the ids of the process's threads, the calling one first."""
    import threading

    mine = threading.get_native_id()
    return [mine, *(t for t in map(int, os.listdir("/proc/self/task")) if t != mine)]


def _lock_memory() -> None:
    if ctypes.CDLL(None, use_errno=True).mlockall(_LOCK_NOW_AND_LATER):
        reason = os.strerror(ctypes.get_errno())
        raise ValueError(
            f"memory cannot be locked ({reason}): add '{_user()} - memlock unlimited' to /etc/security/limits.conf and "
            "log in again, or leave it out"
        )


def _user() -> str:
    return os.environ.get("USER", "robot")
