"""Initial."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Json, Serial, Stamp, Word

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "datareservation",
        sa.Column("id", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Stamp, nullable=False),
        sa.Column("updated_at", Stamp, nullable=False),
        sa.Column("destroyed_at", Stamp, nullable=True),
        sa.Column("owner", Word, nullable=False),
        sa.Column("name", Word, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("request_id", Id, nullable=False),
        sa.Column("request_name", Word, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("data_id", Id, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("source_name", Word, nullable=False),
        sa.Column("action", Word, nullable=True),
        sa.Column("target_id", Id, nullable=True),
        sa.Column("target_name", Word, nullable=True),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("cost_parts", Json, nullable=True),
        sa.Column("rule", Word, nullable=True),
        sa.Column("decision", Json, nullable=True),
        sa.Column("standby", sa.Boolean(), nullable=False),
        sa.Column("reason", Json, nullable=True),
        sa.Column("expires_at", Stamp, nullable=True),
        sa.Column("snapshot", Json, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("datareservation_by_data", "datareservation", ["data_id"], unique=False)
    op.create_index("datareservation_by_name", "datareservation", ["name"], unique=False)
    op.create_index("datareservation_by_state", "datareservation", ["state", "id"], unique=False)
    op.create_index("datareservation_of_request", "datareservation", ["request_id", "attempt", "state"], unique=False)
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
