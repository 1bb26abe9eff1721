"""What one Data can be told by its user: create, list, find, show, destroy; and by a metadata manager: relocate."""
from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from services.catalog import access, claims as claiming, intake, naming, passages, reading, repository, rules, totals
from services.catalog.models import DATA, SOURCE, claim_table, ref, render_data
from shared.hosting.uses import Uses
from shared.kernel.errors import Conflict, EdgemereError, NotFound
from shared.kernel.ids import new_id
from shared.kernel.rights import check_owner
from shared.lists import envelope
from shared.query.values import is_clean
from shared.sources import paths
from shared.storage.record import Row
from shared.storage.unit_of_work import UnitOfWork

_CHECKSUM = re.compile(r"[a-z0-9-]{1,20}:[0-9A-Za-z+/=_-]{1,200}")


def create(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Register one Data by hand. No byte of it is looked at; a scan that finds the place takes it over.

    Raises:
        NotFound: ``datasource.not_found``.
        Conflict: ``data.path_taken``, or ``datasource.not_ready`` for a source that is Shutdown.
        Invalid: the path does not lie within the source, or tags that cannot be kept.
    """
    path = rules.check_path(parameters["path"])
    tags = rules.check_tags(parameters.get("tags") or {})
    _check_words(parameters)

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            source = naming.own_source(uses, uow.connection, parameters["source"])
            source = uow.get(SOURCE, source["id"]) or source
            if source["state"] == "Shutdown":
                raise Conflict("datasource.not_ready", f"The source '{source['name']}' is Shutdown and takes no more data.",
                               next_step="Register it in another source.")
            place = intake.place_of(source["id"], path)
            living, rows = repository.at_places(uow, [place])
            if place in living:
                raise _path_taken(source, living[place])
            new = {
                "owner": source["owner"], "source_id": source["id"], "source_name": source["name"],
                "location": source["location"], "path": path, "place": place, "name": rules.name_of(path),
                "type": parameters["type"], "size": parameters.get("size"), "media_type": parameters.get("media_type"),
                "checksum": parameters.get("checksum"), "modified_at": None, "tags": tags, "uri": uri_of(source, path),
                "fingerprint": None,
            }
            new["access_rule"] = access.sorter(uow.connection, source)({**new, "id": place})
            old = rows.get(place)
            if old is not None and old["destroyed_at"]:
                made, = uow.revive(DATA, [old], new)
            else:
                made, = uow.create(DATA, [{**new, "id": new_id("data") if old else place}])
            repository.index_tags(uow, [made])
            access.count(uow, come=[made])
            totals.count_more(uow, source["id"], 1, made["size"] or 0)
            if source["state"] == "Ready":
                uow.tell("capacity.freed", source["id"], {"source": ref(source["id"], source["name"]), "why": "data added"})
            return made
    return render_data(uses.db.retrying(work))


def find(uses: Uses, parameters: Mapping[str, Any], must_exist: bool = True) -> dict[str, Any]:
    """A page of data, those of suspended sources too."""
    with uses.db.reading() as connection:
        rows, following, total = repository.data.page(connection, parameters, must_exist=must_exist,
                                                      visible=access.sight(connection, uses.context).condition)
    reading.note(uses, rows, "fmdm.data.find" if must_exist else "fmdm.data.list")
    return envelope(map(render_data, rows), following, total)


def show(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """One Data with its metadata."""
    with uses.db.reading() as connection:
        row = _seen(uses, connection, parameters["id"], destroyed=True)
    reading.note(uses, [row], "fmdm.data.show")
    return render_data(row)


def _seen(uses: Uses, connection: Connection, ref: str, *, destroyed: bool = False) -> Row:
    """The Data of this id or name, among what the caller may see."""
    return repository.data.resolve(connection, ref, destroyed=destroyed, visible=access.sight(connection, uses.context).condition)


def destroy(uses: Uses, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Take one Data out of the catalogue; its bytes stay.

    Raises:
        Conflict: ``data.in_use``; ``holders`` names the requests that stand on it.
    """
    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = _seen(uses, uow.connection, parameters["id"])
            source = uow.get(SOURCE, row["source_id"])
            check_owner(uses.context, source["owner"], f"The source '{source['name']}'")
            row = uow.get(DATA, row["id"]) or row
            holders = repository.holders(uow.connection, claim_table.c.data_id == row["id"])
            if holders:
                raise Conflict("data.in_use", f"Data '{row['name']}' is in use by {naming.counted(holders)}.",
                               next_step="Complete or cancel them first.", holders=holders)
            gone = {**row, "destroyed_at": row["destroyed_at"]}
            if not row["destroyed_at"]:
                intake.remove(uow, row["source_id"], [row])
                gone = uow.get(DATA, row["id"]) or gone
            return gone
    with naming.holders_named(uses):
        return render_data(uses.db.retrying(work))


def relocate(uses: Uses, data: str, source: str, path: str) -> dict[str, Any]:
    """Write that a Data lies at another source or path now; it keeps its id. Repeating the call changes nothing.

    Raises:
        NotFound: ``data.not_found`` or ``datasource.not_found``.
        Conflict: ``data.path_taken``, or ``datasource.not_ready``.
        Invalid: the path does not lie within the source.
    """
    rules.check_path(path)

    def work() -> Row:
        with uses.db.transaction(uses.context) as uow:
            row = repository.data.resolve(uow.connection, data)
            target = naming.source(uses, uow.connection, source)
            held = repository.locked_sources(uow, {row["source_id"], target["id"]})
            target = held[target["id"]]
            row = uow.get(DATA, row["id"]) or row
            place = intake.place_of(target["id"], path)
            if row["place"] == place:
                return row
            if row["destroyed_at"]:
                raise NotFound("data.not_found", f"The data {row['id']} was destroyed.", next_step="'data list' shows the living ones.")
            if target["state"] != "Ready":
                raise Conflict("datasource.not_ready", f"The source '{target['name']}' is {target['state']}.",
                               next_step="'datasource resume' takes a suspended source into use again.")
            living, _ = repository.at_places(uow, [place])
            if place in living:
                raise _path_taken(target, living[place])
            moved, = uow.change(DATA, [row], {
                "source_id": target["id"], "source_name": target["name"], "location": target["location"], "path": path,
                "place": place, "name": rules.name_of(path), "uri": uri_of(target, path), "fingerprint": None,
                "owner": target["owner"],
            } | {"access_rule": _rule_at(uow, target, row, path)})
            access.count(uow, gone=[row], come=[moved])
            totals.moved(uow, row["source_id"], target["id"], row["size"] or 0)
            return moved
    return render_data(uses.db.retrying(work))


def relocate_all(uses: Uses, moves: Sequence[Mapping[str, Any]], holder: str) -> dict[str, Any]:
    """Relocate what ``holder`` has moved: ``[{"data", "source", "path", "checksum"?, "fingerprint"?, "modified_at"?}]``, in one transaction.

    ``fingerprint`` is what a scan of the target will find, so that it finds nothing changed; ``modified_at`` its time there, which a
    store sets itself. Answers ``{"refused": {data: error}}``: each that is not there any more (``data.not_found``), whose place is taken
    (``data.path_taken``), or on which others stand (``data.in_use``). The holder's claims on readers where the data was are given
    back. Repeating the call changes nothing.

    From then on scans leave both places of each as they are, until ``passages.end`` is called for it.
    """
    def work() -> tuple[dict[str, dict[str, Any]], list[str]]:
        refused: dict[str, dict[str, Any]] = {}
        with uses.db.transaction(uses.context) as uow:
            rows = {row["id"]: row for row in repository.data_rows(uow.connection, [move["data"] for move in moves])}
            held = repository.locked_sources(uow, {row["source_id"] for row in rows.values()} | {move["source"] for move in moves})
            rows = {row["id"]: row for row in repository.data_rows(uow.connection, list(rows))}
            others = repository.claims_of_others(uow.connection, list(rows), holder)
            places = {move["data"]: intake.place_of(move["source"], move["path"]) for move in moves}
            living, _ = repository.at_places(uow, list(places.values()))
            _forget_copies(uow, moves, rows, held, {data: living.get(place) for data, place in places.items()})
            living, _ = repository.at_places(uow, list(places.values()))
            under_way: dict[str, list[tuple[str, str]]] = {}
            for move in moves:
                row, target = rows.get(move["data"]), held.get(move["source"])
                if row is not None and row["place"] == places[row["id"]]:
                    continue
                try:
                    _may_move(move, row, target, living.get(places[move["data"]]), others.get(move["data"]))
                except EdgemereError as error:
                    refused[move["data"]] = {**error.payload(), "retryable": error.retryable}
                    continue
                new = {"source_id": target["id"], "source_name": target["name"], "location": target["location"],
                       "path": move["path"], "place": places[row["id"]], "name": rules.name_of(move["path"]),
                       "uri": uri_of(target, move["path"]), "fingerprint": move.get("fingerprint"),
                       "owner": target["owner"], "access_rule": _rule_at(uow, target, row, move["path"]),
                       **{name: move[name] for name in ("checksum", "modified_at") if move.get(name)}}
                access.count(uow, gone=[row], come=uow.change(DATA, [row], new))
                under_way[row["id"]] = [(row["source_id"], row["place"]), (target["id"], new["place"])]
                totals.moved(uow, row["source_id"], target["id"], row["size"] or 0)
            passages.begin(uow, under_way)
            moved = [move["data"] for move in moves if move["data"] not in refused]
            return refused, repository.reader_claims_elsewhere(uow.connection, holder, moved)
    refused, free = uses.db.retrying(work)
    if free:
        claiming.release(uses, free)
    return {"refused": refused}


def _forget_copies(uow: UnitOfWork, moves: Sequence[Mapping[str, Any]], rows: Mapping[str, Row], held: Mapping[str, Row],
                   taken: Mapping[str, Row | None]) -> None:
    """Take out what a scan of the target made of the copies before their records came: a store cannot hide them until then.

    Only what looks as the copy does, and what nobody stands on.
    """
    copies = [there for move in moves if (there := taken[move["data"]]) is not None and move["data"] in rows and move["source"] in held
              and there["id"] != move["data"] and there["fingerprint"] is not None and there["fingerprint"] == move.get("fingerprint")]
    used = repository.claims_of_others(uow.connection, [there["id"] for there in copies], "")
    for there in copies:
        if there["id"] not in used:
            intake.remove(uow, there["source_id"], [there])


def _rule_at(uow: UnitOfWork, target: Row, row: Row, path: str) -> str | None:
    """The rule for a Data where it comes to lie: that of its new source, as soon as it is there."""
    there = {"source_id": target["id"], "source_name": target["name"], "location": target["location"], "path": path, "name": rules.name_of(path)}
    return access.sorter(uow.connection, target)({**row, **there})


def _may_move(move: Mapping[str, Any], row: Row | None, target: Row | None, taken: Row | None, others: Sequence[str] | None) -> None:
    if row is None:
        raise NotFound("data.not_found", f"The data {move['data']} was destroyed.", next_step="'data list' shows the living ones.")
    if target is None or target["destroyed_at"] or target["state"] != "Ready":
        name = target["name"] if target else move["source"]
        raise Conflict("datasource.not_ready", f"The target '{name}' is out of use.", next_step="'datasource resume' takes a suspended source into use again.")
    if taken is not None:
        raise _path_taken(target, taken)
    if others:
        raise Conflict("data.in_use", f"Data '{row['name']}' is in use by {naming.counted([{'id': one} for one in others])} and is not moved away from them.",
                       next_step="Complete or cancel them first, or ask for a copy.", holders=[{"id": one} for one in others])


def by_ids(uses: Uses, ids: Sequence[str], visible: bool = False) -> dict[str, Any]:
    """Living data by id: ``{id: object}``; what is not there is left out, with ``visible`` also what the caller may not see."""
    with uses.db.reading() as connection:
        seen = access.sight(connection, uses.context).condition if visible else None
        return {row["id"]: render_data(row) for row in repository.data_rows(connection, ids, seen)}


def uri_of(source: Row, path: str) -> str | None:
    """The address of a place in a source, where it follows from the source's parameters."""
    parameters = source["parameters"] or {}
    if source["adaptor"] == "file" and parameters.get("rootdir"):
        return paths.file_uri(os.path.join(os.fsencode(parameters["rootdir"]), paths.to_bytes(path)))
    return intake.simulated_uri(source, path)


def _check_words(parameters: Mapping[str, Any]) -> None:
    for name in ("media_type", "checksum"):
        text = parameters.get(name)
        if text is not None and (len(text) > 255 or not is_clean(text)):
            raise rules.refused(f"/{name}", f"{name} is a text of at most 255 characters without NUL.")
    checksum = parameters.get("checksum")
    if checksum is not None and not _CHECKSUM.fullmatch(checksum):
        raise rules.refused("/checksum", "A checksum is written as its kind and its value.", "Write sha256: and 64 hexadecimal digits.")


def _path_taken(source: Row, row: Row) -> Conflict:
    return Conflict("data.path_taken", f"There is data at '{row['path']}' in '{source['name']}' already: {row['id']}.",
                    next_step="Choose another path, or destroy the data that is there.",
                    errors=[{"pointer": "/path", "detail": "This place is taken."}], data=ref(row["id"], row["name"]))
