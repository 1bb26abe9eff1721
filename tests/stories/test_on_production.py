"""The stories once more, on the mesh of many processes with RabbitMQ and PostgreSQL: a few by default, all with ``--long``."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stories.test_stories import FACES, STORIES, tell
from tests.support.supervised import SupervisedMesh

SHORT = ("first_question", "copy_to_target", "reference_to_instances", "capacity", "cancel_and_retry", "events_in_order")


@pytest.fixture(scope="module", params=[name if name == "rest" else pytest.param(name, marks=pytest.mark.long) for name in FACES])
def face(request: pytest.FixtureRequest, shared_production_mesh: SupervisedMesh) -> Iterator[Any]:
    face = FACES[request.param](shared_production_mesh.url)
    face.policies = shared_production_mesh.policies
    yield face
    face.close()


@pytest.mark.parametrize("name", [name if name in SHORT else pytest.param(name, marks=pytest.mark.long) for name in STORIES])
def test_the_story_goes_on_the_production_mesh_as_it_is_told(name: str, face: Any, tmp_path: Path) -> None:
    tell(name, face, tmp_path)


def test_the_short_form_tells_stories_that_there_are():
    assert set(SHORT) <= set(STORIES)
