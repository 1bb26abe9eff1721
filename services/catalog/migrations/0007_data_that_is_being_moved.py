"""Data that is being moved."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id

revision = "0007_data_that_is_being_moved"
down_revision = "0006_access_to_data"


def upgrade() -> None:
    op.create_table(
        "passage",
        sa.Column("data_id", Id, nullable=False),
        sa.Column("place", Id, nullable=False),
        sa.Column("source_id", Id, nullable=False),
        sa.Column("scan_id", Id, nullable=True),
        sa.PrimaryKeyConstraint("data_id", "place"),
    )
    op.create_index("passage_by_place", "passage", ["place"], unique=False)
    op.create_index("passage_by_scan", "passage", ["scan_id"], unique=False)
    op.create_index("passage_by_source", "passage", ["source_id"], unique=False)
