"""Everything that can be taken away: checkpoints, decisions, tables, figures, the report."""
