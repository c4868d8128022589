"""What works on all robots of a device at once: random draws, and writing to some of the robots."""

from __future__ import annotations

import torch

ROWS_ON = ("cpu",)  # kinds of device that are asked which robots a mask names


class Draw:
    """Random numbers from one seed, made on the device that needs them."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.generator = torch.Generator(device).manual_seed(seed)
        self.device = device

    def uniform(self, low: float, high: float, *shape: int) -> torch.Tensor:
        """Return numbers in [low, high)."""
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def normal(self, *shape: int) -> torch.Tensor:
        """Return numbers of mean 0 and variance 1."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def integers(self, end: int, *shape: int) -> torch.Tensor:
        """Return numbers 0 ... end - 1."""
        return torch.randint(end, shape, generator=self.generator, device=self.device)


class Part:
    """The robots that something happens to, as rows to compute new values for.

    On the CPU these are the robots of the mask alone. On a GPU they are all robots, and what is computed for the others
    is dropped: to find the rows of a mask, the host would have to wait for the device.

    Attributes:
        mask: (n,) bool, who is meant.
        rows: indexes a tensor of leading size n.
        count: number of rows, m.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask
        self.rows: torch.Tensor | slice = mask.nonzero().flatten() if mask.device.type in ROWS_ON else slice(None)
        self.count = len(mask) if isinstance(self.rows, slice) else len(self.rows)

    def put(self, buffer: torch.Tensor, values: torch.Tensor | float) -> None:
        """Write values (m, ...) or one number into `buffer`, (n, ...), where the mask is set."""
        if not isinstance(self.rows, slice):
            buffer[self.rows] = values
        elif isinstance(values, torch.Tensor):
            mask = self.mask.reshape(-1, *[1] * (buffer.ndim - 1))
            buffer.copy_(torch.where(mask, values, buffer))
        else:
            buffer.masked_fill_(self.mask.reshape(-1, *[1] * (buffer.ndim - 1)), values)
