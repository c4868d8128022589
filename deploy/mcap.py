"""A writer of MCAP files (https://mcap.dev/spec) that are complete after every flush.

A flush writes, in one call, the new chunk and after it the whole index, which the next flush overwrites. So a process
that is killed, or a full disk, leaves a file that every reader opens, up to the last flush. Libraries for MCAP write
the index only when they close, and readers refuse a file without one.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

MAGIC = b"\x89MCAP0\r\n"
_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX, _CHUNK_INDEX = range(1, 9)
_STATISTICS, _METADATA, _METADATA_INDEX, _SUMMARY_OFFSET, _DATA_END = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
_MESSAGE_HEAD = struct.Struct("<BQHIQQ")  # opcode, length, channel, sequence, log time, publish time


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def _blob(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def _map(values: Mapping[str, str]) -> bytes:
    return _blob(b"".join(_text(key) + _text(value) for key, value in values.items()))


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


class McapWriter:
    """Writes one MCAP file of profile ros2, uncompressed.

    Args:
        path: a file that does not exist yet.
        metadata: named records of texts, written first.

    Attributes:
        counts: messages per channel, flushed or not.
        start, end: log times of the first and last message, ns.

    Raises:
        OSError: from every method, if the disk refuses; the file is then as after the last flush, and must be closed.
    """

    def __init__(self, path: Path, metadata: Mapping[str, Mapping[str, str]]) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self.counts: dict[int, int] = {}
        self.start = self.end = 0
        self._schemas: dict[str, int] = {}
        self._schema_records = self._channel_records = b""
        self._chunks, self._chunk_indices = 0, bytearray()
        self._metadata_indices: list[bytes] = []
        self._begin_chunk()
        head = MAGIC + _record(_HEADER, _text("ros2") + _text("dmcm"))
        for name, values in metadata.items():
            record = _record(_METADATA, _text(name) + _map(values))
            place = struct.pack("<QQ", len(head), len(record))
            self._metadata_indices.append(_record(_METADATA_INDEX, place + _text(name)))
            head += record
        self._offset, self._tail, self._failed = self._write(head, 0), b"", False
        self.flush()

    def add_channel(self, topic: str, kind: str, definition: str) -> int:
        """Return the number of a new channel for messages of a ROS 2 type in CDR."""
        records = b""
        if kind not in self._schemas:
            self._schemas[kind] = len(self._schemas) + 1
            content = struct.pack("<H", self._schemas[kind]) + _text(kind) + _text("ros2msg") + _text(definition)
            records = _record(_SCHEMA, content)
            self._schema_records += records
        number = len(self.counts) + 1
        content = struct.pack("<HH", number, self._schemas[kind]) + _text(topic) + _text("cdr")
        channel = _record(_CHANNEL, content + _map({"offered_qos_profiles": ""}))
        self._channel_records += channel
        self._chunk += records + channel
        self.counts[number] = 0
        return number

    def add_message(self, channel: int, time: int, data: bytes) -> None:
        """Add a message to the chunk in memory; time in ns."""
        if not any(self.counts.values()):
            self.start = self.end = time
        self.start, self.end = min(self.start, time), max(self.end, time)
        self._index.setdefault(channel, []).append((time, len(self._chunk)))
        sequence = self.counts[channel]
        self._chunk += _MESSAGE_HEAD.pack(_MESSAGE, 22 + len(data), channel, sequence, time, time)
        self._chunk += data
        self.counts[channel] = sequence + 1

    def flush(self) -> None:
        """Write what is in memory, and the index after it, so that the file is complete."""
        body = self._finish_chunk() if self._chunk else b""
        data_end = _record(_DATA_END, struct.pack("<I", 0))
        tail = data_end + self._summary(self._offset + len(body) + len(data_end))
        try:
            os.ftruncate(self._file, self._write(body + tail, self._offset))
        except OSError:
            self._failed = True
            os.ftruncate(self._file, self._offset + len(self._tail))
            self._write(self._tail, self._offset)  # there is room for it: it was there before
            raise
        self._offset, self._tail = self._offset + len(body), tail

    def close(self) -> None:
        """Flush, unless that has failed before, and close the file."""
        try:
            if not self._failed:
                self.flush()
        finally:
            os.close(self._file)

    def _begin_chunk(self) -> None:
        self._chunk = bytearray()
        self._index: dict[int, list[tuple[int, int]]] = {}

    def _finish_chunk(self) -> bytes:
        times = [time for entries in self._index.values() for time, _ in entries]
        span = struct.pack("<QQ", min(times, default=0), max(times, default=0))
        size = len(self._chunk)
        content = span + struct.pack("<QI", size, zlib.crc32(self._chunk)) + _text("") + struct.pack("<Q", size)
        body = _record(_CHUNK, content + self._chunk)
        length, offsets = len(body), b""
        for channel, entries in self._index.items():
            offsets += struct.pack("<HQ", channel, self._offset + len(body))
            places = b"".join(struct.pack("<QQ", *entry) for entry in entries)
            body += _record(_MESSAGE_INDEX, struct.pack("<H", channel) + _blob(places))
        place = struct.pack("<QQ", self._offset, length) + _blob(offsets) + struct.pack("<Q", len(body) - length)
        self._chunks += 1
        self._chunk_indices += _record(_CHUNK_INDEX, span + place + _text("") + struct.pack("<QQ", size, size))
        self._begin_chunk()
        return body

    def _summary(self, start: int) -> bytes:
        total = struct.pack(
            "<QHIIII", sum(self.counts.values()), len(self._schemas), len(self.counts), 0, *self._sizes()
        )
        per_channel = b"".join(struct.pack("<HQ", *entry) for entry in self.counts.items())
        statistics = total + struct.pack("<QQ", self.start, self.end) + _blob(per_channel)
        groups = (
            (_SCHEMA, self._schema_records),
            (_CHANNEL, self._channel_records),
            (_STATISTICS, _record(_STATISTICS, statistics)),
            (_CHUNK_INDEX, self._chunk_indices),
            (_METADATA_INDEX, b"".join(self._metadata_indices)),
        )
        offsets, end = b"", start
        for opcode, records in groups:
            if records:
                offsets += _record(_SUMMARY_OFFSET, struct.pack("<BQQ", opcode, end, len(records)))
            end += len(records)
        footer = _record(_FOOTER, struct.pack("<QQI", start, end, 0))
        return b"".join([*(records for _, records in groups), offsets, footer, MAGIC])

    def _sizes(self) -> tuple[int, int]:
        return len(self._metadata_indices), self._chunks

    def _write(self, data: bytes, offset: int) -> int:
        """Write all of the data at an offset and return where it ends."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, offset)
            view, offset = view[written:], offset + written
        return offset
