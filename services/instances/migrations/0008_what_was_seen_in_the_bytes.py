"""What was seen in the bytes."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Json

revision = "0008_what_was_seen_in_the_bytes"
down_revision = "0007_lists_by_owner"


def upgrade() -> None:
    op.add_column("access", sa.Column("inspected", Json, nullable=True))
