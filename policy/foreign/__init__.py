"""Policies from other stacks: what they expect, and how they become ours."""
