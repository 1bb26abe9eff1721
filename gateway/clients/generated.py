"""Everything in the repository that is made from the tables, by its place; ``.ci/generate`` writes it anew.

``python -m gateway.clients.generated`` writes; a test compares, so that nothing here is stale.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway import reference
from gateway.clients import js, python

ROOT = Path(__file__).resolve().parents[2]

FILES: dict[str, Callable[[], str]] = {
    "gateway/clients/js/edgemere.js": js.module,
    "gateway/clients/js/edgemere.d.ts": js.types,
    "gateway/clients/python/edgemere/calls.py": python.calls,
    "docs/generated/README.md": reference.package,
    "docs/generated/actions.md": reference.actions,
    "docs/generated/messages.md": reference.messages,
    "docs/generated/nets.md": reference.nets,
}


def stale() -> list[str]:
    """The places whose content is not what the tables make of it now."""
    return [place for place, make in FILES.items()
            if not (ROOT / place).exists() or (ROOT / place).read_text(encoding="utf-8") != make()]


def main() -> None:
    """Write what is stale."""
    for place in stale():
        path = ROOT / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES[place](), encoding="utf-8")
        print(place)


if __name__ == "__main__":
    main()
