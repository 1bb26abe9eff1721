"""Any order of commands on sources, data and claims keeps the net and the sums."""
from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.catalog import claims
from shared.kernel.errors import Conflict, NotFound
from shared.nets import DATASOURCE
from tests.interface.catalog.world import Catalogue

NAMES = st.sampled_from(["a", "b"])
ROOM = 3


class Sources(RuleBasedStateMachine):
    """Two sources with room for three readers each, and what a plain model says of them."""

    @initialize()
    def begin(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="edgemere-model-"))
        self.catalogue = Catalogue(f"sqlite:///{self.home}/catalog.db", self.home / "own")
        self.states: dict[str, str] = {}
        self.data: dict[str, set[str]] = {}
        self.claimed: dict[str, set[str]] = {}

    def teardown(self) -> None:
        if hasattr(self, "catalogue"):
            self.catalogue.close()
            shutil.rmtree(self.home)

    @rule(name=NAMES)
    def register(self, name: str) -> None:
        if name not in self.states:
            self.catalogue.source(name, capacity={"readers": ROOM})
            self.states[name], self.data[name], self.claimed[name] = "Ready", set(), set()

    @rule(name=NAMES, event=st.sampled_from(["suspend", "resume", "shutdown"]))
    def move(self, name: str, event: str) -> None:
        try:
            moved = self.catalogue.call(f"datasource_{event}", id=name)
        except NotFound:
            assert name not in self.states
        except Conflict as refusal:
            assert not DATASOURCE.allows(self.states[name], event)
            assert refusal.extra["legal"] == DATASOURCE.legal(self.states[name])
        else:
            self.states[name] = DATASOURCE.move(self.states[name], event).target
            assert moved["state"] == self.states[name]

    @rule(name=NAMES, path=st.sampled_from(["x", "y/z"]))
    def put(self, name: str, path: str) -> None:
        try:
            self.catalogue.call("data_create", source=name, path=path, size=5, tags={"of": name})
        except NotFound:
            assert name not in self.states
        except Conflict:
            assert path in self.data[name] or self.states[name] == "Shutdown"
        else:
            assert path not in self.data[name]
            self.data[name].add(path)

    @rule(name=NAMES, claim=st.sampled_from("pqrstu"))
    def claim(self, name: str, claim: str) -> None:
        if name not in self.states:
            return
        source = self.catalogue.call("datasource_show", id=name)
        mine = f"{name}.{claim}"
        try:
            self.catalogue.claim(source, mine)
        except Conflict:
            assert self.states[name] != "Ready" or len(self.claimed[name]) == ROOM
        else:
            self.claimed[name].add(mine)

    @rule(name=NAMES, claim=st.sampled_from("pqrstu"))
    def release(self, name: str, claim: str) -> None:
        held = self.claimed.get(name, set())
        mine = f"{name}.{claim}"
        assert claims.release(self.catalogue.uses, ids=[mine]) == {"released": int(mine in held)}
        held.discard(mine)

    @rule(name=NAMES)
    def destroy(self, name: str) -> None:
        try:
            self.catalogue.call("datasource_destroy", id=name)
        except NotFound:
            assert name not in self.states
        except Conflict:
            assert self.claimed[name]
        else:
            assert not self.claimed[name]
            for kept in (self.states, self.data, self.claimed):
                del kept[name]

    @invariant()
    def the_sums_are_right(self) -> None:
        if not hasattr(self, "catalogue"):
            return
        shown = {source["name"]: source for source in self.catalogue.call("datasource_list")["items"]}
        assert {name: source["state"] for name, source in shown.items()} == self.states
        for name, source in shown.items():
            assert source["used"]["readers"] == len(self.claimed[name]) <= ROOM
            assert (source["data_count"], source["data_bytes"]) == (len(self.data[name]), 5 * len(self.data[name]))
        ready = sum(len(self.data[name]) for name, state in self.states.items() if state == "Ready")
        page = self.catalogue.call("query", expression={"of": {"$in": ["a", "b"]}})
        assert page["total"] == len(page["items"]) == page["funnel"]["base"] == ready


TestSources = Sources.TestCase
TestSources.settings = settings(max_examples=15, stateful_step_count=25, deadline=None,
                                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
