"""Initial."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Json, Serial, Stamp, Word

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "counter",
        sa.Column("name", Word, nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "datareference",
        sa.Column("id", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Stamp, nullable=False),
        sa.Column("updated_at", Stamp, nullable=False),
        sa.Column("destroyed_at", Stamp, nullable=True),
        sa.Column("owner", Word, nullable=False),
        sa.Column("name", Word, nullable=False),
        sa.Column("short_name", Word, nullable=True),
        sa.Column("state", Word, nullable=False),
        sa.Column("query", Json, nullable=True),
        sa.Column("connection", Json, nullable=True),
        sa.Column("defaults", Json, nullable=True),
        sa.Column("request_id", Id, nullable=True),
        sa.Column("request_name", Word, nullable=True),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("reason", Json, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("datareference_by_state", "datareference", ["state", "id"], unique=False)
    op.create_index(
        "datareference_live_name",
        "datareference",
        ["owner", "name"],
        unique=True,
        sqlite_where=sa.text("destroyed_at IS NULL"),
        postgresql_where=sa.text("destroyed_at IS NULL"),
    )
    op.create_table(
        "datarequest",
        sa.Column("id", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Stamp, nullable=False),
        sa.Column("updated_at", Stamp, nullable=False),
        sa.Column("destroyed_at", Stamp, nullable=True),
        sa.Column("owner", Word, nullable=False),
        sa.Column("name", Word, nullable=False),
        sa.Column("ename", Word, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("query", Json, nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("reason", Json, nullable=True),
        sa.Column("blocked_by", Json, nullable=True),
        sa.Column("reference_id", Id, nullable=True),
        sa.Column("reference_name", Word, nullable=True),
        sa.Column("target", Word, nullable=True),
        sa.Column("workload", Word, nullable=True),
        sa.Column("action", Word, nullable=True),
        sa.Column("granularity", Word, nullable=False),
        sa.Column("select", Json, nullable=True),
        sa.Column("wait", sa.Boolean(), nullable=False),
        sa.Column("deadline", Stamp, nullable=True),
        sa.Column("lifetime", sa.Float(), nullable=True),
        sa.Column("expires_at", Stamp, nullable=True),
        sa.Column("labels", Json, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("reservations", sa.Integer(), nullable=False),
        sa.Column("instances", sa.Integer(), nullable=False),
        sa.Column("reservation_refs", Json, nullable=True),
        sa.Column("instance_refs", Json, nullable=True),
        sa.Column("found", Json, nullable=True),
        sa.Column("missing", Json, nullable=True),
        sa.Column("next_retry_at", Stamp, nullable=True),
        sa.Column("announced_at", Stamp, nullable=True),
        sa.Column("correlation_id", Word, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("datarequest_by_name", "datarequest", ["name"], unique=False)
    op.create_index("datarequest_by_reference", "datarequest", ["reference_id"], unique=False)
    op.create_index("datarequest_by_retry", "datarequest", ["next_retry_at"], unique=False)
    op.create_index("datarequest_by_state", "datarequest", ["state", "id"], unique=False)
    op.create_index(
        "datarequest_live_name",
        "datarequest",
        ["owner", "name"],
        unique=True,
        sqlite_where=sa.text("destroyed_at IS NULL"),
        postgresql_where=sa.text("destroyed_at IS NULL"),
    )
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
