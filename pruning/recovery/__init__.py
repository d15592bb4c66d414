"""Recovery: giving a pruned model back what it lost, without training (compensation) or with it."""
