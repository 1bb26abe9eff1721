"""The roles with which the owner of a request asked; lists by owner."""

import sqlalchemy as sa
from alembic import op

from shared.storage.schema import Json

revision = "0004_rights_of_owners"
down_revision = "0003_attempts_as_they_ended"


def upgrade() -> None:
    op.create_index("datareference_by_owner", "datareference", ["owner", "id"], unique=False)
    op.add_column("datarequest", sa.Column("owner_roles", Json, nullable=True))
    op.create_index("datarequest_by_owner", "datarequest", ["owner", "id"], unique=False)
