"""Which laws of a broker wait for ``--long`` on RabbitMQ, where a crash is a start of the node and a backlog a minute."""
from __future__ import annotations

import pytest

SLOW_ON_RABBITMQ = (
    "test_a_confirmed_publish_survives_kill_9_at_any_moment", "test_what_a_killed_reader_held_is_delivered_again_and_says_so",
    "test_a_big_backlog_stays_out_of_memory", "test_on_rabbitmq",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.name == "test_rabbit.py" and getattr(item, "originalname", "") in SLOW_ON_RABBITMQ:
            item.add_marker(pytest.mark.long)
