"""The one error that calibration raises for a log, a model or an output that it cannot use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibration.quality import Check


class RefusedError(ValueError):
    """Say in one sentence what is refused and what to do about it.

    Attributes:
        checks: the quality checks made before the refusal, empty if it came earlier.
    """

    def __init__(self, sentence: str, checks: Sequence[Check] = ()) -> None:
        super().__init__(sentence)
        self.checks = tuple(checks)
