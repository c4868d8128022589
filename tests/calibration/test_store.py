"""The contexts of a robot on disk: kept, chosen, undone, and never half written."""

import json

import pytest

from calibration import context_file
from calibration.errors import RefusedError
from calibration.store import ContextStore

CONTENT = {"robot_context": [1.0, 2.0], "readings": []}


@pytest.fixture
def store(tmp_path):
    return ContextStore(tmp_path / "contexts", "go1", "A/1 b")


def test_what_is_saved_is_in_use_and_carries_the_serial(store):
    assert store.current() is None
    path = store.save(CONTENT)
    assert store.current() == path and path.parent.name == "go1-A_1_b"
    assert json.loads(path.read_text()) == {**CONTENT, "serial": "A/1 b"}


def test_undo_goes_back_step_by_step_and_keeps_the_files(store):
    first, second = store.save(CONTENT), store.save(CONTENT)
    assert first != second and store.current() == second
    assert store.undo() == first and store.undo() is None
    with pytest.raises(RefusedError, match="nothing to undo"):
        store.undo()
    assert [entry.path for entry in store.entries()] == sorted([first, second])
    assert not any(entry.current for entry in store.entries())


def test_a_failed_save_leaves_the_one_in_use(store, monkeypatch):
    first = store.save(CONTENT)
    write = context_file.write

    def full(content, path):
        if path.name == "current":
            raise RefusedError("no space")
        write(content, path)

    monkeypatch.setattr(context_file, "write", full)
    with pytest.raises(RefusedError, match="no space"):
        store.save(CONTENT)
    assert store.current() == first and len(store.entries()) == 1


def test_a_changed_or_missing_context_is_not_used(store):
    path = store.save(CONTENT)
    path.write_text(path.read_text().replace("1.0", "9.0"))
    with pytest.raises(RefusedError, match="was changed since it was accepted"):
        store.current()
    path.unlink()
    with pytest.raises(RefusedError, match=r"is missing.*--undo"):
        store.current()
    (store.folder / "current").write_text("{")
    with pytest.raises(RefusedError, match="current is damaged"):
        store.current()


def test_the_only_robot_needs_no_serial(tmp_path):
    with pytest.raises(RefusedError, match="no context of a go1"):
        ContextStore.find(tmp_path, "go1")
    ContextStore(tmp_path, "go1", "A").save(CONTENT)
    assert ContextStore.find(tmp_path, "go1").current() is not None
    ContextStore(tmp_path, "go1", "B").save(CONTENT)
    with pytest.raises(RefusedError, match="give --serial"):
        ContextStore.find(tmp_path, "go1")
    assert ContextStore.find(tmp_path, "go1", "B").folder.name == "go1-B"


def test_a_damaged_context_is_named(store):
    store.save(CONTENT).write_text("{")
    with pytest.raises(RefusedError, match="is damaged"):
        store.entries()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match="cannot be kept"):
        ContextStore(tmp_path / "file", "go1", "A").save(CONTENT)
