"""One screen for a room: how much smaller, and what that gives and costs, step by step."""
