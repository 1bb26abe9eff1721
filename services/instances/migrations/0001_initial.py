"""Initial."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Json, Serial, Stamp, Word

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "access",
        sa.Column("instance_id", Id, nullable=False),
        sa.Column("data_id", Id, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("request_id", Id, nullable=False),
        sa.Column("name", Word, nullable=False),
        sa.Column("action", Word, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("source_path", Word, nullable=False),
        sa.Column("target_id", Id, nullable=True),
        sa.Column("target_path", Word, nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("checksum", Word, nullable=True),
        sa.Column("media_type", Word, nullable=True),
        sa.Column("modified_at", Stamp, nullable=True),
        sa.Column("uri", Word, nullable=True),
        sa.Column("path", Word, nullable=True),
        sa.Column("verified", Word, nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("retry_at", Stamp, nullable=True),
        sa.Column("purge_at", Stamp, nullable=True),
        sa.Column("error", Json, nullable=True),
        sa.PrimaryKeyConstraint("instance_id", "data_id"),
    )
    op.create_index("access_by_data", "access", ["data_id", "state"], unique=False)
    op.create_index("access_by_state", "access", ["state", "request_id"], unique=False)
    op.create_table(
        "datainstance",
        sa.Column("id", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Stamp, nullable=False),
        sa.Column("updated_at", Stamp, nullable=False),
        sa.Column("destroyed_at", Stamp, nullable=True),
        sa.Column("owner", Word, nullable=False),
        sa.Column("name", Word, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("reference_id", Id, nullable=True),
        sa.Column("reference_name", Word, nullable=True),
        sa.Column("request_id", Id, nullable=False),
        sa.Column("request_name", Word, nullable=False),
        sa.Column("source_id", Id, nullable=True),
        sa.Column("source_name", Word, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("workload", Word, nullable=True),
        sa.Column("shown", Json, nullable=True),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("bytes_total", sa.BigInteger(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", Stamp, nullable=True),
        sa.Column("pinned", sa.Boolean(), nullable=False),
        sa.Column("reason", Json, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("datainstance_by_name", "datainstance", ["name"], unique=False)
    op.create_index("datainstance_by_reference", "datainstance", ["reference_id", "state"], unique=False)
    op.create_index("datainstance_by_state", "datainstance", ["state", "id"], unique=False)
    op.create_index(
        "datainstance_live_name",
        "datainstance",
        ["owner", "name"],
        unique=True,
        sqlite_where=sa.text("destroyed_at IS NULL"),
        postgresql_where=sa.text("destroyed_at IS NULL"),
    )
    op.create_index("datainstance_of_request", "datainstance", ["request_id", "attempt", "state"], unique=False)
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
        "made",
        sa.Column("request_id", Id, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "attempt"),
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
