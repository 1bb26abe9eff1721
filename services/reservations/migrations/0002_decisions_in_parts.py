"""Decisions in parts."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Json, Stamp, Word

revision = "0002_decisions_in_parts"
down_revision = "0001_initial"


def upgrade() -> None:
    op.create_table(
        "decision_part",
        sa.Column("id", Word, nullable=False),
        sa.Column("body", Json, nullable=False),
        sa.Column("at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "policy_revision",
        sa.Column("revision", Word, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("revision"),
    )
    op.add_column("datareservation", sa.Column("replicas", Word, nullable=True))
