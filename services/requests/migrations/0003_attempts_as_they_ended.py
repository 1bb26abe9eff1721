"""Attempts as they ended."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Json

revision = "0003_attempts_as_they_ended"
down_revision = "0002_groups_standing_and_locks"


def upgrade() -> None:
    op.add_column("datarequest", sa.Column("attempts", Json, nullable=True))
