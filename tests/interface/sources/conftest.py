"""A store for the tests of this folder, and the secret by which it is opened."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.object_store import SECRET, ObjectStore


@pytest.fixture(scope="package")
def running_store() -> Iterator[ObjectStore]:
    store = ObjectStore()
    yield store
    store.stop()


@pytest.fixture
def store(running_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    monkeypatch.setenv("EDGEMERE_SECRET_TEST_STORE", SECRET)
    return running_store
