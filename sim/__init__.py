"""Simulation: backends, terrains, factors, the vectorized environment, the simulated field robot, data collection."""
