"""Lists by owner walk an index."""

from alembic import op

revision = "0007_lists_by_owner"
down_revision = "0006_progress_of_bytes"


def upgrade() -> None:
    op.create_index("datainstance_by_owner", "datainstance", ["owner", "id"], unique=False)
