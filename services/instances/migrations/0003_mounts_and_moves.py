"""Mounts and moves."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Json, Word

revision = "0003_mounts_and_moves"
down_revision = "0002_lifetimes_and_pins"


def upgrade() -> None:
    op.add_column("access", sa.Column("via", Word, nullable=True))
    op.add_column("access", sa.Column("step", Word, nullable=True))
    op.add_column("access", sa.Column("seen", Json, nullable=True))
    op.add_column("access", sa.Column("attempts", Json, nullable=True))
