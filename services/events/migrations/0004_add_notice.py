"""Add notice."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Serial, Stamp, Word

revision = "0004_add_notice"
down_revision = "0003_owners"


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("id", Serial, autoincrement=True, nullable=False),
        sa.Column("owner", Word, nullable=False),
        sa.Column("time", Stamp, nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("key_id", Id, nullable=False),
        sa.Column("key_name", Word, nullable=False),
        sa.Column("by", Word, nullable=False),
        sa.Column("credential", Word, nullable=False),
        sa.Column("address", Word, nullable=False),
        sa.Column("seen_at", Stamp, nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("notice_by_owner", "notice", ["owner", "seen_at", "id"], unique=False)
    op.create_index("notice_by_time", "notice", ["time"], unique=False)
