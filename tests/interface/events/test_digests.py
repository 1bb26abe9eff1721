"""What keys, seals and the audit log are digested with is a setting; what was made with another goes on being believed, and nothing weak is."""
from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from gateway.callers.keys import Keys
from services.events import identities, keyring
from services.events.models import apikey_table, audit_table
from shared.bus.seal import SEAL, Seal
from shared.hosting.config import ConfigError, load_config
from shared.hosting.sealing import seal_of
from shared.hosting.uses import Uses
from shared.kernel import digests
from shared.kernel.digests import ALGORITHMS, Digests
from shared.kernel.errors import Unauthenticated, from_payload
from tests.interface.events.test_keys import ADMIN, behind_the_triggers, verified, write
from tests.interface.gateway.locked import DO, WHO, locked, refused

OTHERS = ALGORITHMS[1:]


def made_with(uses: Uses, name: str, *believed: str) -> Uses:
    """The service with other settings."""
    settings = replace(uses.config.digests, made_with=name, **({"believed": believed} if believed else {}))
    return replace(uses, config=replace(uses.config, digests=settings))


class Wire:
    """The bus between a gateway and the service, as far as an error is another object behind it."""

    def __init__(self, uses: Uses) -> None:
        self.uses, self.asked, self.answer = uses, 0, {}

    def call(self, service: str, method: str, *, id: str, digest: str, **_: Any) -> Any:
        self.asked += 1
        try:
            self.answer = identities.identify(self.uses, id, digest)
            return self.answer
        except Unauthenticated as error:
            raise from_payload(error.payload()) from None


def new_key(uses: Uses, name: str) -> str:
    return identities.create(replace(uses, context=ADMIN), {"name": name, "owner": "ann", "roles": ["DataScientist"]})["key"]


def row_of(uses: Uses, key: str) -> dict[str, Any]:
    with uses.db.reading() as connection:
        return dict(connection.execute(select(apikey_table).where(apikey_table.c.id == f"akey_{key[4:30]}")).mappings().one())


@pytest.mark.parametrize("name", OTHERS)
def test_keys_made_before_and_after_a_change_of_the_digest_are_believed_and_others_are_not(uses: Uses, name: str) -> None:
    before = new_key(uses, "before")
    now = made_with(uses, name)
    after = new_key(now, "after")
    assert ":" not in row_of(uses, before)["digest"] and row_of(uses, after)["digest"].startswith(f"{name}:")
    # Of replicas that have the setting and those that have not yet each believes both.
    for service in (uses, now):
        wire = Wire(service)
        gateway = Keys(wire, fresh_s=0, timeout_s=5)
        assert {gateway.caller(key).context.owner for key in (before, after)} == {"ann"}
        wrong = after[:31] + before[31:]
        with pytest.raises(Unauthenticated) as caught:
            gateway.caller(wrong)
        assert caught.value.code == "key.wrong" and caught.value.extra == {}, "nobody outside hears how it is kept"
        asked = wire.asked
        gateway.caller(after)
        gateway.caller(after)
        assert wire.asked - asked <= 3, "once it is known by what, one question is enough"
    turned = identities.rotate(replace(now, context=ADMIN), {"id": f"akey_{before[4:30]}", "overlap": 60})["key"]
    assert row_of(uses, turned)["digest"].startswith(f"{name}:")
    wire = Wire(now)
    gateway = Keys(wire, fresh_s=0, timeout_s=5)
    third = new_key(made_with(uses, next(other for other in OTHERS if other != name)), "third")
    for key, ends in ((turned, False), (before, True), (third, False), (before, True), (third, False), (turned, False)):
        gateway.caller(key)
        assert (wire.answer["expires_at"] is not None) == ends, "the secret before works for the overlap"
    with pytest.raises(Unauthenticated) as caught:
        gateway.caller(turned[:31] + third[31:])
    assert caught.value.extra == {}


def test_what_is_kept_of_a_key_is_what_the_release_before_kept_where_nothing_is_set() -> None:
    secret = keyring.new_secret()
    assert keyring.kept(Digests(), secret) == hashlib.sha256(f"edgemere key {hashlib.sha256(secret.encode()).hexdigest()}".encode()).hexdigest()
    assert all(len(keyring.kept(Digests(name), secret)) <= 64 for name in ALGORITHMS), "the column takes no more"


@pytest.mark.parametrize("weak", ["md5", "sha1", "none", "", "sha-256"])
def test_a_weak_or_unknown_algorithm_is_believed_nowhere(uses: Uses, weak: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    for setting in ({"made_with": weak}, {"believed": [weak]}):
        file.write_text(json.dumps({"digests": setting}))
        with pytest.raises(ConfigError, match="digests"):
            load_config("test", files=[file], variables={})
    with pytest.raises(ValueError, match="is none of"):
        Digests(believed=(weak,))
    # A row or a seal that says so, with what such an algorithm would make of it.
    key = new_key(uses, "k")
    sent = f"{weak}:{hashlib.md5(key[31:].encode(), usedforsecurity=False).hexdigest()}"
    kept = f"{weak}:{hashlib.md5(f'edgemere key {sent}'.encode(), usedforsecurity=False).hexdigest()}"
    with uses.db.transaction() as uow:
        uow.connection.execute(apikey_table.update().values(digest=kept))
    for digest in (sent, digests.digest("sha256", key[31:].encode()), ""):
        with pytest.raises(Unauthenticated) as caught:
            identities.identify(uses, f"akey_{key[4:30]}", digest)
        assert caught.value.extra == {}
    seal = Seal(b"a secret of the mesh")
    mark = seal.sealed("requests.show", {}, b"{}")[SEAL]
    assert not seal.holds("requests.show", {SEAL: f"{weak}:{mark}"}, b"{}")


def test_an_algorithm_that_is_taken_away_ends_what_was_made_with_it(uses: Uses) -> None:
    before = new_key(uses, "before")
    write(uses, 2)
    strict = made_with(uses, "sha512", "sha384")
    for algorithm in ("sha256", "sha512"):
        with pytest.raises(Unauthenticated) as caught:
            identities.identify(strict, f"akey_{before[4:30]}", digests.digest(algorithm, before[31:].encode()))
        assert caught.value.extra == {}
    assert verified(strict)["broken"]["sequence"] == 1 and verified(uses)["intact"]
    old, new = Seal(b"a secret of the mesh"), Seal(b"a secret of the mesh", digests=Digests("sha512", ("sha384",)))
    assert not new.holds("requests.show", old.sealed("requests.show", {}, b"{}"), b"{}")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_seals_by_each_algorithm_are_believed_by_all_and_break_with_any_change(name: str) -> None:
    secret, other = b"a secret of the mesh", b"another secret, too!"
    sealing = Seal(secret, digests=Digests(name))
    headers = sealing.sealed("requests.show", {"nameko.owner": "ann"}, b"{}")
    assert digests.algorithm_of(headers[SEAL]) == name and (":" in headers[SEAL]) == (name != "sha256")
    for judging in (Seal(secret), Seal(secret, digests=Digests("sha512")), Seal(other, also=(secret,)), sealing):
        assert judging.holds("requests.show", headers, b"{}")
        assert not judging.holds("requests.show", headers, b"{} ")
        assert not judging.holds("requests.list", headers, b"{}")
        assert not judging.holds("requests.show", {**headers, "nameko.owner": "eve"}, b"{}")
        for mark in (headers[SEAL][:-1], headers[SEAL] + "é", next(one for one in ALGORITHMS if one != name) + ":" + headers[SEAL].rpartition(":")[2]):
            assert not judging.holds("requests.show", {**headers, SEAL: mark}, b"{}")
    assert not Seal(other, digests=Digests(name)).holds("requests.show", headers, b"{}")


@pytest.mark.parametrize("secret", ["of the settings, long enough", ""], ids=["given", "kept"])
def test_the_seal_of_a_mesh_is_made_as_the_settings_say(secret: str, tmp_path: Path) -> None:
    config = load_config("test", overrides={"data_dir": str(tmp_path)}, variables={"EDGEMERE_DIGEST": "sha3-256", "EDGEMERE_MESH_SECRET": secret})
    assert digests.algorithm_of(seal_of(config).sealed("requests.show", {}, b"{}")[SEAL]) == "sha3-256"


def test_the_chain_of_the_audit_log_goes_on_over_a_change_and_shows_what_was_changed_before_and_after(uses: Uses) -> None:
    write(uses, 2)
    for name in (*OTHERS, "sha256"):
        write(made_with(uses, name), 2)
    with uses.db.reading() as connection:
        kinds = [digests.algorithm_of(one) for one in connection.execute(select(audit_table.c.hash).order_by(audit_table.c.sequence)).scalars()]
    assert kinds == [name for name in ("sha256", *OTHERS, "sha256") for _ in range(2)]
    found = verified(uses)
    assert found["intact"] and found["entries"] == 10 and verified(made_with(uses, "sha512"), **found["head"])["intact"]
    behind_the_triggers(uses, "UPDATE audit SET owner = 'eve' WHERE sequence = 5")
    assert verified(uses)["broken"]["sequence"] == 5
    with uses.db.transaction() as uow:
        uow.connection.execute(text("UPDATE audit SET owner = 'ann', hash = 'md5:x' WHERE sequence = 5"))
    assert verified(uses)["broken"]["sequence"] == 5


def test_a_server_goes_on_with_another_digest(tmp_path: Path) -> None:
    server = locked(tmp_path)
    keys: list[str] = []
    try:
        for name in ("sha256", "sha512"):
            server._environment["EDGEMERE_DIGEST"] = name
            server.start() if server.process is None else server.restart()
            keys.append(server.make_key(f"k{len(keys)}", owner="ann", roles=["DataScientist"])["key"])
            for key in keys:
                assert server.ask(WHO, key).json()["owner"] == "ann"
            made = server.ask(f"{DO}/datarequest/create", method="POST", json={"query": "a:1", "wait": True})
            assert made.status_code in (201, 202), made.text
        refused(server.ask(WHO, keys[0][:31] + "a" * 52), "key.wrong")
        found = server.ask(f"{DO}/audit/verify", method="POST").json()
        assert found["intact"] and found["complete"], found
        hashes = {digests.algorithm_of(line["hash"]) for line in server.audit()}
        assert hashes == {"sha256", "sha512"}
    finally:
        server.stop()
