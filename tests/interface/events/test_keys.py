"""Keys and the audit log over a real database of each kind: what is kept, who may what, and what tampering shows."""
from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from services.events import audit_trail, auditing, identities, keyring
from services.events.models import apikey_table, audit_floor_table, audit_table
from shared.bus.event import event_of
from shared.hosting.uses import Uses
from shared.kernel import clock
from shared.kernel.context import Context
from shared.kernel.errors import Conflict, Denied, NotFound, Unauthenticated
from shared.kernel.ids import new_id
from tests.interface.events.conftest import raw

ADMIN = Context(owner="root", roles=("Administrator",), credential="akey_x", action="do.apikey.create", correlation_id="call-1")
ANN = Context(owner="ann", roles=("DataScientist", "ApplicationDeveloper"))
BEN = Context(owner="ben", roles=("DataEngineer",))


@pytest.fixture
def ask(uses: Uses):
    """``ask(handler, context, **parameters)``."""
    def asked(handler: Any, context: Context, **parameters: Any) -> Any:
        uses.context = context
        return handler(uses, parameters)
    return asked


def identify(uses: Uses, key: str) -> dict[str, Any]:
    return identities.identify(uses, f"akey_{key[4:30]}", hashlib.sha256(key[31:].encode()).hexdigest())


def said(uses: Uses) -> list[dict[str, Any]]:
    """The messages in the outbox, as they will be published."""
    import orjson

    with uses.db.reading() as connection:
        rows = connection.execute(text("SELECT name, body FROM outbox ORDER BY seq")).all()
    return [{"name": name, **orjson.loads(body)} for name, body in rows]


def test_a_key_is_shown_once_and_the_table_holds_nothing_that_could_be_sent(uses, ask):
    made = ask(identities.create, ANN, name="nightly")
    key = made["key"]
    assert keyring.FORM.fullmatch(key) and made["roles"] == ["DataScientist", "ApplicationDeveloper"]
    assert ask(identities.show, ANN, id="nightly")["key"] is None
    assert identify(uses, key) == {"id": made["id"], "owner": "ann", "roles": made["roles"], "kind": "key", "expires_at": None, "since": None, "notices": 1}
    with uses.db.reading() as connection:
        row = connection.execute(select(apikey_table)).mappings().one()
    everything = " ".join(map(str, row.values()))
    assert key[31:] not in everything and hashlib.sha256(key[31:].encode()).hexdigest() not in everything
    with pytest.raises(Unauthenticated, match="key.wrong"):
        identities.identify(uses, made["id"], row["digest"])
    assert row["last_used_at"] is not None


def test_nobody_makes_a_key_with_more_than_he_has_himself(uses, ask):
    with pytest.raises(Denied) as refused:
        ask(identities.create, ANN, name="more", roles=["DataEngineer"])
    assert refused.value.code == "apikey.roles" and refused.value.errors[0]["pointer"] == "/roles"
    with pytest.raises(Denied, match="apikey.denied"):
        ask(identities.create, ANN, name="his", owner="ben")
    made = ask(identities.create, ADMIN, name="for-ben", owner="ben", roles=["DataEngineer"])
    assert (made["owner"], made["made_by"]) == ("ben", "root")


def test_keys_of_others_are_not_there(uses, ask):
    made = ask(identities.create, ANN, name="nightly")
    for handler in (identities.show, identities.rotate, identities.revoke):
        for ref in ("nightly", made["id"]):
            with pytest.raises(NotFound, match="apikey.not_found"):
                ask(handler, BEN, id=ref)
    assert ask(identities.find, BEN)["items"] == []
    assert [key["name"] for key in ask(identities.find, ADMIN)["items"]] == ["nightly"]


def test_a_name_is_free_again_when_its_key_has_ended(uses, ask):
    ask(identities.create, ANN, name="nightly")
    with pytest.raises(Conflict, match="apikey.name_taken"):
        ask(identities.create, ANN, name="nightly")
    ask(identities.create, BEN, name="nightly")
    ask(identities.revoke, ANN, id="nightly")
    again = ask(identities.create, ANN, name="nightly")
    assert ask(identities.show, ANN, id="nightly")["id"] == again["id"]


def test_a_rotated_key_has_a_new_secret_and_the_old_one_works_for_the_overlap(uses, ask):
    old = ask(identities.create, ANN, name="nightly")["key"]
    new = ask(identities.rotate, ANN, id="nightly", overlap=3600.0)["key"]
    assert new[:30] == old[:30] and identify(uses, new)["expires_at"] is None
    assert identify(uses, old)["expires_at"] is not None
    with uses.db.transaction() as uow:
        uow.connection.execute(update(apikey_table).values(overlap_until=clock.stamp_in(-1)))
    with pytest.raises(Unauthenticated, match="key.wrong"):
        identify(uses, old)
    assert identify(uses, new)
    newest = ask(identities.rotate, ANN, id="nightly")["key"]
    assert identify(uses, newest)
    for over in (old, new):
        with pytest.raises(Unauthenticated, match="key.wrong"):
            identify(uses, over)


def test_a_revoked_key_ends_with_its_sessions_and_the_gateways_are_told_with_the_commit(uses, ask):
    made = ask(identities.create, ANN, name="nightly")
    uses.context = ANN.having(credential=made["id"])
    session = identities.open_session(uses, 3600, None)
    assert identify(uses, session["key"])["kind"] == "session"
    assert ask(identities.revoke, ANN, id="nightly")["state"] == "Revoked"
    for key in (made["key"], session["key"]):
        with pytest.raises(Unauthenticated, match="key.revoked"):
            identify(uses, key)
    told = [message["obj"] for message in said(uses) if message["name"] == "apikey.revoked"]
    assert [sorted(one["ids"]) for one in told] == [sorted([made["id"], session["id"]])]
    assert ask(identities.revoke, ANN, id=made["id"])["state"] == "Revoked"


def test_a_key_ends_by_itself_and_a_session_with_what_it_was_opened_with(uses, ask):
    key = ask(identities.create, ANN, name="short", lifetime=0.001)["key"]
    with pytest.raises(Unauthenticated, match="key.expired"):
        identify(uses, key)
    assert ask(identities.show, ANN, id="short")["state"] == "Expired"
    with pytest.raises(Conflict, match="apikey.over"):
        ask(identities.rotate, ANN, id="short")
    until = clock.stamp_in(60)
    uses.context = ANN
    assert identities.open_session(uses, 3600, until)["expires_at"] == until
    identities.sweep(uses)
    assert ask(identities.find, ANN, state="Expired")["total"] == 1


def test_a_session_that_nobody_uses_ends_and_one_in_use_goes_on(uses, ask):
    idle_s = uses.config.auth.session_idle_s
    uses.context = ANN
    used, left = identities.open_session(uses, 12 * 3600, None), identities.open_session(uses, 12 * 3600, None)
    key = ask(identities.create, ANN, name="of-a-program")

    def quiet_for(made: dict[str, Any], seconds: float) -> None:
        with uses.db.transaction() as uow:
            uow.connection.execute(update(apikey_table).where(apikey_table.c.id == made["id"]).values(
                created_at=clock.stamp_in(-10 * 3600), last_used_at=clock.stamp_in(-seconds)))

    for made in (used, key):
        quiet_for(made, idle_s - 60)
    quiet_for(left, idle_s + 1)
    assert identify(uses, used["key"])["kind"] == "session"
    with pytest.raises(Unauthenticated, match="key.expired.*not used"):
        identify(uses, left["key"])
    # The use was noted, so that its time begins anew.
    assert ask(identities.show, ANN, id=used["id"])["last_used_at"] > clock.stamp_in(-60)
    # A key is for programs that run once a month.
    quiet_for(key, 40 * 86400)
    identities.sweep(uses)
    assert [ask(identities.show, ANN, id=made["id"])["state"] for made in (used, left, key)] == ["Active", "Expired", "Active"]
    assert identify(uses, key["key"])["kind"] == "key"


def test_the_bootstrap_key_is_taken_once_and_not_again_after_it_was_revoked(uses, ask):
    key = identities.fresh_key()
    row, _ = identities.bootstrap(uses.db, "root", 3600, key)
    assert identify(uses, key)["roles"] == ["DataScientist", "ApplicationDeveloper", "DataEngineer", "Administrator"]
    assert identities.bootstrap(uses.db, "root", 3600, key) is None
    ask(identities.revoke, ADMIN, id=row["id"])
    assert identities.bootstrap(uses.db, "root", 3600, key) is None
    with pytest.raises(Unauthenticated, match="key.revoked"):
        identify(uses, key)


def test_the_bootstrap_key_ends_by_itself_and_neither_a_new_secret_nor_its_file_makes_it_last(uses, ask):
    key, later = identities.fresh_key(), clock.stamp_in(3700)
    row, _ = identities.bootstrap(uses.db, "root", 3600, key)
    assert clock.stamp_in(3500) < identify(uses, key)["expires_at"] == row["expires_at"] < later
    renewed = ask(identities.rotate, ADMIN, id=row["id"])
    assert renewed["expires_at"] == row["expires_at"]
    with uses.db.transaction() as uow:
        uow.connection.execute(update(apikey_table).where(apikey_table.c.id == row["id"]).values(expires_at=clock.stamp_in(-1)))
    with pytest.raises(Unauthenticated, match="key.expired"):
        identify(uses, renewed["key"])
    # A server that starts again with the file does not take it again, either.
    assert identities.bootstrap(uses.db, "root", 3600, key) is None
    with pytest.raises(Unauthenticated, match="key.wrong"):
        identify(uses, key)


# --- what an owner is told about his keys

def told(ask: Any, context: Context) -> list[tuple[Any, ...]]:
    return [(one["what"], one["key"]["name"], one["by"], one["credential"], one["address"]) for one in ask(
        lambda uses, _: identities.whoami(uses), context)["notices"]]


def test_an_owner_is_told_what_was_done_with_his_keys_by_whom_and_from_where_until_he_has_seen_it(uses, ask):
    there = ADMIN.having(address="10.1.2.3")
    made = ask(identities.create, there, name="for-ann", owner="ann", roles=["DataScientist"])
    ask(identities.rotate, there, id=made["id"])
    assert told(ask, ANN) == [("made", "for-ann", "root", "akey_x", "10.1.2.3"), ("rotated", "for-ann", "root", "akey_x", "10.1.2.3")]
    assert told(ask, BEN) == told(ask, ADMIN) == []
    upto = ask(lambda uses, _: identities.whoami(uses), ANN)["notices"][-1]["id"]
    ask(identities.revoke, there, id=made["id"])
    # What happened since he looked still waits; others see nothing for him.
    ask(identities.seen, BEN)
    assert [one["what"] for one in ask(identities.seen, ANN, upto=upto)["notices"]] == ["revoked"]
    # Whoever has his key may do it in his name: he is told all the same.
    ask(identities.create, ANN.having(address="10.6.6.6"), name="another")
    assert told(ask, ANN)[-1] == ("made", "another", "ann", None, "10.6.6.6")
    assert ask(identities.seen, ANN)["notices"] == [] == told(ask, ANN)


def test_a_change_of_a_key_is_said_to_its_owner_on_the_bus_without_its_secret(uses, ask):
    made = ask(identities.create, ADMIN, name="for-ann", owner="ann", roles=["DataScientist"])
    with uses.db.reading() as connection:
        (whose, body), = connection.execute(text("SELECT headers, body FROM outbox WHERE name = 'apikey.changed'")).all()
    assert '"edgemere.owner":"ann"' in str(whose).replace(" ", "").replace("'", '"')
    assert made["id"] in body and made["key"][31:] not in body and '"digest"' not in body


def test_an_owner_is_told_when_the_page_is_opened_at_a_place_that_is_new_and_once_for_each(uses, ask):
    made = ask(identities.create, ANN, name="typed")
    ask(identities.seen, ANN)
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"):
        uses.context = ANN.having(credential=made["id"], address=address)
        identities.open_session(uses, 3600, None)
    assert [one[::4] for one in told(ask, ANN)] == [("login", "10.0.0.1"), ("login", "10.0.0.2")]


def test_how_much_an_owner_has_not_seen_is_part_of_what_gateways_know_of_his_keys(uses, ask):
    key = ask(identities.create, ANN, name="nightly")["key"]
    ask(identities.create, ADMIN, name="for-ann", owner="ann", roles=["DataScientist"])
    assert identify(uses, key)["notices"] == 2
    ask(identities.seen, ANN.having(credential=f"akey_{key[4:30]}"))
    assert identify(uses, key)["notices"] == 0
    # The gateways hear that what they know is old.
    assert [message["obj"]["ids"] for message in said(uses) if message["name"] == "apikey.revoked"] == [[f"akey_{key[4:30]}"]]


# --- the audit log

def write(uses: Uses, count: int, at: str | None = None) -> None:
    auditing.told(uses, [{"kind": "answered", "id": new_id("auditentry"), "owner": "ann", "action": "do.datarequest.create",
                          "outcome": "ok", "status": 201, "correlation_id": f"call-{number}", **({"time": at} if at else {})}
                         for number in range(count)])


def verified(uses: Uses, **noted: Any) -> dict[str, Any]:
    uses.context = ADMIN
    return auditing.verify(uses, noted)


def behind_the_triggers(uses: Uses, statement: str) -> None:
    """What somebody does who owns the database."""
    with uses.db.transaction() as uow:
        if uses.db.is_sqlite:
            for trigger in ("audit_is_never_changed", "audit_is_kept", "audit_floor_is_kept", "audit_floor_is_never_changed"):
                uow.connection.execute(text(f"DROP TRIGGER IF EXISTS {trigger}"))
        else:
            uow.connection.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
            uow.connection.execute(text("ALTER TABLE audit_floor DISABLE TRIGGER ALL"))
        uow.connection.execute(text(statement))


def test_what_a_call_changed_is_said_in_the_transaction_of_the_change_and_written_once(uses, ask):
    made = ask(identities.create, ADMIN, name="for-ben", owner="ben", roles=["DataEngineer"])
    message = next(one for one in said(uses) if one["name"] == "audit.changed")
    import orjson

    delivery = event_of(raw("audit.changed", orjson.dumps(message), message_id=message["id"], queue="events.audit"))
    auditing.changed(uses, [delivery, delivery])
    auditing.changed(uses, [delivery])
    lines = ask(auditing.find, ADMIN)["items"]
    assert [(line["kind"], line["owner"], line["action"], line["objects"], line["correlation_id"]) for line in lines] == [
        ("changed", "root", "do.apikey.create", [made["id"]], "call-1")]


def test_work_that_nobody_who_logged_in_began_is_not_in_the_audit_log(uses, ask):
    ask(identities.create, ANN, name="nightly")
    assert "audit.changed" not in [one["name"] for one in said(uses)]


def test_only_an_administrator_reads_the_audit_log(uses, ask):
    for handler in (auditing.find, auditing.verify):
        with pytest.raises(Denied, match="audit.denied"):
            ask(handler, ANN)


@pytest.mark.parametrize("statement", [
    "UPDATE audit SET owner = 'eve'", "DELETE FROM audit", "DELETE FROM audit WHERE sequence = 1",
    "UPDATE audit_floor SET sequence = 9", "DELETE FROM audit_floor"])
def test_the_database_itself_refuses_to_change_the_audit_log(uses, statement):
    write(uses, 3)
    with uses.db.transaction() as uow:
        uow.connection.execute(audit_floor_table.insert().values(sequence=0, hash=audit_trail.BEGINNING, at=clock.stamp()))
    with pytest.raises(DBAPIError, match="only"):
        with uses.db.transaction() as uow:
            uow.connection.execute(text(statement))
    assert verified(uses) | {"head": 0, "floor": 0} == {
        "intact": True, "complete": True, "entries": 3, "broken": None, "head": 0, "floor": 0}


@pytest.mark.parametrize(("statement", "at"), [
    ("UPDATE audit SET owner = 'eve' WHERE sequence = 2", 2), ("DELETE FROM audit WHERE sequence = 3", 3),
    ("UPDATE audit SET sequence = 9 WHERE sequence = 5", 5), ("DELETE FROM audit WHERE sequence < 3", 1)])
def test_what_somebody_changes_who_owns_the_database_shows(uses, statement, at):
    write(uses, 5)
    behind_the_triggers(uses, statement)
    found = verified(uses)
    assert not found["intact"] and found["broken"]["sequence"] == at


def test_an_end_that_was_cut_off_shows_against_a_head_that_was_noted(uses):
    write(uses, 5)
    noted = verified(uses)["head"]
    write(uses, 2)
    assert verified(uses, **noted)["intact"]
    behind_the_triggers(uses, "DELETE FROM audit WHERE sequence > 4")
    assert verified(uses)["intact"]
    assert not verified(uses, **noted)["intact"]


def test_old_lines_are_forgotten_and_the_log_says_so_itself(uses):
    old = clock.stamp(clock.utc_now() - timedelta(days=uses.config.audit.retention_days + 1))
    write(uses, 3, at=old)
    write(uses, 2)
    assert auditing.forget(uses) == 3 and auditing.forget(uses) == 0
    found = verified(uses)
    assert found["intact"] and found["entries"] == 3 and found["floor"]["sequence"] == 3
    with uses.db.reading() as connection:
        kinds = list(connection.execute(select(audit_table.c.kind).order_by(audit_table.c.sequence)).scalars())
    assert kinds == ["answered", "answered", "forgotten"]


def test_lines_taken_out_as_if_they_were_old_show(uses):
    write(uses, 4)
    with uses.db.reading() as connection:
        its_hash = audit_trail.hash_at(connection, 2)
    behind_the_triggers(uses, f"INSERT INTO audit_floor (sequence, hash, at) VALUES (2, '{its_hash}', '{clock.stamp()}')")
    behind_the_triggers(uses, "DELETE FROM audit WHERE sequence <= 2")
    assert not verified(uses)["intact"]
