"""Shows what the robot does, in a browser: the simulation, a log, or the running controller."""
