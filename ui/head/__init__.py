"""One attention head: its attention, its habits, its importance, its likes, and what is lost without it."""
