"""A checksum inside the file it guards, so that no flipped byte gets past it, whatever part of the file it hits.

The file carries `"seal": "<64 hex digits>"`, in JSON, once: the SHA-256 of the file with zeros in place of the digits.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

PLACEHOLDER = "0" * 64
_FIELD = re.compile(rb'"seal":\s*"(.{64})', re.DOTALL)  # damaged digits are a seal too, a broken one


def _digest(content: bytes, start: int) -> str:
    return hashlib.sha256(content[:start] + PLACEHOLDER.encode() + content[start + 64 :]).hexdigest()


def seal(path: Path) -> None:
    """Write the checksum over the placeholder in the file.

    Raises:
        ValueError: if the file does not hold exactly one placeholder.
    """
    content = path.read_bytes()
    found = list(_FIELD.finditer(content))
    if len(found) != 1 or found[0].group(1) != PLACEHOLDER.encode():
        raise ValueError(f'{path}: expected one "seal" of {len(PLACEHOLDER)} zeros to write the checksum over')
    start = found[0].start(1)
    partial = path.with_name(path.name + ".tmp")
    partial.write_bytes(content[:start] + _digest(content, start).encode() + content[start + 64 :])
    os.replace(partial, path)


def intact(content: bytes) -> bool | None:
    """Return whether the content is what was sealed, or None where there is no seal."""
    found = list(_FIELD.finditer(content))
    if not found:
        return None
    return len(found) == 1 and _digest(content, found[0].start(1)).encode() == found[0].group(1)
