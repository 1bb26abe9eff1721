"""Restored mounts."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Stamp

revision = "0009_restored_mounts"
down_revision = "0008_what_was_seen_in_the_bytes"


def upgrade() -> None:
    op.create_table("restored", sa.Column("at", Stamp, nullable=False), sa.PrimaryKeyConstraint("at"))
