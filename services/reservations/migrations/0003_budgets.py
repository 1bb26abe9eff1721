"""Budgets."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Json, Stamp, Word

revision = "0003_budgets"
down_revision = "0002_decisions_in_parts"


def upgrade() -> None:
    op.create_table("budget", sa.Column("owner", Word, nullable=False), sa.PrimaryKeyConstraint("owner"))
    op.create_table(
        "charge",
        sa.Column("request_id", Id, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("owner", Word, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("money", sa.Float(), nullable=False),
        sa.Column("at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "attempt"),
    )
    op.create_index("charge_by_time", "charge", ["at"], unique=False)
    op.create_index("charge_of_owner", "charge", ["owner", "at"], unique=False)
    op.create_table(
        "waiting_line",
        sa.Column("object_id", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=128), nullable=False),
        sa.Column("ticket", Stamp, nullable=False),
        sa.Column("wanted", Json, nullable=False),
        sa.Column("until", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("object_id", "holder"),
    )
    op.create_index("waiting_line_by_end", "waiting_line", ["until"], unique=False)
    op.create_index("waiting_line_by_holder", "waiting_line", ["holder"], unique=False)
    op.create_index("waiting_line_in_order", "waiting_line", ["object_id", "ticket"], unique=False)
    op.add_column("datareservation", sa.Column("member", Word, nullable=True))
