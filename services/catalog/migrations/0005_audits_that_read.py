"""Audits that read."""

import sqlalchemy as sa
from alembic import op

revision = "0005_audits_that_read"
down_revision = "0004_audits"


def upgrade() -> None:
    op.add_column("scan", sa.Column("verify", sa.Boolean(), server_default=sa.text("(false)"), nullable=False))
