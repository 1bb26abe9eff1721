"""Undo."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Stamp

revision = "0004_undo"
down_revision = "0003_mounts_and_moves"


def upgrade() -> None:
    op.create_table(
        "undoing",
        sa.Column("instance_id", Id, nullable=False),
        sa.Column("request_id", Id, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("instance_id"),
    )
    op.create_index("undoing_by_age", "undoing", ["at"], unique=False)
    op.create_index("access_by_target", "access", ["target_id", "state"], unique=False)
    op.add_column("datainstance", sa.Column("undone", sa.Boolean(), server_default=sa.false(), nullable=False))
