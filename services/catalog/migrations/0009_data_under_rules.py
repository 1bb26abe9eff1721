"""Data under rules."""

import sqlalchemy as sa
from alembic import op

revision = "0009_data_under_rules"
down_revision = "0008_counts_of_all_data"


def upgrade() -> None:
    op.add_column("access_rule", sa.Column("data_count", sa.BigInteger(), nullable=True))
    op.create_index(
        "data_under_rules",
        "data",
        ["id", "access_rule"],
        unique=False,
        sqlite_where=sa.text("destroyed_at IS NULL AND access_rule IS NOT NULL"),
        postgresql_where=sa.text("destroyed_at IS NULL AND access_rule IS NOT NULL"),
    )
