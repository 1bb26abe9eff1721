"""No order of events leads an object of any class out of its net; what is refused changes nothing."""
from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import Column, MetaData, Table, create_engine, event, select

from shared.contracts.event import EVENTS
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.nets import NETS
from shared.storage.database import Database
from shared.storage.record import Record
from shared.storage.schema import Word, object_columns, service_tables
from tests.support.nets_of_contract import NETS as CONTRACT


@pytest.mark.parametrize("noun", CONTRACT)
def test_the_net_is_the_one_of_the_contract(noun):
    net = NETS[noun]
    assert {state: {way["event"]: way["to"] for way in net.legal(state)} for state in net.states} == CONTRACT[noun]


def objects_of(noun: str) -> tuple[Database, Record]:
    """A database in memory with one class of objects."""
    metadata = MetaData()
    service_tables(metadata)
    table = Table(noun, metadata, *object_columns(), Column("name", Word), Column("state", Word))
    engine = create_engine("sqlite://")
    event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    metadata.create_all(engine)
    return Database(engine, metadata), Record(noun, table, dict, NETS[noun])


EVENTS_OF_ALL = sorted({name for ways in CONTRACT.values() for state in ways.values() for name in state})


@pytest.mark.parametrize("noun", CONTRACT)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_order_of_events_stays_in_the_net_and_is_told_as_it_happened(noun, data):
    db, record = objects_of(noun)
    with db.transaction() as uow:
        row, = uow.create(record, [{"id": new_id(noun), "owner": "o", "name": "n"}])
    state, version, told = "Init", 1, [f"{noun}.create"]
    for name in data.draw(st.lists(st.sampled_from(EVENTS_OF_ALL), max_size=12)):
        legal = CONTRACT[noun][state]
        try:
            with db.transaction() as uow:
                row, = uow.destroy(record, [row]) if name == "destroy" and noun == "datainstance" else uow.move(record, [row], name)
            assert name in legal, f"{name} was allowed from {state}"
            state, version = legal[name], version + 1
            if name == "destroy":
                told.append(f"{noun}.destroy")
            else:
                told += [f"{noun}.{state.lower()}", f"{noun}.updated"]
        except Conflict as refused:
            assert name not in legal, f"{name} was refused from {state}"
            assert {way["event"] for way in refused.extra["legal"]} == set(legal)
        assert (row["state"], row["version"]) == (state, version)
    with db.reading() as connection:
        stored = connection.execute(select(record.table)).mappings().one()
        said = list(connection.execute(select(db.metadata.tables["outbox"].c.name).order_by("seq")).scalars())
    assert (stored["state"], stored["version"]) == (state, version)
    assert said == told and set(said) <= set(EVENTS)
    db.close()
