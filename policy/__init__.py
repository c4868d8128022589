"""The locomotion policy: PPO on proprioception and contexts, export to ONNX, evaluation."""
