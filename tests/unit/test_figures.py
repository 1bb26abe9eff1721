"""What a process counts."""
from __future__ import annotations

from typing import Any

from shared.hosting.figures import Figures
from shared.hosting.uses import Uses


def test_what_a_sweeper_catches_is_counted_by_service_and_kind():
    figures = Figures()
    nothing: Any = None
    uses = Uses("requests", nothing, nothing, figures=figures)
    uses.caught("announced_again", 2)
    uses.caught("announced_again")
    uses.caught("moves_resumed", 0)
    text = figures.text().decode()
    assert 'edgemere_sweeper_caught_total{service="requests",what="announced_again"} 3.0' in text
    assert "moves_resumed" not in text
