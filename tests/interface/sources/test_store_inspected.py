"""What goes into an object store is inspected before it has a name there, also where the store could have copied it by itself."""
from __future__ import annotations

import os

import pytest

from tests.interface.mover.conftest import Bench, bench, item  # noqa: F401  (the fixture)
from tests.interface.mover.test_inspecting import asked
from tests.interface.sources.test_store import name, uploads, world  # noqa: F401  (the fixtures)
from tests.support.clamd import EICAR, Clamd
from tests.support.object_store import ObjectStore

MIB = 1 << 20


@pytest.mark.parametrize("before", [0, 20 * MIB], ids=["whole", "in parts"])
def test_what_the_scanner_finds_never_becomes_an_object(world: Bench, store: ObjectStore, name: str, clamd: Clamd, before: int) -> None:  # noqa: F811
    world.inspect = asked(scanner=clamd.unix)
    world.file("bad.bin", os.urandom(before) + EICAR)
    world.file("good.bin", os.urandom(before) + b"good")
    results = world.run("copy", item("b", "bad.bin"), item("g", "good.bin"))
    assert results["b"]["error"]["code"] == "data.malicious"
    assert results["g"]["inspected"] == {"scanner": "clean"}
    assert store.fs.find(name) == [f"{name}/in/i/good.bin"] and uploads(store, name) == []


def test_a_copy_within_a_store_is_inspected_too(world: Bench, store: ObjectStore, name: str, clamd: Clamd) -> None:  # noqa: F811
    world.sources["s"] = {"adaptor": "fsspec", "parameters": store.parameters(f"{name}/from")}
    store.fs.pipe_file(f"{name}/from/bad.bin", EICAR)
    store.fs.pipe_file(f"{name}/from/good.bin", b"good")
    world.inspect = asked(scanner=clamd.unix)
    results = world.run("copy", item("b", "bad.bin"), item("g", "good.bin"))
    assert results["b"]["error"]["code"] == "data.malicious" and results["g"]["inspected"] == {"scanner": "clean"}
    assert store.fs.find(f"{name}/in") == [f"{name}/in/i/good.bin"]
