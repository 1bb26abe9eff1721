"""Groups standing and locks."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Id, Json, Stamp, Word

revision = "0002_groups_standing_and_locks"
down_revision = "0001_initial"


def upgrade() -> None:
    op.create_table(
        "arrival",
        sa.Column("request_id", Id, nullable=False),
        sa.Column("data_id", Id, nullable=False),
        sa.Column("at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("request_id", "data_id"),
    )
    op.create_table(
        "request_lock",
        sa.Column("digest", Word, nullable=False),
        sa.Column("request_id", Id, nullable=False),
        sa.Column("document", Json, nullable=False),
        sa.Column("made_at", Stamp, nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    op.create_index("request_lock_of", "request_lock", ["request_id", "made_at"], unique=False)
    op.add_column("datareference", sa.Column("standing", sa.Boolean(), nullable=True))
    op.add_column("datareference", sa.Column("better", Json, nullable=True))
    op.add_column("datareference", sa.Column("swap", Json, nullable=True))
    op.add_column("datarequest", sa.Column("needed_by", Stamp, nullable=True))
    op.add_column("datarequest", sa.Column("expected_at", Stamp, nullable=True))
    op.add_column("datarequest", sa.Column("warnings", Json, nullable=True))
    op.add_column("datarequest", sa.Column("group", Json, nullable=True))
    op.add_column("datarequest", sa.Column("standing", sa.Boolean(), nullable=True))
    op.add_column("datarequest", sa.Column("parent_id", Id, nullable=True))
    op.add_column("datarequest", sa.Column("parent_name", Word, nullable=True))
    op.add_column("datarequest", sa.Column("lock", Json, nullable=True))
    op.create_index("datarequest_by_need", "datarequest", ["needed_by"], unique=False)
    op.create_index("datarequest_by_parent", "datarequest", ["parent_id"], unique=False)
    op.create_index("datarequest_standing", "datarequest", ["standing", "state"], unique=False)
