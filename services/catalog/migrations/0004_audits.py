"""Audits."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Json, Serial, Word

revision = "0004_audits"
down_revision = "0003_identity_and_checksums"


def upgrade() -> None:
    op.create_table(
        "finding",
        sa.Column("seq", Serial, nullable=False),
        sa.Column("scan_id", Id, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("kind", Word, nullable=False),
        sa.Column("path", Word, nullable=False),
        sa.Column("data_id", Id, nullable=True),
        sa.Column("data_name", Word, nullable=True),
        sa.Column("instance_id", Id, nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("repaired", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("finding_of_scan", "finding", ["scan_id"], unique=False)
    op.create_index("finding_of_source", "finding", ["source_id", "kind", "seq"], unique=False)
    op.add_column("datasource", sa.Column("audit", Json, nullable=True))
    op.add_column("scan", sa.Column("kind", Word, server_default="scan", nullable=False))
    op.add_column("scan", sa.Column("repair", Word, nullable=True))
    op.add_column("scan", sa.Column("found", Json, nullable=True))
