"""The checksums of Unitree's low-level messages."""

from __future__ import annotations

import zlib

import numpy as np

_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_GO1_COMMAND_KEY = 0xEDCAB9DE


def crc32(data: bytes) -> int:
    """Return the CRC-32 of the whole little-endian 32-bit words of `data`; bytes after the last word do not count.

    Polynomial 0x04C11DB7, initial value 0xFFFFFFFF, most significant bit first, nothing inverted at the end
    (unitree_sdk2's `Crc32Core`). The mirror image of zlib's CRC, which is computed in C.
    """
    words = np.frombuffer(data, "<u4", len(data) // 4).byteswap().tobytes()
    mirrored = zlib.crc32(words.translate(_MIRROR)) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def go1_command_crc(data: bytes) -> int:
    """Return the checksum of a Go1 command: its CRC-32 with a key and turned by a byte (as free-dog-sdk found)."""
    value = crc32(data) ^ _GO1_COMMAND_KEY
    return (value >> 8) | (value & 0xFF) << 24
