"""What the system grants is asked for and given back, and what it does not is said in a sentence."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

from deploy.realtime import Realtime, steady_memory


def test_nothing_asked_nothing_changed():
    before = os.sched_getscheduler(0), os.sched_getaffinity(0)
    with Realtime():
        assert (os.sched_getscheduler(0), os.sched_getaffinity(0)) == before


def test_pinned_and_back():
    cores = os.sched_getaffinity(0)
    with Realtime(cpu=min(cores)):
        assert os.sched_getaffinity(0) == {min(cores)}
    assert os.sched_getaffinity(0) == cores


def _locked_memory() -> int:
    """Return how much of this process's memory is locked, kB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmLck"))


def test_fifo_and_back():
    waiting = threading.Event()
    other = threading.Thread(target=waiting.wait)
    other.start()
    try:
        with Realtime(fifo=10):
            assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == (os.SCHED_FIFO, 10)
            assert os.sched_getparam(other.native_id).sched_priority == 9
            assert _locked_memory() > 0
        assert os.sched_getscheduler(0) == os.SCHED_OTHER == os.sched_getscheduler(other.native_id)
        assert _locked_memory() == 0
    except ValueError as refused:
        assert "limits.conf" in str(refused)
    finally:
        waiting.set()
        other.join()


def test_refused_with_a_remedy(monkeypatch):
    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    with (
        pytest.raises(ValueError, match=r"not permitted: add '.* - rtprio 99' to /etc/security/limits.conf"),
        Realtime(fifo=10),
    ):
        pass


def test_memory_that_cannot_be_locked_is_refused_and_the_class_given_back(monkeypatch):
    mine, before, asked = threading.get_native_id(), os.sched_getscheduler(0), []
    monkeypatch.setattr(os, "sched_setscheduler", lambda thread, policy, _: asked.append((thread, policy)))
    library = {"mlockall": staticmethod(lambda _: -1), "munlockall": staticmethod(lambda: 0)}
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: type("", (), library))
    with pytest.raises(ValueError, match=r"memory cannot be locked .* memlock unlimited"), Realtime(fifo=10):
        pass
    assert [policy for thread, policy in asked if thread == mine] == [os.SCHED_FIFO, before]


@pytest.mark.parametrize(("options", "message"), [({"fifo": 100}, "give 1 to 99"), ({"cpu": 4096}, "no core 4096")])
def test_out_of_range(options, message):
    with pytest.raises(ValueError, match=message), Realtime(**options):
        pass


def test_what_exists_is_left_out_of_collection():
    before = gc.get_freeze_count()
    with steady_memory():
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0
