"""The ground everything stands on: no torch, no Beam, no Ray."""
