"""What ``datasource reap`` answers, for people: what goes or would go in one sentence first, the command that does it, what stays and why."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.cli.columns import plain
from gateway.cli.explain import sections, table
from gateway.cli.terminal import Terminal
from gateway.cli.text import age_text, bytes_text, clean
from shared.kernel.typed import typed

_SHOWN = 20
Body = Mapping[str, Any]


def reaped(body: Body, terminal: Terminal) -> str:
    """The lines for the freeing of a target as ``datasource reap`` answers it."""
    items, kept = body.get("items") or [], body.get("kept") or []
    return sections(terminal, [
        [_sentence(body), *_too_little(body), *_next(body)],
        ("Gone" if body.get("applied") else "Would go", table(
            [(clean(str(one.get("name"))), plain(one.get("request")), bytes_text(one.get("bytes")), age_text(one.get("used_at"))) for one in items[:_SHOWN]],
            head=("NAME", "REQUEST", "SIZE", "USED"), right=(2, 3), terminal=terminal) + _more(len(items))),
        ("Kept", table([(clean(str(one.get("name"))), bytes_text(one.get("bytes")), clean(str(one.get("why"))).replace("_", " ")) for one in kept[:_SHOWN]],
                       head=("NAME", "SIZE", "WHY"), right=(1,), terminal=terminal) + _more(body.get("kept_count") or 0)),
    ])


def _sentence(body: Body) -> str:
    count, name = len(body.get("items") or []), plain(body.get("source"))
    room = f"{bytes_text(body.get('used'))} of {bytes_text(body['capacity'])} are used" if body.get("capacity") is not None else \
        f"{bytes_text(body.get('used'))} are used"
    if not body.get("wanted"):
        return f"Nothing has to go from '{name}': {room}."
    what = f"{count} instance{'' if count == 1 else 's'} with {bytes_text(body.get('freed'))}" if count else "Nothing"
    return f"{what} {'went' if body.get('applied') else 'would go'} from '{name}', where {room}."


def _too_little(body: Body) -> list[str]:
    if (body.get("freed") or 0) >= (body.get("wanted") or 0):
        return []
    why = "one call takes no more; the next one goes on" if body.get("more") else "nothing else there is a copy that may go"
    return [f"That is less than the {bytes_text(body.get('wanted'))} wanted: {why}."]


def _next(body: Body) -> list[str]:
    if body.get("applied") or not body.get("items"):
        return []
    command = typed("fmdm datasource reap", id=str((body.get("source") or {}).get("name")), bytes=str(body.get("wanted")))
    return [f"Nothing was done yet. To do it: {command} --apply"]


def _more(count: int) -> list[str]:
    return [f"  … and {count - _SHOWN} more: -o json"] if count > _SHOWN else []
