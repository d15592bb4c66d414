"""The history: what was evaluated, swept, recovered and exported, and the scenarios that people named, in a database.

`pruning.history.records` says what is kept, `pruning.history.database` keeps it. Neither imports torch.
"""
