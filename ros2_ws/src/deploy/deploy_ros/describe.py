"""Write the reference of topics, services and parameters from their tables; needs no ROS.

ros2 run deploy describe                        # prints it
python -m deploy_ros.describe docs/ros2.md      # puts it between the marks of that file
"""

from __future__ import annotations

import sys
from pathlib import Path

from deploy_ros import interface
from deploy_ros.interface import Parameter, Topic

BEGIN, END = "<!-- reference: python -m deploy_ros.describe docs/ros2.md -->", "<!-- /reference -->"
DRIVERS = {"": "", "topics": "`driver: topics` only", "own": "not with `driver: topics`"}


def markdown() -> str:
    """Return the reference."""
    parts = [
        "Names are relative: a namespace goes before all of them, except those that begin with `/`.",
        "### Subscribed topics",
        _topics(interface.SUBSCRIBED),
        "### Published topics",
        _topics(interface.PUBLISHED),
        "### Services and actions",
        _table(
            ("name", "type", "what it does"),
            [(f"`{s.name}`", f"`{s.type}`", s.text) for s in (*interface.SERVICES, *interface.ACTIONS)],
        ),
        "### Parameters",
        _table(
            ("name", "default", "range", "set", "what it is"),
            [_parameter(p) for p in interface.PARAMETERS],
        ),
    ]
    return "\n\n".join(parts)


def _topics(topics: tuple[Topic, ...]) -> str:
    rows = [
        (f"`{t.name}`", f"`{t.type}`", t.rate, t.qos.text, t.text + (f" ({DRIVERS[t.driver]})" if t.driver else ""))
        for t in topics
    ]
    return _table(("topic", "type", "rate", "quality of service", "what it is"), rows)


def _parameter(p: Parameter) -> tuple[str, ...]:
    return f"`{p.name}`", _value(p), _range(p), "at start" if p.read_only else "any time", p.text


def _value(parameter: Parameter) -> str:
    return f"`{parameter.default!r}`".replace("'", '"') if parameter.default != "" else '`""`'


def _range(parameter: Parameter) -> str:
    if parameter.choices:
        return ", ".join(parameter.choices)
    return "" if parameter.lower is None else f"{parameter.lower:g} to {parameter.upper:g}"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [" | ".join(head), "|".join(["---"] * len(head)), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines)


def replaced(document: str) -> str:
    """Return the document with the reference between its marks.

    Raises:
        ValueError: if it has no marks.
    """
    if BEGIN not in document or END not in document:
        raise ValueError(f"the document has no '{BEGIN}' and '{END}'")
    before, rest = document.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{markdown()}\n{END}{rest.split(END, 1)[1]}"


def main() -> None:
    """Print the reference, or write it into the file that is named."""
    if len(sys.argv) < 2:
        print(markdown())
        return
    path = Path(sys.argv[1])
    path.write_text(replaced(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
