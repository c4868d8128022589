"""Runtime on the robot: ONNX policy, state machine, safety, control loop and log; never torch."""
