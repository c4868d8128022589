"""What a robot's factors and nuisances mean for its physics; every simulator with tensors takes it from here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from robots.spec import RobotSpec
from sim.factors import FACTOR_NAMES, NUISANCE_COLUMNS, WEAK_LEGS

PAYLOAD_SIZE = 0.1  # m, edge of the cube that a payload is
FASTEST_CONTACT = 0.01  # s, of an undamped contact: its angular frequency's inverse, two physics steps
_COLUMN = {name: i for i, name in enumerate(FACTOR_NAMES)}


@dataclass
class Physical:
    """Physical values of n robots.

    Attributes:
        kp, kd: joint gains, N m/rad and N m s/rad, (n, 12).
        torque_limit: N m, (n, 12).
        armature: rotor inertia at the joints, kg m^2, (n, 12).
        joint_friction: dry friction of every joint, N m, (n,).
        latency: from a joint command to its effect, s, (n,).
        payload: kg, (n,).
        payload_center: of mass, trunk frame, m, (n, 3).
        payload_inertia: about its centre, every axis, kg m^2, (n,).
        friction: sliding friction of the feet, (n,).
        restitution: of the feet, (n,).
        contact: time constant, s, and damping ratio of the feet's contact, (n, 2): MuJoCo's solref.
    """

    kp: torch.Tensor
    kd: torch.Tensor
    torque_limit: torch.Tensor
    armature: torch.Tensor
    joint_friction: torch.Tensor
    latency: torch.Tensor
    payload: torch.Tensor
    payload_center: torch.Tensor
    payload_inertia: torch.Tensor
    friction: torch.Tensor
    restitution: torch.Tensor
    contact: torch.Tensor


def physical(spec: RobotSpec, factors: torch.Tensor, nuisances: torch.Tensor) -> Physical:
    """Return the physical values of robots with factors (n, F) and nuisances (n, K), see `sim.factors`."""
    factor = {name: factors[:, i] for name, i in _COLUMN.items()}
    nuisance = {name: nuisances[:, columns] for name, columns in NUISANCE_COLUMNS.items()}
    strength = factors[:, WEAK_LEGS[0] : WEAK_LEGS[-1] + 1].repeat_interleave(3, dim=1) * nuisance["motor_strength"]
    limit, armature, mount = _constants(spec, factors.device)
    restitution = nuisance["restitution"][:, 0]
    shift = torch.stack([factor["payload_x"], factor["payload_y"], torch.zeros_like(factor["payload_x"])], dim=1)
    payload = factor["payload"].clamp(min=1e-4)
    return Physical(
        kp=spec.kp * factor["kp_scale"][:, None] * strength,
        kd=spec.kd * factor["kd_scale"][:, None] * strength,
        torque_limit=limit * factor["torque_limit_scale"][:, None] * strength,
        armature=armature * nuisance["rotor_inertia"],
        joint_friction=factor["joint_friction"],
        latency=factor["latency"],
        payload=payload,
        payload_center=mount + shift,
        payload_inertia=payload * (PAYLOAD_SIZE**2 / 6.0),
        friction=nuisance["friction"][:, 0],
        restitution=restitution,
        contact=_contact(nuisance["contact_time"][:, 0], restitution),
    )


@cache
def _constants(spec: RobotSpec, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return torque limits (12,), armature (12,) and the payload's mount (3,) on a device, copied there once."""
    values = (spec.torque_limit, spec.armature, spec.payload_mount)
    return tuple(torch.as_tensor(v, dtype=torch.float32, device=device) for v in values)


def _contact(contact_time: torch.Tensor, restitution: torch.Tensor) -> torch.Tensor:
    """Return solref (n, 2) of contacts that return a share of the speed of an impact.

    The damping ratio z is from ln e = -pi z / sqrt(1 - z^2), the logarithmic decrement over half a period; the time
    constant, s, keeps that period long enough for the physics' steps, for else a contact gains energy.
    """
    log = restitution.clamp(min=1e-6).log()
    ratio = torch.where(restitution > 0.0, -log / (torch.pi**2 + log.square()).sqrt(), 1.0)
    return torch.stack([torch.maximum(contact_time, FASTEST_CONTACT / ratio), ratio], dim=1)
