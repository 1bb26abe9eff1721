"""The names that only this face has."""

DROPPED = "edgemere.dropped"
