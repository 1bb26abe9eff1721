"""State machines on a running mesh, which never plays an example twice alike: no replay, no shrinking, but every step told."""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, settings, stateful
from hypothesis import seed as seeded
from hypothesis import strategies as st

# Draws depend on nothing that the mesh says: which one of those that are there.
WHICH = st.integers(0, 59)


class Found(BaseException):
    """What a step ran into. No Exception, so that Hypothesis does not play an example again that a mesh never plays twice alike."""


def guarded(work: Callable[..., None]) -> Callable[..., None]:
    """A step that is written down, and whose failure ends the run with all the steps before it."""
    @functools.wraps(work)
    def step(self: Any, **drawn: Any) -> None:
        self.__dict__.setdefault("steps", []).append(f"{work.__name__}({', '.join(f'{key}={value!r}' for key, value in drawn.items())})")
        try:
            work(self, **drawn)
        except Exception as error:
            raise Found("\n".join(["after", *self.steps])) from error
    return step


def rule(**drawn: Any) -> Callable[[Callable[..., None]], Any]:
    return lambda work: stateful.rule(**drawn)(guarded(work))


def play(machine: type[stateful.RuleBasedStateMachine], seed: int, examples: int, steps: int) -> None:
    """Play examples of a machine; the first failure ends it, with the seed and the steps of its example.

    The seed fixes what is drawn, not what the mesh does meanwhile.
    """
    try:
        stateful.run_state_machine_as_test(seeded(seed)(machine), settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck)))
    except Found as found:
        raise AssertionError(f"EDGEMERE_MODEL_SEED={seed}: {found.__cause__}\n{found}") from found.__cause__


def one_of(things: list[Any], which: int) -> list[Any]:
    """The one that was drawn, or none of nothing."""
    return [things[which % len(things)]] if things else []
