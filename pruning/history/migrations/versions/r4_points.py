"""All points of a sweep, not the smallest plan alone."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    op.add_column("headroom_records", sa.Column("points", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("headroom_records", "points")
