"""Parts by time."""

from alembic import op

revision = "0005_parts_by_time"
down_revision = "0004_lists_by_owner"


def upgrade() -> None:
    op.create_index("decision_part_by_time", "decision_part", ["at"], unique=False)
