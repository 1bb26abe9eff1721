"""Promises."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Word

revision = "0006_promises"
down_revision = "0005_parts_by_time"


def upgrade() -> None:
    op.create_table(
        "promise",
        sa.Column("request_id", Id, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("owner", Word, nullable=False),
        sa.Column("instances", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", "attempt"),
    )
    op.create_index("promise_of_owner", "promise", ["owner"], unique=False)
