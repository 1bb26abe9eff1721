"""Initial."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Json, Serial, Stamp, Word

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "deadletter",
        sa.Column("id", Id, nullable=False),
        sa.Column("death", sa.String(length=64), nullable=False),
        sa.Column("event", Word, nullable=False),
        sa.Column("queue", Word, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("code", Word, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("time", Stamp, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("headers", Json, nullable=False),
        sa.Column("properties", Json, nullable=False),
        sa.Column("exchange", Word, nullable=False),
        sa.Column("replayed_at", Stamp, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("deadletter_by_death", "deadletter", ["death"], unique=False)
    op.create_index("deadletter_by_event", "deadletter", ["event", "id"], unique=False)
    op.create_index("deadletter_by_queue", "deadletter", ["queue", "id"], unique=False)
    op.create_index("deadletter_by_replay", "deadletter", ["replayed_at"], unique=False)
    op.create_table(
        "event",
        sa.Column("sequence", Serial, autoincrement=True, nullable=False),
        sa.Column("id", Word, nullable=False),
        sa.Column("name", Word, nullable=False),
        sa.Column("noun", Word, nullable=False),
        sa.Column("object_id", Word, nullable=True),
        sa.Column("object_name", Word, nullable=True),
        sa.Column("owner", Word, nullable=False),
        sa.Column("correlation_id", Word, nullable=True),
        sa.Column("causation_id", Word, nullable=True),
        sa.Column("time", Stamp, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("event_by_correlation", "event", ["correlation_id", "sequence"], unique=False)
    op.create_index("event_by_noun", "event", ["noun", "sequence", "name"], unique=False)
    op.create_index("event_by_object", "event", ["object_id", "sequence"], unique=False)
    op.create_index("event_by_object_name", "event", ["object_name", "sequence"], unique=False)
    op.create_index("event_by_time", "event", ["time"], unique=False)
    op.create_table(
        "history",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("object_id", Id, nullable=False),
        sa.Column("noun", sa.String(length=32), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("from_state", sa.String(length=32), nullable=False),
        sa.Column("to_state", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", Stamp, nullable=False),
        sa.Column("causation_id", sa.String(length=64), server_default=sa.text("('')"), nullable=False),
        sa.Column("detail", Json, nullable=True),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("history_by_object", "history", ["object_id", "seq"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("key", sa.String(length=512), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("noun", sa.String(length=32), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("idempotency_by_time", "idempotency", ["at"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("consumer", sa.String(length=100), nullable=False),
        sa.Column("message_id", sa.String(length=128), nullable=False),
        sa.Column("at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("consumer", "message_id"),
    )
    op.create_index("inbox_by_time", "inbox", ["at"], unique=False)
    op.create_table(
        "lease",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("until", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "outbox",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("exchange", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_by_shard", "outbox", ["shard", "seq"], unique=False)
