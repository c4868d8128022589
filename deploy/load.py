"""A controller from the files of a models folder."""

from __future__ import annotations

from pathlib import Path

from deploy.context import RobotContext, load_bank, load_context
from deploy.controller import Controller, ControllerConfig
from deploy.policy import OnnxPolicy
from robots.spec import RobotSpec

BANK, POLICY, CALIBRATION = "bank.safetensors", "multi.onnx", "calibration.onnx"


def load_controller(
    spec: RobotSpec,
    models: Path | None,
    policy: str | Path = POLICY,
    context: RobotContext | Path | None = None,
    terrain: str | None = None,
    config: ControllerConfig | None = None,
) -> Controller:
    """Return a controller that walks with a policy and calibrates with the folder's.

    Args:
        spec: the robot.
        models: folder with policies and bank, or None for a controller that can only stand up and lie down.
        policy: a file of that folder, or the path of any other.
        context: the robot's context, or its file; None is the nominal robot's.
        terrain: one of the bank's; None is flat ground.
        config: rates and limits.

    Raises:
        FileNotFoundError: if the policy, the bank that it needs, or the context is missing.
        ValueError: if a file is damaged, or belongs to another robot or model.
    """
    if models is None:
        return Controller(spec, config=config)
    walk = OnnxPolicy.load(policy_path(models, policy), spec)
    calibration = OnnxPolicy.load(models / CALIBRATION, spec) if (models / CALIBRATION).exists() else None
    needs_bank = walk.takes_contexts or context is not None or (models / BANK).exists()
    bank = load_bank(models / BANK, spec, walk.dynamics_digest) if needs_bank else None
    made = Controller(spec, walk, calibration, bank, config)
    if isinstance(context, Path):
        context = load_context(context, spec, walk.dynamics_digest)
    if context is not None:
        made.set_context(context)
    if terrain is not None:
        made.set_terrain(terrain)
    return made


def policy_path(models: Path, policy: str | Path) -> Path:
    """Return where a policy is: in the models folder, or anywhere else; where it should be if it is nowhere."""
    inside = models / policy
    return Path(policy) if not inside.exists() and Path(policy).exists() else inside
