"""How many data can match at all is kept with each change; here it is held against a plain count, whatever happened before."""
from __future__ import annotations

import random
import re
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from services.catalog import access, data, handlers, intake, totals
from services.catalog.models import SOURCE, data_table, rule_table, source_table, tally_table
from shared.kernel.context import Context
from shared.kernel.errors import EdgemereError
from shared.kernel.ids import new_id
from shared.query import DATA_FIELDS, matches, parse
from shared.storage.database import make_engine
from shared.storage.migrate import migrate, migrations_folder, revisions
from tests.interface.catalog.test_restricted import asked, steps
from tests.interface.catalog.world import Catalogue

PATHS = [f"d/{n}.csv" for n in range(6)]
MANY = 3000
RULES = ([], [{"when": "size>5", "owners": ["bob"]}, {"when": "(path:d/1.csv OR path:d/2.csv)", "owners": []}],
         [{"when": "path:d/0.csv", "owners": ["cy"]}, {"when": {}, "owners": ["bob", "cy"]}])


def counted(catalogue: Catalogue) -> int:
    """The living data of sources in use, one by one."""
    with catalogue.db.reading() as connection:
        return len(connection.execute(select(data_table.c.id).join(source_table, source_table.c.id == data_table.c.source_id).where(
            data_table.c.destroyed_at.is_(None), source_table.c.destroyed_at.is_(None), source_table.c.state == "Ready")).all())


def told(catalogue: Catalogue) -> int:
    page = catalogue.call("query", limit=1)
    assert page["total"] == page["funnel"]["base"]
    return page["total"]


def hidden(catalogue: Catalogue, who: str) -> tuple[int, int, int]:
    """What can match for this caller, how much of it is from a scan, and what is hidden from him, by the rules as written."""
    seen = scanned = unseen = 0
    sources = {one["id"]: catalogue.call("datasource_show", id=one["id"]) for one in catalogue.call("datasource_list")["items"]}
    for item in catalogue.call("data_list", limit=500)["items"]:
        source = sources.get(item["source"]["id"])
        if source and source["state"] == "Ready":
            rule = next((rule for rule in source["access"] or [] if matches(parse(rule["when"], DATA_FIELDS))(item)), None)
            sees = rule is None or who in rule["owners"]
            seen, scanned, unseen = seen + sees, scanned + (sees and "from" in item["tags"]), unseen + (not sees)
    return seen, scanned, unseen


def told_to(catalogue: Catalogue, who: str) -> tuple[int, int, int]:
    own, catalogue.uses = catalogue.uses, replace(catalogue.uses, context=Context(who, ("DataScientist",)))
    try:
        page = catalogue.call("query", expression="from:scan size>=0", limit=1)
    finally:
        catalogue.uses = own
    scanned, scanned_too = (step["remaining"] for step in page["funnel"]["steps"])
    assert scanned == scanned_too == page["total"]
    return page["funnel"]["base"], scanned, page["funnel"].get("hidden_by_access", 0)


def rows_of_the_sum(catalogue: Catalogue) -> int:
    with catalogue.db.reading() as connection:
        return len(connection.execute(select(tally_table)).all())


class Steps:
    """What people, scans and moves do with three sources, drawn by chance; what is refused changes nothing."""

    def __init__(self, catalogue: Catalogue, dice: random.Random) -> None:
        self.catalogue, self.dice = catalogue, dice
        self.sources = [catalogue.source(name) for name in "abc"]

    def one(self) -> str:
        step = self.dice.choice((self.scan, self.scan, self.vanish, self.put, self.move, self.move_many, self.forget, self.suspend, self.resume, self.resume,
                                 self.rule, self.shutdown, self.destroy, self.sweep))
        try:
            step()
        except EdgemereError as refusal:
            return f"{step.__name__}: {refusal.code}"
        return step.__name__

    def source(self) -> Any:
        return self.dice.choice(self.sources)

    def some(self, of: Any = None) -> list[dict[str, Any]]:
        found = self.catalogue.call("data_list", **({"source": of["id"]} if of else {}), limit=50)["items"]
        return self.dice.sample(found, self.dice.randint(0, min(3, len(found))))

    def scan(self) -> None:
        paths = self.dice.sample(PATHS, self.dice.randint(1, 5))
        with self.catalogue.db.transaction(self.catalogue.uses.context) as uow:
            source = uow.get(SOURCE, self.source()["id"])
            if not source["destroyed_at"]:
                intake.take(uow, source, {intake.place_of(source["id"], path): {
                    "path": path, "name": path, "type": "file", "size": self.dice.randint(0, 9), "media_type": None, "modified_at": None, "checksum": None,
                    "tags": {"from": "scan"}, "uri": None, "fingerprint": str(self.dice.random())} for path in paths})

    def vanish(self) -> None:
        source = self.source()
        gone = {one["id"] for one in self.some(source)}
        with self.catalogue.db.transaction(self.catalogue.uses.context) as uow:
            uow.get(SOURCE, source["id"])
            intake.remove(uow, source["id"], uow.rows(select(data_table).where(data_table.c.id.in_(gone))))

    def put(self) -> None:
        self.catalogue.call("data_create", source=self.source()["id"], path=self.dice.choice(PATHS), size=3)

    def move(self) -> None:
        for one in self.some()[:1]:
            data.relocate(self.catalogue.uses, one["id"], self.source()["id"], f"m/{self.dice.random()}.csv")

    def move_many(self) -> None:
        target = self.source()
        data.relocate_all(self.catalogue.uses, [{"data": one["id"], "source": target["id"], "path": self.dice.choice(PATHS)} for one in self.some()],
                          "dreq_1")

    def forget(self) -> None:
        for one in self.some():
            self.catalogue.call("data_destroy", id=one["id"])

    def rule(self) -> None:
        source = self.source()
        with self.catalogue.db.transaction(self.catalogue.uses.context) as uow:
            row = uow.get(SOURCE, source["id"])
            if not row["destroyed_at"]:
                access.change(uow, row, access.check(self.dice.choice(RULES)))

    def suspend(self) -> None:
        self.catalogue.call("datasource_suspend", id=self.source()["id"])

    def resume(self) -> None:
        self.catalogue.call("datasource_resume", id=self.source()["id"])

    def shutdown(self) -> None:
        if self.dice.random() < 0.3:
            self.catalogue.call("datasource_shutdown", id=self.source()["id"])

    def destroy(self) -> None:
        gone = self.source()
        if self.dice.random() < 0.5:
            self.catalogue.call("datasource_destroy", id=gone["id"])
            self.sources[self.sources.index(gone)] = self.catalogue.source(f"s{self.dice.random()}")

    def sweep(self) -> None:
        totals.settle(self.catalogue.db)


@pytest.mark.parametrize("seed", range(2))
def test_after_any_steps_in_any_order_as_many_can_match_as_are_there(catalogue: Catalogue, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MOST_ROWS", 3)
    dice = random.Random(seed)
    world, done = Steps(catalogue, dice), []
    for _ in range(60):
        done.append(world.one())
        assert told(catalogue) == counted(catalogue), done[-5:]
        for who in ("bob", "cy"):
            assert told_to(catalogue, who) == hidden(catalogue, who), (who, done[-5:])
    assert counted(catalogue) > 0 or len(set(done)) > 8


def test_what_is_written_to_many_sources_at_once_while_the_sum_is_settled_is_counted_once(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "MOST_ROWS", 0)
    sources = [catalogue.source(f"s{n}") for n in range(4)]
    over, failures = threading.Event(), []

    def write(source: dict[str, Any]) -> None:
        try:
            for n in range(12):
                catalogue.db.retrying(lambda n=n: catalogue.holding(source, {"path": f"{n}.csv"}, {"path": f"{n}.bin"}))
                if n % 4 == 3:
                    catalogue.call("datasource_suspend", id=source["id"])
                    catalogue.call("datasource_resume", id=source["id"])
        except Exception as error:
            failures.append(error)

    def settle() -> None:
        try:
            while not over.is_set():
                totals.settle(catalogue.db)
        except Exception as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(source,)) for source in sources]
    settlers = [threading.Thread(target=settle) for _ in range(2)]
    for thread in [*settlers, *writers]:
        thread.start()
    for thread in writers:
        thread.join(120)
    over.set()
    for thread in settlers:
        thread.join(120)
    assert failures == []
    totals.settle(catalogue.db)
    assert told(catalogue) == counted(catalogue) == 4 * 24
    assert rows_of_the_sum(catalogue) == 1


def test_what_a_replica_of_the_release_before_did_is_in_the_sum_after_the_next_sweep(catalogue: Catalogue) -> None:
    source = catalogue.source()
    catalogue.holding(source, {"path": "a.csv"}, {"path": "b.csv"})
    with catalogue.db.transaction() as uow:
        # A simulated source is not scanned by itself.
        uow.connection.execute(update(source_table).where(source_table.c.id == source["id"]).values(
            adaptor="simulated", data_count=source_table.c.data_count + 5))
    for _ in range(2):
        handlers.sweep(catalogue.uses)
        assert told(catalogue) == 7
    catalogue.call("datasource_destroy", id=source["id"])
    assert told(catalogue) == 0


def test_a_catalogue_of_the_release_before_begins_with_what_its_sources_have(database_url: str, tmp_path: Path) -> None:
    older = tmp_path / "migrations"
    older.mkdir()
    for revision in revisions("catalog"):
        if revision < "0008":
            shutil.copy(migrations_folder("catalog") / f"{revision}.py", older)
    engine = make_engine(database_url, "catalog")
    migrate("catalog", engine, older)
    row = {"version": 1, "created_at": "", "updated_at": "", "owner": "ada", "adaptor": "file", "writable": False, "data_bytes": 0}
    with engine.execution_options(writes=True).begin() as connection:
        connection.execute(insert(source_table), [{**row, "id": new_id("datasource"), "name": state, "state": state, "data_count": count}
                                                  for state, count in (("Ready", 30), ("Suspended", 4))])
    migrate("catalog", engine)
    with engine.connect() as connection:
        assert totals.basis(connection).count == 30
    engine.dispose()


def test_a_question_does_not_go_through_the_sources_that_are_in_use(catalogue: Catalogue) -> None:
    source = catalogue.source("some")
    catalogue.holding(source, {"path": "a.csv"})
    row = {"version": 1, "created_at": "", "updated_at": "", "owner": "ada", "adaptor": "simulated", "writable": False, "data_bytes": 0, "data_count": 1,
           "state": "Ready"}
    with catalogue.db.transaction() as uow:
        uow.connection.execute(insert(source_table), [{**row, "id": new_id("datasource"), "name": f"{n}"} for n in range(MANY)])
    catalogue.call("datasource_suspend", id="some")
    with catalogue.engine.connect().execution_options(isolation_level="AUTOCOMMIT", writes=True) as connection:
        connection.execute(text("ANALYZE"))
    totals.settle(catalogue.db)
    with asked(catalogue.engine) as questions:
        page = catalogue.call("query", expression="name:a.csv")
    assert page["funnel"]["base"] == MANY and page["warnings"][0]["code"] == "source_out_of_use"
    whole = re.compile(r"Seq Scan on datasource\b|^(SCAN|SEARCH) datasource\b(?!.*(datasource_out_of_use|autoindex))")
    assert [(step, statement) for statement, parameters in questions for step in steps(catalogue.engine, statement, parameters) if whole.search(step)] == []


def test_rules_that_nobody_has_counted_are_counted_by_the_sweep_and_told_right_before(catalogue: Catalogue) -> None:
    source = catalogue.source()
    with catalogue.db.transaction(catalogue.uses.context) as uow:
        access.change(uow, uow.get(SOURCE, source["id"]), access.check([{"when": "size>5", "owners": ["bob"]}]))
    catalogue.holding(source, *({"path": f"{n}.csv", "size": n} for n in range(10)))
    with catalogue.db.transaction() as uow:
        # As the release before writes them.
        uow.connection.execute(update(rule_table).values(data_count=None))
    catalogue.call("data_destroy", id="9.csv")
    assert told_to(catalogue, "cy") == (6, 0, 3)
    access.count_what_is_not(catalogue.db)
    with catalogue.db.reading() as connection:
        assert list(connection.execute(select(rule_table.c.data_count)).scalars()) == [3]
    catalogue.call("data_destroy", id="8.csv")
    assert told_to(catalogue, "cy") == (6, 0, 2)


def test_data_that_is_moved_is_counted_at_the_rule_that_it_comes_under(catalogue: Catalogue) -> None:
    places = {name: catalogue.source(name) for name in ("open", "closed")}
    with catalogue.db.transaction(catalogue.uses.context) as uow:
        access.change(uow, uow.get(SOURCE, places["closed"]["id"]), access.check([{"when": {}, "owners": ["bob"]}]))
    catalogue.holding(places["open"], {"path": "a.csv"}, {"path": "b.csv"}, {"path": "c.csv"})
    ids = {one["path"]: one["id"] for one in catalogue.call("data_list")["items"]}
    data.relocate(catalogue.uses, ids["a.csv"], places["closed"]["id"], "a.csv")
    assert told_to(catalogue, "cy") == (2, 0, 1)
    data.relocate_all(catalogue.uses, [{"data": ids["b.csv"], "source": places["closed"]["id"], "path": "b.csv"}], "dreq_1")
    assert told_to(catalogue, "cy") == (1, 0, 2)
    data.relocate(catalogue.uses, ids["a.csv"], places["open"]["id"], "a.csv")
    assert (told_to(catalogue, "cy"), told_to(catalogue, "bob")) == ((2, 0, 1), (3, 0, 0))
