"""Lets the reference show "kp, kd: joint gains", one line for two attributes, as two; griffe knows one name a line."""

import re

import griffe

SHARED = re.compile(r"^( +)(\w+(?:, \w+)+): (.*(?:\n\1 +\S.*)*)", re.M)


class SplitNames(griffe.Extension):
    """Repeats a description for each of the names that share it."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        """Rewrite the docstring of whatever was read."""
        if obj.docstring:
            obj.docstring.value = SHARED.sub(_repeated, obj.docstring.value)


def _repeated(found: re.Match[str]) -> str:
    indent, names, text = found.groups()
    return "\n".join(f"{indent}{name}: {text}" for name in names.split(", "))
