"""The implementation of each command in a file of its own; `cluster.cli` defines arguments and options."""
