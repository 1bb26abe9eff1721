"""Ids, clock and errors: what everything else is written in. Imports nothing of this project."""
