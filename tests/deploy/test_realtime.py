"""What the system grants is asked for and given back, and what it does not is said in a sentence."""

from __future__ import annotations

import gc
import os
import threading

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


def test_fifo_and_back():
    waiting = threading.Event()
    other = threading.Thread(target=waiting.wait)
    other.start()
    try:
        with Realtime(fifo=10):
            assert (os.sched_getscheduler(0), os.sched_getparam(0).sched_priority) == (os.SCHED_FIFO, 10)
            assert os.sched_getparam(other.native_id).sched_priority == 9
        assert os.sched_getscheduler(0) == os.SCHED_OTHER == os.sched_getscheduler(other.native_id)
    except ValueError as refused:
        assert "SCHED_FIFO is not permitted: add" in str(refused)
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
    monkeypatch.setattr("ctypes.CDLL", lambda *_, **__: type("", (), {"mlockall": staticmethod(lambda _: -1)}))
    with pytest.raises(ValueError, match=r"memory cannot be locked .* memlock unlimited"), Realtime(lock_memory=True):
        pass


@pytest.mark.parametrize(("options", "message"), [({"fifo": 100}, "give 1 to 99"), ({"cpu": 4096}, "no core 4096")])
def test_out_of_range(options, message):
    with pytest.raises(ValueError, match=message), Realtime(**options):
        pass


def test_what_exists_is_left_out_of_collection():
    before = gc.get_freeze_count()
    with steady_memory():
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0
