"""Keeps decisions small and gives them back whole: what many share is stored once, and composed when it is read."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.reservations import repository
from services.reservations.models import part_table, render, revision_table
from services.reservations.policy import records
from services.reservations.policy.deciding import Asking, Decided
from services.reservations.policy.rules_file import NONE, Policies, read
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.storage.bulk import insert_first, insert_rows
from shared.storage.record import Row

# Compiled policies by revision; a revision never changes.
_REVISIONS_KEPT = 16
# The use of a part is written down anew when the last one is so long ago.
USED_S = 86400
# So long nobody looks whether what was stored is there.
STORED_S = 600
STORED = 5000
STRETCH = 1000


class Stored:
    """What this process has stored a moment ago, by its id or revision: that need not be stored again, and nobody has dropped it."""

    def __init__(self) -> None:
        self._until: dict[str, str] = {}

    def has(self, name: str) -> bool:
        return self._until.get(name, "") > clock.stamp()

    def add(self, names: Iterable[str]) -> None:
        """To be said after the commit."""
        self._until.update(dict.fromkeys(names, clock.stamp_in(STORED_S)))
        while len(self._until) > STORED:
            del self._until[next(iter(self._until))]


def keep(uses: Uses, asked: Asking, decided: Mapping[str, Decided], groups: Sequence[Sequence[Decided]]) -> dict[str, dict[str, Any]]:
    """Store what the decisions share, and return what is left to store with each reservation, by its id."""
    kept, parts = taken_apart(asked, decided, groups)
    with uses.db.transaction(uses.context) as uow:
        names = store(uses, uow.connection, parts, [asked.policies])
    uses.parts["stored"].add(names)
    return kept


def store(uses: Uses, connection: Any, parts: Mapping[str, Any], policies: Iterable[Policies]) -> set[str]:
    """Store shared parts, by their ids, and the policies by which was decided; what is to be said to ``Stored`` after the commit."""
    stored, now = uses.parts["stored"], clock.stamp()
    # In one order everywhere, so that two who store the same wait for each other instead of in a circle.
    fresh = sorted(name for name in parts if not stored.has(name))
    if fresh:
        made = insert_first(connection, part_table, [{"id": name, "body": parts[name], "at": now} for name in fresh], part_table.c.id)
        # Whoever relies on it for a while does so within a day of the last use.
        repository.part_used(connection, [name for name in fresh if name not in made], now, clock.stamp_in(STORED_S - USED_S))
    revisions = {one.revision: one for one in policies if not stored.has(one.revision)}
    for one in revisions.values():
        remember(connection, one, now)
    return {*fresh, *revisions}


def taken_apart(asked: Asking, decided: Mapping[str, Decided], groups: Sequence[Sequence[Decided]],
                ) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """What is left to store with each reservation, by its id, and the parts that decisions share, by theirs."""
    parts: dict[str, Any] = {}

    def part(body: Any) -> str:
        name = records.part_id(body)
        parts[name] = body
        return name
    frame = part(records.frame(asked))
    places = {source: part(records.facts_of(asked.sources.get(source) or {"id": source}))
              for source in {one.source_id for one in decided.values()}}
    of_group = {id(one): name for members in groups for name in [part(records.group(members, asked))] for one in members}
    kept: dict[str, dict[str, Any]] = {}
    shared: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row_id, one in decided.items():
        key = (one.rule, one.because, one.source_id, one.dry, of_group.get(id(one)))
        if key not in shared:
            shared[key] = records.compact(one, frame, places[one.source_id], asked, key[-1])
        kept[row_id] = shared[key]
    return kept, parts


def remember(connection: Any, policies: Policies, now: str) -> None:
    """Keep the text of policies by which something is decided: with it the decision can be explained for ever."""
    insert_rows(connection, revision_table, [{"revision": policies.revision, "text": policies.text, "at": now}], new_only=True)


def forget(uses: Uses) -> int:
    """Drop a stretch of the parts that no decision needs: unused for ``retention.history_s``, of no reservation that lives; how many went."""
    unused_since = clock.stamp_in(-uses.config.retention.history_s - USED_S)
    with uses.db.reading() as connection:
        old = repository.parts_before(connection, unused_since, STRETCH)
        if not old:
            return 0
        # A part is used anew with each decision, so one that is old can only belong to reservations that are old.
        needed = repository.parts_of_living(connection, clock.stamp_in(-uses.config.retention.history_s))
    with uses.db.transaction() as uow:
        repository.part_used(uow.connection, sorted(needed & set(old)), clock.stamp(), unused_since)
        return repository.drop_parts(uow.connection, sorted(set(old) - needed), unused_since)


def completed(uses: Uses, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Reservations as objects of the contract, each with its whole decision record."""
    wanted = [row for row in rows if (row["decision"] or {}).get("frame")]
    whole = {}
    if wanted:
        with uses.db.reading() as connection:
            parts = repository.parts(connection, {row["decision"][name] for row in wanted for name in ("frame", "place", "group")
                                                  if row["decision"].get(name)})
            texts = repository.policy_texts(connection, {row["decision"]["policy"] for row in wanted})
        whole = compose(wanted, parts, {revision: policies_of(revision, text) for revision, text in texts.items()})
    return [{**render(row), **({"decision": whole[row["id"]]} if row["id"] in whole else {})} for row in rows]


def compose(rows: Iterable[Row], parts: Mapping[str, Any], policies: Mapping[str, Policies]) -> dict[str, dict[str, Any]]:
    """The records of these rows by id; a row of which a part is gone keeps what is stored with it."""
    composers: dict[str, records.Composer] = {}
    whole = {}
    places = {place["id"]: place for place in parts.values() if "id" in place}
    for row in rows:
        kept = row["decision"]
        frame, rules = parts.get(kept["frame"]), policies.get(kept["policy"])
        if frame is None or rules is None or kept["place"] not in parts:
            continue
        key = f"{kept['frame']} {kept['place']}"
        if key not in composers:
            own = {**places, row["source_id"]: parts[kept["place"]]}
            composers[key] = records.Composer(records.asking_of(frame, own, rules))
        record = composers[key].record(row["snapshot"], parts.get(kept.get("group")))
        # What was decided counts; a rule that reads differently today must not rewrite it.
        whole[row["id"]] = {**record, **{name: kept[name] for name in ("rule", "because", "policy", "wish", "enforce")}}
    return whole


_compiled: dict[str, Policies] = {}


def policies_of(revision: str, text: str) -> Policies:
    """The policies of a stored text."""
    if revision == NONE.revision:
        return NONE
    if revision not in _compiled:
        while len(_compiled) >= _REVISIONS_KEPT:
            _compiled.pop(next(iter(_compiled)), None)
        _compiled[revision] = read(text, f"revision {revision}")
    return _compiled[revision]
