"""The forms in which a policy can be described, brought to one: ours.

Besides ours (with `preset`) a deployment configuration of unitree_rl_gym (with `kps`) and the deploy.yaml that
unitree_rl_lab writes (with `joint_ids_map`) are read; fields of our form override theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from policy.foreign.values import FieldError, choice, mapping, number, numbers
from robots.joints import SDK
from robots.observation import SIZES

TERMS = ["linear_velocity", "angular_velocity", "projected_gravity", "command"]
TERMS += ["joint_position", "joint_velocity", "last_action"]
# Names of the same things in other stacks.
ALIASES = {
    **dict.fromkeys(("lin_vel", "base_lin_vel"), "linear_velocity"),
    **dict.fromkeys(("ang_vel", "base_ang_vel"), "angular_velocity"),
    **dict.fromkeys(("gravity", "gravity_vec"), "projected_gravity"),
    **dict.fromkeys(("cmd", "commands", "velocity_commands"), "command"),
    **dict.fromkeys(("dof_pos", "joint_pos", "joint_pos_rel"), "joint_position"),
    **dict.fromkeys(("dof_vel", "joint_vel", "joint_vel_rel"), "joint_velocity"),
    **dict.fromkeys(("action", "actions", "last_actions"), "last_action"),
}
# Scales in legged_gym and unitree_rl_gym; Isaac Lab's velocity task has none.
GYM_SCALES = {"linear_velocity": 2.0, "angular_velocity": 0.25, "command": [2.0, 2.0, 0.25], "joint_velocity": 0.05}
GYM: dict[str, Any] = {
    "observation": TERMS,
    "scales": GYM_SCALES,
    "joint_order": "isaac_gym",
    "history": 1,
    "history_order": "oldest_first",
    "stacking": "frame",
    "clip_observations": 100.0,
    "clip_actions": 100.0,
}
LAB = {**GYM, "scales": {}, "joint_order": "isaac_lab", "stacking": "term", "clip_observations": None}
# What a policy sees who was trained in the named stack without changes; unitree_rl_gym's deployment has no velocity.
PRESETS = {"legged_gym": GYM, "unitree_rl_gym": {**GYM, "observation": TERMS[1:]}, "isaac_lab": LAB}
REQUIRED = ("kp", "kd", "default_position", "action_scale", "control_dt")
FIELDS = ("preset", *REQUIRED, *GYM)


def own_form(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration with our fields only, those of its preset filled in.

    Raises:
        FieldError: if a field is unknown, missing or not what it should be.
    """
    if "preset" in config:
        unknown = sorted(map(str, set(config) - set(FIELDS)))
        if unknown:
            raise FieldError(f"unknown field '{unknown[0]}': known are {', '.join(FIELDS)}")
        given = dict(config)
    elif "kps" in config or "joint_ids_map" in config:
        translated = _from_rl_gym(config) if "kps" in config else _from_rl_lab(config)
        given = {**translated, **{key: config[key] for key in FIELDS if key in config}}
    else:
        raise FieldError(f"field 'preset' is missing: give one of {', '.join(PRESETS)}")
    preset = PRESETS[choice(given, "preset", list(PRESETS))]
    scales = {**preset["scales"], **by_term(mapping(given.get("scales", {}), "scales"))}
    return {**preset, **given, "scales": scales}


def term_names(names: Iterable[Any]) -> list[str]:
    """Return our names of the terms.

    Raises:
        FieldError: if the robot cannot observe one of them.
    """
    ours = [ALIASES.get(str(name), str(name)) for name in names]
    for name in ours:
        if name not in SIZES:
            raise FieldError(f"the robot has no observation '{name}': it has {', '.join(SIZES)}")
    return ours


def by_term(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values under our names of the terms."""
    return dict(zip(term_names(values), values.values(), strict=True))


def _from_rl_gym(config: Mapping[str, Any]) -> dict[str, Any]:
    values = config.get("num_obs", 45)
    if values not in (45, 48) and "observation" not in config:
        raise FieldError(f"'num_obs' is {values}, not 45 or 48: give the terms in 'observation'")
    scales = {"lin_vel_scale": "lin_vel", "ang_vel_scale": "ang_vel", "cmd_scale": "cmd"}
    scales |= {"dof_pos_scale": "dof_pos", "dof_vel_scale": "dof_vel"}
    names = {"kps": "kp", "kds": "kd", "default_angles": "default_position"}
    own = {ours: config[theirs] for theirs, ours in names.items() if theirs in config}
    own["preset"] = "legged_gym" if values == 48 else "unitree_rl_gym"
    own["scales"] = {term: config[key] for key, term in scales.items() if key in config}
    if "leg_joint2motor_idx" in config:
        own["joint_order"] = _motors(config, "leg_joint2motor_idx")
    if "simulation_dt" in config and "control_decimation" in config:
        own["control_dt"] = number(config, "simulation_dt") * number(config, "control_decimation")
    return own


def _from_rl_lab(config: Mapping[str, Any]) -> dict[str, Any]:
    action = mapping(mapping(config.get("actions"), "actions").get("JointPositionAction"), "JointPositionAction")
    if action.get("clip") is not None:
        raise FieldError("'clip' of JointPositionAction is not supported (targets keep to the joint limits): remove it")
    pose = numbers(config, "default_joint_pos", 12)
    if "offset" in action and not np.allclose(numbers(action, "offset", 12), pose):
        raise FieldError("'offset' of JointPositionAction differs from 'default_joint_pos', which is not supported")
    described = mapping(config.get("observations"), "observations")
    terms = {name: mapping(term, name) for name, term in described.items()}
    lengths = {term.get("history_length") or 1 for term in terms.values()}
    if len(lengths) != 1:
        raise FieldError(f"'history_length' differs between the terms ({lengths}), which is not supported")
    return {
        "preset": "isaac_lab",
        "joint_order": _motors(config, "joint_ids_map"),
        "observation": list(terms),
        "scales": {name: term["scale"] for name, term in terms.items() if term.get("scale") is not None},
        "clip_observations": {name: term["clip"] for name, term in terms.items() if term.get("clip") is not None},
        "history": lengths.pop(),
        "kp": dict(zip(SDK, numbers(config, "stiffness", 12), strict=True)),  # gains are in the motors' order
        "kd": dict(zip(SDK, numbers(config, "damping", 12), strict=True)),
        "default_position": pose.tolist(),
        "action_scale": action.get("scale"),
        "control_dt": config.get("step_dt"),
    }


def _motors(config: Mapping[str, Any], key: str) -> list[str]:
    """Return the policy's joints in its order, from the motor that each has in Unitree's order."""
    motors = numbers(config, key, 12)
    if sorted(motors) != list(range(12)):
        raise FieldError(f"'{key}' does not list each of the 12 motors 0 to 11 once")
    return [SDK[int(motor)] for motor in motors]
