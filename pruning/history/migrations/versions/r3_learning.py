"""Guesses of the lessons, classes, and who is in them."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    op.create_table(
        "headroom_answers",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("lesson", sa.String(64), nullable=False),
        sa.Column("settings", sa.Text, nullable=False),
        sa.Column("scale", sa.Text, nullable=False),
        sa.Column("guess", sa.Float, nullable=False),
        sa.Column("truth", sa.Float, nullable=False),
        sa.Column("low", sa.Float),
        sa.Column("high", sa.Float),
        sa.Column("score", sa.Integer, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
        sa.Column("mask", sa.Text, nullable=False),
        sa.Column("code", sa.String(6), nullable=False),
        sa.Column("member", sa.Integer, nullable=False),
        sa.Column("made", sa.DateTime(timezone=True), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("headroom_answers_owner", "headroom_answers", ["owner"])
    op.create_index("headroom_answers_code", "headroom_answers", ["code"])
    op.create_table(
        "headroom_classes",
        sa.Column("code", sa.String(6), primary_key=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("opened", sa.DateTime(timezone=True), nullable=False),
        sa.Column("touched", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "headroom_members",
        sa.Column("code", sa.String(6), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("nickname", sa.Text, nullable=False),
        sa.Column("joined", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("code", "owner", name="headroom_members_once"),
    )


def downgrade() -> None:
    for name in ("headroom_members", "headroom_classes", "headroom_answers"):
        op.drop_table(name)
