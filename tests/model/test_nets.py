"""No order of events leads an object of any class out of its net; what is refused changes nothing."""
from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy import Column, MetaData, Table, create_engine, event, select

from shared.contracts.event import EVENTS
from shared.contracts.table import ACTIONS
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


@pytest.mark.parametrize("noun", CONTRACT)
def test_a_refusal_names_what_a_user_can_do_and_apart_from_it_what_happens_by_itself(noun):
    net = NETS[noun]
    doable = {row.move: row.path[-1] for row in ACTIONS.values() if row.noun == noun and row.move}
    assert dict(net.actions) == doable, "the net knows exactly the actions that move it"
    for state in net.states:
        with pytest.raises(Conflict) as refused:
            net.move(state, "elsewhere", "mine")
        can, _, by_itself = refused.value.next_step.partition(" By itself")
        assert {way["event"]: way["action"] for way in refused.value.extra["legal"]} == {
            name: doable.get(name) for name in CONTRACT[noun][state]}
        for name, to in CONTRACT[noun][state].items():
            verb = doable.get(name)
            assert (f"{verb} (to {to})" in can) == (verb is not None) and (to in by_itself) == (verb != name), (name, can, by_itself)
            assert verb == name or name not in refused.value.next_step, "no word that only the mesh knows"


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
