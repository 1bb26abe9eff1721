"""Keys and audit.

The triggers are no part of the models: the audit log is only added to. A line goes by its age alone, which moves the
floor first; the floor only rises. ``services/events/audit_trail.py`` says what that is worth.
"""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Json, Serial, Stamp, Word

revision = "0002_keys_and_audit"
down_revision = "0001_initial"


ON_SQLITE = (
    "CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END",
    "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit "
    "WHEN OLD.sequence > coalesce((SELECT max(sequence) FROM audit_floor), 0) "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END",
    "CREATE TRIGGER audit_floor_is_never_changed BEFORE UPDATE ON audit_floor "
    "BEGIN SELECT RAISE(ABORT, 'the floor of the audit log only rises'); END",
    "CREATE TRIGGER audit_floor_is_kept BEFORE DELETE ON audit_floor "
    "BEGIN SELECT RAISE(ABORT, 'the floor of the audit log only rises'); END",
)
ON_POSTGRESQL = (
    "CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'audit' THEN "
    "IF OLD.sequence <= coalesce((SELECT max(sequence) FROM audit_floor), 0) THEN RETURN OLD; END IF; END IF; "
    "RAISE EXCEPTION 'the audit log is only added to'; END $$",
    "CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_kept()",
    "CREATE TRIGGER audit_is_never_emptied BEFORE TRUNCATE ON audit EXECUTE FUNCTION audit_is_kept()",
    "CREATE TRIGGER audit_floor_is_kept BEFORE UPDATE OR DELETE ON audit_floor FOR EACH ROW EXECUTE FUNCTION audit_is_kept()",
    "CREATE TRIGGER audit_floor_is_never_emptied BEFORE TRUNCATE ON audit_floor EXECUTE FUNCTION audit_is_kept()",
)


def upgrade() -> None:
    op.create_table(
        "apikey",
        sa.Column("id", Id, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Stamp, nullable=False),
        sa.Column("updated_at", Stamp, nullable=False),
        sa.Column("destroyed_at", Stamp, nullable=True),
        sa.Column("owner", Word, nullable=False),
        sa.Column("name", Word, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("roles", Json, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("old_digest", sa.String(length=64), nullable=True),
        sa.Column("overlap_until", Stamp, nullable=True),
        sa.Column("expires_at", Stamp, nullable=True),
        sa.Column("last_used_at", Stamp, nullable=True),
        sa.Column("revoked_at", Stamp, nullable=True),
        sa.Column("made_by", Word, nullable=False),
        sa.Column("parent_id", Id, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "apikey_active_name",
        "apikey",
        ["owner", "name"],
        unique=True,
        sqlite_where=sa.text("state = 'Active'"),
        postgresql_where=sa.text("state = 'Active'"),
    )
    op.create_index("apikey_by_end", "apikey", ["state", "expires_at"], unique=False)
    op.create_index("apikey_by_owner", "apikey", ["owner", "id"], unique=False)
    op.create_index("apikey_by_parent", "apikey", ["parent_id"], unique=False)
    op.create_table(
        "audit",
        sa.Column("sequence", Serial, autoincrement=False, nullable=False),
        sa.Column("id", Id, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("time", Stamp, nullable=False),
        sa.Column("owner", Word, nullable=False),
        sa.Column("credential", Word, nullable=False),
        sa.Column("address", Word, nullable=False),
        sa.Column("action", Word, nullable=False),
        sa.Column("outcome", Word, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("objects", Json, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("correlation_id", Word, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("audit_by_action", "audit", ["action", "sequence"], unique=False)
    op.create_index("audit_by_correlation", "audit", ["correlation_id", "sequence"], unique=False)
    op.create_index("audit_by_owner", "audit", ["owner", "sequence"], unique=False)
    op.create_index("audit_by_time", "audit", ["time"], unique=False)
    op.create_table(
        "audit_floor",
        sa.Column("sequence", Serial, autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    for statement in ON_POSTGRESQL if op.get_bind().dialect.name == "postgresql" else ON_SQLITE:
        op.execute(sa.text(statement))
