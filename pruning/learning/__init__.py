"""What people have learned: their guesses, lesson by lesson, and the classes in which they made them.

`pruning.learning.records` says what is kept and how a guess is scored, `pruning.learning.database` keeps it in the
database of the history. Neither imports torch.
"""
