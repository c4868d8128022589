"""Metadata records of an MCAP file, which rosbags does not read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MAGIC = b"\x89MCAP0\r\n"
_FOOTER = 1 + 8 + 20 + len(MAGIC)
_OP_METADATA, _OP_DATA_END, _OP_METADATA_INDEX, _OP_FOOTER = 0x0C, 0x0F, 0x0D, 0x02


def is_truncated(path: Path) -> bool:
    """Return whether the file starts as MCAP but lacks MCAP's end, so that its writing was cut short."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return False
        if path.stat().st_size < len(MAGIC) + _FOOTER:
            return True
        file.seek(-len(MAGIC), 2)
        return file.read() != MAGIC


def read_metadata(path: Path, name: str) -> dict[str, str]:
    """Return the entries of the last metadata record called `name` in a whole MCAP file, empty if there is none."""
    found: dict[str, str] = {}
    with path.open("rb") as file:
        file.seek(-_FOOTER, 2)
        (summary,) = struct.unpack("<9xQ12x8x", file.read())
        if summary:
            offsets = [o for o, entry in _index(file, summary) if entry == name]
        else:
            offsets = [o for o, op in _scan(file) if op == _OP_METADATA]
        for offset in offsets:
            file.seek(offset)
            record, entries = _metadata(_record(file)[1])
            if record == name:
                found = entries
    return found


def _record(file: BinaryIO) -> tuple[int, bytes]:
    op, size = struct.unpack("<BQ", file.read(9))
    return op, file.read(size)


def _index(file: BinaryIO, start: int) -> Iterator[tuple[int, str]]:
    file.seek(start)
    op, body = _record(file)
    while op != _OP_FOOTER:
        if op == _OP_METADATA_INDEX:
            yield struct.unpack_from("<Q", body)[0], _string(body, 16)[0]
        op, body = _record(file)


def _scan(file: BinaryIO) -> Iterator[tuple[int, int]]:
    position, op = len(MAGIC), 0
    while op not in (_OP_DATA_END, _OP_FOOTER):
        file.seek(position)
        op, size = struct.unpack("<BQ", file.read(9))
        yield position, op
        position += 9 + size


def _metadata(body: bytes) -> tuple[str, dict[str, str]]:
    name, position = _string(body, 0)
    position += 4  # the map's size in bytes
    entries = {}
    while position < len(body):
        key, position = _string(body, position)
        entries[key], position = _string(body, position)
    return name, entries


def _string(body: bytes, position: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("<I", body, position)
    end = position + 4 + size
    return body[position + 4 : end].decode(), end
