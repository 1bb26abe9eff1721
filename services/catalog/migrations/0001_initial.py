"""Initial."""

import sqlalchemy as sa
from alembic import op

from shared.query.tag_index import ExactNumber
from shared.storage.schema import Id, Json, Serial, Stamp, Word

revision = "0001_initial"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "claim",
        sa.Column("id", Word, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("kind", Word, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("holder", Word, nullable=False),
        sa.Column("data_id", Id, nullable=True),
        sa.Column("expires_at", Stamp, nullable=True),
        sa.Column("created_at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("claim_by_data", "claim", ["data_id"], unique=False)
    op.create_index("claim_by_expiry", "claim", ["expires_at"], unique=False)
    op.create_index("claim_by_holder", "claim", ["holder", "id"], unique=False)
    op.create_index("claim_by_source", "claim", ["source_id", "holder"], unique=False)
    op.create_table(
        "data",
        sa.Column("id", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Stamp, nullable=False),
        sa.Column("updated_at", Stamp, nullable=False),
        sa.Column("destroyed_at", Stamp, nullable=True),
        sa.Column("owner", Word, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("source_name", Word, nullable=False),
        sa.Column("location", Word, nullable=True),
        sa.Column("path", Word, nullable=False),
        sa.Column("place", Id, nullable=False),
        sa.Column("name", Word, nullable=False),
        sa.Column("type", Word, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("media_type", Word, nullable=True),
        sa.Column("checksum", Word, nullable=True),
        sa.Column("modified_at", Stamp, nullable=True),
        sa.Column("tags", Json, nullable=True),
        sa.Column("uri", Word, nullable=True),
        sa.Column("fingerprint", Word, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "data_by_name",
        "data",
        ["name", "id"],
        unique=False,
        sqlite_where=sa.text("destroyed_at IS NULL"),
        postgresql_where=sa.text("destroyed_at IS NULL"),
    )
    op.create_index("data_by_place", "data", ["place"], unique=False)
    op.create_index(
        "data_by_size",
        "data",
        ["size", "id"],
        unique=False,
        sqlite_where=sa.text("destroyed_at IS NULL"),
        postgresql_where=sa.text("destroyed_at IS NULL"),
    )
    op.create_index(
        "data_by_source",
        "data",
        ["source_id", "place"],
        unique=False,
        sqlite_where=sa.text("destroyed_at IS NULL"),
        postgresql_where=sa.text("destroyed_at IS NULL"),
    )
    op.create_table(
        "datasource",
        sa.Column("id", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Stamp, nullable=False),
        sa.Column("updated_at", Stamp, nullable=False),
        sa.Column("destroyed_at", Stamp, nullable=True),
        sa.Column("owner", Word, nullable=False),
        sa.Column("name", Word, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("adaptor", Word, nullable=False),
        sa.Column("parameters", Json, nullable=True),
        sa.Column("writable", sa.Boolean(), nullable=False),
        sa.Column("capacity", Json, nullable=True),
        sa.Column("used", Json, nullable=True),
        sa.Column("cost", Json, nullable=True),
        sa.Column("tags", Json, nullable=True),
        sa.Column("location", Word, nullable=True),
        sa.Column("data_count", sa.BigInteger(), nullable=False),
        sa.Column("data_bytes", sa.BigInteger(), nullable=False),
        sa.Column("scan", Json, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("datasource_by_name", "datasource", ["name"], unique=False)
    op.create_index("datasource_by_state", "datasource", ["state", "id"], unique=False)
    op.create_index(
        "datasource_live_name",
        "datasource",
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
        "listing",
        sa.Column("source_id", Id, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("source_id"),
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
    op.create_table(
        "scan",
        sa.Column("id", Id, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("state", Word, nullable=False),
        sa.Column("files", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.Column("vanished", sa.BigInteger(), nullable=False),
        sa.Column("problems", Json, nullable=True),
        sa.Column("problem_count", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("started_at", Stamp, nullable=False),
        sa.Column("ended_at", Stamp, nullable=True),
        sa.Column("holder", Word, nullable=True),
        sa.Column("until", Stamp, nullable=True),
        sa.Column("owner", Word, nullable=False),
        sa.Column("correlation_id", Word, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("scan_by_source", "scan", ["source_id", "id"], unique=False)
    op.create_index("scan_by_state", "scan", ["state", "until"], unique=False)
    op.create_index(
        "scan_running",
        "scan",
        ["source_id"],
        unique=True,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "tag",
        sa.Column("data_id", Id, nullable=False),
        sa.Column("key", Word, nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("text", Word, nullable=True),
        sa.Column("number", ExactNumber(), nullable=True),
        sa.Column("long", Word, nullable=True),
        sa.PrimaryKeyConstraint("data_id", "key", "n"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tag_number", "tag", ["key", "kind", "number", "data_id"], unique=False)
    op.create_index("ix_tag_text", "tag", ["key", "text", "data_id"], unique=False)
