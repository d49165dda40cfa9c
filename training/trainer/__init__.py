"""The trainer: one process of a gang, whoever started it. `worker` is the door, `loop` the room."""
