"""Isaac Gym's end of the simulator, which runs in a Python 3.8 of its own."""
