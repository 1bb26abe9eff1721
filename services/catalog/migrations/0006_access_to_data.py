"""Who may see which data: rules of sources, and the rule that applies to each data."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Json, Word

revision = "0006_access_to_data"
down_revision = "0005_audits_that_read"


def upgrade() -> None:
    op.create_table(
        "access_grant",
        sa.Column("who", Word, nullable=False),
        sa.Column("rule_id", Id, nullable=False),
        sa.PrimaryKeyConstraint("who", "rule_id"),
    )
    op.create_index("access_grant_of", "access_grant", ["rule_id"], unique=False)
    op.create_table(
        "access_rule",
        sa.Column("id", Id, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("when", Json, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("access_rule_of", "access_rule", ["source_id", "position"], unique=False)
    op.add_column("data", sa.Column("access_rule", Id, nullable=True))
    op.create_index(
        "data_by_access",
        "data",
        ["access_rule"],
        unique=False,
        sqlite_where=sa.text("destroyed_at IS NULL AND access_rule IS NOT NULL"),
        postgresql_where=sa.text("destroyed_at IS NULL AND access_rule IS NOT NULL"),
    )
    op.add_column("datasource", sa.Column("access", Json, nullable=True))
