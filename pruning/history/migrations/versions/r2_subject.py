"""What a record is of, to recognise the same work; the main metric and the size of the mask, to sort by."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from pruning.history.records import digest, main_metric
from pruning.masks import Mask

revision = "2"
down_revision = "1"

OLD = ("kind", "model_fingerprint", "data_fingerprint", "model", "data", "mask", "settings", "numbers")
NEW = (sa.Column("subject", sa.String(64), nullable=False, server_default=""), sa.Column("metric", sa.Float))
TABLE = sa.table("headroom_records", *map(sa.column, ("id", *OLD, "subject", "metric", "units")))


def upgrade() -> None:
    units = sa.Column("units", sa.Integer, nullable=False, server_default="0")
    for column in (*NEW, units):
        op.add_column("headroom_records", column)
    connection = op.get_bind()
    for row in connection.execute(sa.select(TABLE)).mappings().all():
        connection.execute(sa.update(TABLE).where(TABLE.c.id == row["id"]).values(**derived(row)))
    op.create_index("headroom_records_subject", "headroom_records", ["owner", "subject"])


def downgrade() -> None:
    op.drop_index("headroom_records_subject", "headroom_records")
    for name in ("subject", "metric", "units"):
        op.drop_column("headroom_records", name)


def derived(row: Any) -> dict[str, Any]:
    """The new columns, as the program makes them at this revision."""
    asked = {name: value for name, value in json.loads(row["settings"]).items() if name != "criterion"}
    main, mask = main_metric(json.loads(row["numbers"])), Mask.from_code(row["mask"])
    subject = digest(*(row[name] for name in OLD[:-2]), asked)
    return {
        "subject": subject,
        "metric": main[1].value if main else None,
        "units": len(mask.heads) + len(mask.neurons) + len(mask.layers),
    }
