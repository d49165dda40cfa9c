"""What each command does, a file each; `cluster.cli` says what can be asked."""
