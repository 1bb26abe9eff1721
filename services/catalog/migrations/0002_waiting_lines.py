"""Waiting lines."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Json, Stamp

revision = "0002_waiting_lines"
down_revision = "0001_initial"


def upgrade() -> None:
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
    op.add_column("datasource", sa.Column("holding_s", sa.Float(), nullable=True))
