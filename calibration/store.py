"""The contexts of each robot on disk: every one that was accepted, which is current, and the way back.

contexts/go2-B42D1/2026-11-21T074105Z.json    a context file (`calibration.context_file`) with the robot's serial
contexts/go2-B42D1/current                    JSON: the names accepted, the latest last, with their SHA-256
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from calibration import context_file
from calibration.errors import RefusedError

CURRENT = "current"
UNKNOWN = "unknown"  # serial of a robot that does not tell


@dataclass(frozen=True)
class Entry:
    """A context in the store.

    Attributes:
        path: the file.
        content: of the file.
        current: whether it is the one that was accepted last, `undo` aside.
    """

    path: Path
    content: dict[str, Any]
    current: bool


class ContextStore:
    """The contexts of one robot.

    Args:
        root: folder of all robots' contexts.
        robot: name of the robot.
        serial: of this robot, "" if it does not tell.

    Attributes:
        folder: of this robot's contexts.
    """

    def __init__(self, root: str | Path, robot: str, serial: str = "") -> None:
        self.serial = serial or UNKNOWN
        self.folder = Path(root) / f"{robot}-{re.sub(r'[^A-Za-z0-9_.-]', '_', self.serial)}"

    @classmethod
    def find(cls, root: str | Path, robot: str, serial: str = "") -> ContextStore:
        """Return the store of a robot that is not at hand: of the serial, or of the only robot of that name.

        Raises:
            RefusedError: if there is none, or several and no serial to choose by.
        """
        folders = [path.name for path in sorted(Path(root).glob(f"{robot}-*")) if path.is_dir()]
        if serial:
            folders = [name for name in folders if name == cls(root, robot, serial).folder.name]
        if not folders:
            raise RefusedError(
                f"there is no context of a {robot} {serial} in {root}".replace("  ", " ") + ": calibrate first"
            )
        if len(folders) > 1:
            raise RefusedError(f"{root} has contexts of several robots ({', '.join(folders)}): give --serial")
        return cls(root, robot, folders[0].removeprefix(f"{robot}-"))

    def save(self, content: Mapping[str, Any]) -> Path:
        """Keep a context, make it the one in use, and return its file; those before stay.

        Raises:
            RefusedError: if it cannot be written; then the one in use stays.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RefusedError(
                f"contexts cannot be kept in {self.folder} ({error.strerror}): give another folder"
            ) from error
        used = self._used()
        path = self._free_name(datetime.now(timezone.utc))
        context_file.write({**content, "serial": self.serial}, path)
        try:
            self._use([*used, {"file": path.name, "sha256": _sha256(path)}])
        except RefusedError:
            path.unlink()
            raise
        return path

    def current(self) -> Path | None:
        """Return the current context, None if there is none: the nominal one.

        Raises:
            RefusedError: if it is missing or was changed since it was kept.
        """
        used = self._used()
        if not used:
            return None
        path = self.folder / used[-1]["file"]
        if not path.is_file():
            raise RefusedError(f"context {path} is missing: go back with `dmcm field --undo` or calibrate again")
        if _sha256(path) != used[-1]["sha256"]:
            raise RefusedError(
                f"context {path} was changed since it was accepted: go back with `dmcm field --undo` or calibrate again"
            )
        return path

    def undo(self) -> Path | None:
        """Go back to the context used before and return it, None if that is the nominal one.

        Raises:
            RefusedError: if none is in use.
        """
        used = self._used()
        if not used:
            raise RefusedError(f"there is nothing to undo: no context of this robot is in use in {self.folder}")
        self._use(used[:-1])
        return self.current()

    def entries(self) -> list[Entry]:
        """Return all contexts of this robot, the oldest first."""
        used = self._used()
        now = used[-1]["file"] if used else None
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                found.append(Entry(path, json.loads(path.read_text(encoding="utf-8")), path.name == now))
            except (OSError, ValueError) as error:
                raise RefusedError(f"context {path} is damaged: remove it, or bring it back from a copy") from error
        return found

    def _free_name(self, now: datetime) -> Path:
        name = now.strftime("%Y-%m-%dT%H%M%SZ")
        path, more = self.folder / f"{name}.json", 2
        while path.exists():
            path, more = self.folder / f"{name}-{more}.json", more + 1
        return path

    def _used(self) -> list[dict[str, str]]:
        file = self.folder / CURRENT
        if not file.exists():
            return []
        try:
            used = json.loads(file.read_text(encoding="utf-8"))["used"]
            return [{"file": str(entry["file"]), "sha256": str(entry["sha256"])} for entry in used]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RefusedError(
                f"{file} is damaged: remove it to go back to the nominal context, then calibrate again"
            ) from error

    def _use(self, used: list[dict[str, str]]) -> None:
        context_file.write({"used": used}, self.folder / CURRENT)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
