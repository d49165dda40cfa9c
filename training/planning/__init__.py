"""What a training will need, before any of it runs: parameters, memory, time, communication, euros."""
