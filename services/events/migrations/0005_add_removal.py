"""Add removal."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Stamp, Word

revision = "0005_add_removal"
down_revision = "0004_add_notice"


def upgrade() -> None:
    op.create_table(
        "removal",
        sa.Column("alias", Word, nullable=False),
        sa.Column("person", Word, nullable=True),
        sa.Column("began_at", Stamp, nullable=False),
        sa.Column("ended_at", Stamp, nullable=True),
        sa.PrimaryKeyConstraint("alias"),
    )
    op.create_index("removal_by_end", "removal", ["ended_at"], unique=False)
