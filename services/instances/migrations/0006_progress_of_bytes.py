"""Progress of bytes."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Json

revision = "0006_progress_of_bytes"
down_revision = "0005_members"


def upgrade() -> None:
    op.add_column("datainstance", sa.Column("progress", Json, nullable=True))
