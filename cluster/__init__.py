"""Where and when work runs: the command line, the plan, the run and the launchers."""
