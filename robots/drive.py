"""How a policy drives the joints: what its outputs mean, and whether a robot can be driven like that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robots.spec import RobotSpec

GAIN_RATIO = 10.0  # gains this many times above or under the robot's nominal ones are a mistake
SHORTEST, LONGEST = 0.001, 0.1  # s between two actions


@dataclass(frozen=True)
class Drive:
    """Gains, pose, scale and rate of a policy: joint target = default_position + action_scale * action.

    Attributes:
        kp, kd: joint gains, N m/rad and N m s/rad, (12,).
        default_position: joint positions that observations and targets are relative to, rad, (12,).
        action_scale: rad per unit of output, (12,).
        control_dt: time between two actions, s.
    """

    kp: np.ndarray
    kd: np.ndarray
    default_position: np.ndarray
    action_scale: np.ndarray
    control_dt: float

    def problem(self, spec: RobotSpec) -> str | None:
        """Return why the robot must not be driven like this, or None."""
        for name, gains, nominal in (("kp", self.kp, spec.kp), ("kd", self.kd, spec.kd)):
            low, high = nominal / GAIN_RATIO, nominal * GAIN_RATIO
            if not ((gains >= low) & (gains <= high)).all():
                found = f"'{name}' goes from {gains.min():g} to {gains.max():g}"
                return f"{found}, {spec.name} takes {low:g} to {high:g}; are kp and kd swapped?"
        lower, upper = spec.position_limits
        inside = (self.default_position >= lower) & (self.default_position <= upper)
        if not inside.all():
            i = int(inside.argmin())
            found = f"'default_position' puts {spec.joint_names[i]} at {self.default_position[i]:g} rad"
            return f"{found}, limits are {lower[i]:g} to {upper[i]:g}; is the joint order right?"
        if not ((self.action_scale > 0) & np.isfinite(self.action_scale)).all():
            return "'action_scale' must be positive"
        if not SHORTEST <= self.control_dt <= LONGEST:
            return f"'control_dt' is {self.control_dt:g} s, expected {SHORTEST:g} to {LONGEST:g} s"
        return None
