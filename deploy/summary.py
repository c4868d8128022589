"""What a log of `dmcm` tells at a glance: how much there is, until when, and what happened."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deploy.log import EVENTS, STATUS


@dataclass(frozen=True)
class Summary:
    """What a log tells.

    Attributes:
        records: one per policy tick.
        last: time of the last record, s since 1970; 0 without one.
        gap: longest time between two records, s.
        states: the controller's states in the order in which they came.
        events: transitions and refusals.
    """

    records: int
    last: float
    gap: float
    states: tuple[str, ...]
    events: tuple[dict[str, Any], ...]


def summarize(path: Path) -> Summary:
    """Return what a rosbag2 folder or MCAP file of `dmcm` tells.

    Raises:
        ValueError: if it cannot be read.
    """
    from rosbags.rosbag2 import Reader, ReaderError
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    times: list[int] = []
    states: list[str] = []
    events: list[dict[str, Any]] = []
    try:
        with Reader(path) as reader:
            wanted = [connection for connection in reader.connections if connection.topic in (STATUS, EVENTS)]
            for connection, time, data in reader.messages(wanted):
                content: Any = store.deserialize_cdr(data, connection.msgtype)
                told = json.loads(content.data)
                if connection.topic == EVENTS:
                    events.append(told)
                    continue
                times.append(time)
                if not states or states[-1] != told["state"]:
                    states.append(told["state"])
    except (ReaderError, OSError, ValueError, KeyError) as problem:
        raise ValueError(f"{path}: the log cannot be read ({problem})") from None
    gaps = np.diff(times) if len(times) > 1 else np.zeros(1)
    return Summary(
        len(times), 1e-9 * times[-1] if times else 0.0, 1e-9 * float(gaps.max()), tuple(states), tuple(events)
    )
