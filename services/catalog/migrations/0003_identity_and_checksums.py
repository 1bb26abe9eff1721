"""Identity and checksums."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Stamp, Word

revision = "0003_identity_and_checksums"
down_revision = "0002_waiting_lines"


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("one", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", Word, nullable=False),
        sa.Column("made_at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("one"),
    )
    op.create_index(
        "data_by_checksum",
        "data",
        ["checksum", "id"],
        unique=False,
        sqlite_where=sa.text("destroyed_at IS NULL AND checksum IS NOT NULL"),
        postgresql_where=sa.text("destroyed_at IS NULL AND checksum IS NOT NULL"),
    )
