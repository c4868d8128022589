"""The configuration of policy training; PPO's part follows rsl_rl's names."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from policy.modes import Mode
from sim.config import EnvConfig


@dataclass
class PPOConfig:
    """rsl_rl's PPO and its networks."""

    hidden_dims: tuple[int, ...] = (256, 128, 64)
    num_steps_per_env: int = 24  # control periods in a rollout
    num_learning_epochs: int = 4
    num_mini_batches: int = 4
    learning_rate: float = 1.0e-3
    schedule: Literal["adaptive", "fixed"] = "adaptive"
    desired_kl: float = 0.01
    clip_param: float = 0.2
    gamma: float = 0.99
    lam: float = 0.95
    entropy_coef: float = 0.005
    value_loss_coef: float = 1.0
    max_grad_norm: float = 1.0
    init_std: float = 0.8
    quiet_share: float = 0.0  # of the time in which a robot acts without exploring (`policy.exploration`)

    def as_rsl_rl(self, actor_groups: list[str], teacher: Path | None = None) -> dict[str, Any]:
        """Return the configuration dictionary of rsl_rl's runner, for PPO or to imitate a teacher."""
        algorithm = asdict(self)
        hidden, steps, std = (algorithm.pop(key) for key in ("hidden_dims", "num_steps_per_env", "init_std"))
        network = {
            "class_name": "MLPModel",
            "hidden_dims": list(hidden),
            "activation": "elu",
            "obs_normalization": True,
        }
        algorithm["class_name"] = "policy.exploration:QuietPPO"
        if teacher is not None:
            kept = ("num_learning_epochs", "learning_rate", "max_grad_norm", "quiet_share")
            algorithm = {name: algorithm[name] for name in kept}
            algorithm |= {"class_name": "policy.imitation:Imitation", "teacher": teacher, "gradient_length": 1}
        return {
            "num_steps_per_env": steps,
            "save_interval": 50,
            "obs_groups": {"actor": actor_groups, "critic": ["critic"]},
            "algorithm": algorithm,
            "actor": {**network, "distribution_cfg": {"class_name": "GaussianDistribution", "init_std": std}},
            "critic": dict(network),
        }


@dataclass
class PolicyConfig:
    """Train a locomotion policy with rsl_rl's PPO.

    Attributes:
        run: folder of the run: checkpoints, TensorBoard events, configuration.
        mode: what the policy sees besides its 45 proprioceptive values: nothing (vanilla), those of the last frames
            (history), CAVIA's one context (single), DMCM's two (multi), or the simulation's true factors (oracle).
        bank: context bank (bank.safetensors), which `single` and `multi` need: the contexts of the robots that are
            trained on follow from those of its robots.
        history: frames that mode `history` sees.
        init: checkpoint or exported policy (.onnx) to start from; new inputs start at zero weight, and the adaptive
            learning rate at its smallest.
        teacher: checkpoint or exported policy that sees one frame, imitated as it would act with gains corrected for
            each robot (`policy.imitation`), with networks, steps, epochs, learning rate, gradient norm, spread and
            quiet share of `ppo`; without one, PPO learns from rewards.
        action_std: spread of the actions to go on from `init` with; None keeps a checkpoint's. A robot takes the mean,
            so a last stretch with little spread trains what it will do.
        resume: go on from the run's newest checkpoint.
        samples: environment steps in all.
        torch_threads: threads of the learner.
        logger: where rsl_rl writes curves: TensorBoard's events in the run's folder, or W&B (project dmcm) as well.
    """

    run: Path = Path("runs/policy")
    mode: Mode = "vanilla"
    bank: Path | None = None
    history: int = 10
    init: Path | None = None
    teacher: Path | None = None
    action_std: float | None = None
    resume: bool = False
    samples: float = 30e6
    torch_threads: int = 2
    logger: Literal["tensorboard", "wandb"] = "tensorboard"
    seed: int = 0
    env: EnvConfig = field(default_factory=EnvConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
