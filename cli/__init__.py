"""The `dmcm` command: one small file per subcommand, which puts the rooms together and holds no logic."""
