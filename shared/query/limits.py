"""The bounds of a query: each is explicit, documented in docs/query.md, and answered with its own code."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How big a query may be.

    ``length`` is in characters of the expression as text; ``values`` counts the values of all lists
    (``$in``, ``$nin``, ``$all``) together; ``regex_program`` is in instructions of the compiled RE2 program.
    Programs that write their own queries may raise them; what people send is held to the defaults.
    """

    length: int = 64 * 1024
    depth: int = 16
    clauses: int = 500
    values: int = 10_000
    name_length: int = 1024
    name_segments: int = 16
    pattern_length: int = 1000
    regex_length: int = 1000
    regex_program: int = 2000
    regexes: int = 20


DEFAULT_LIMITS = Limits()
