"""A revoked key ends at every gateway of a mesh: the message about it does that, no gateway has to ask."""
from __future__ import annotations

import pytest
import requests

from tests.support.awaiting import until
from tests.support.servers import run_edgemere

DO = "/edgemere/diml/dml/do"


@pytest.mark.long
def test_a_revoked_key_ends_at_all_gateways_at_once(production_mesh):
    # Answers about keys hold for a minute: within that, only the bus can have told the gateways.
    mesh = production_mesh(start=False, replicas={"gateway": 2}, settings={
        "auth": {"mode": "required", "cache_s": 60}, "limits": {"wrong_credentials": ""}})
    made = run_edgemere("apikey", "bootstrap", EDGEMERE_AMQP_URI=mesh.amqp_uri, EDGEMERE_DATABASE_URL=mesh.database_url)
    admin = {"Authorization": f"Bearer {made.stdout.strip()}"}
    mesh.start()
    assert len(mesh.pids("gateway")) == 2
    key = requests.post(f"{mesh.url}{DO}/apikey/create", json={"name": "everywhere"}, headers=admin, timeout=120).json()

    def asked() -> list[int]:
        # A connection of its own each time: either gateway takes it.
        return [requests.get(f"{mesh.url}{DO}/identity/show", headers={"Authorization": f"Bearer {key['key']}"}, timeout=120).status_code
                for _ in range(40)]

    assert set(asked()) == {200}
    assert requests.post(f"{mesh.url}{DO}/apikey/revoke", json={"id": key["id"]}, headers=admin, timeout=120).status_code == 200
    until(lambda: set(asked()) == {401})
