"""Prune 29 of the 72 heads of a text classifier, and measure what that costs on rows that chose nothing."""

import pruning

model = pruning.load_model("demo")  # MiniLM, 6 layers of 12 heads, movie-review sentiment
task = pruning.task_of(model)
calibration = task.encode(model, pruning.load_data(pruning.DataSpec("demo", split="calibration", samples=32)))
rows = task.encode(model, pruning.load_data(pruning.DataSpec("demo", samples=64)))  # few, to be quick

# 1. Importance on calibration rows: the mean over rows of |d loss / d gate| (Michel et al., 2019).
importance = pruning.score(model, "gradient", calibration)
mask = importance.lowest(29)

# 2. Preview: the masked model, on rows that the choice has not seen.
before, after = pruning.evaluate(model, rows), pruning.evaluate(model, rows, mask)
change = pruning.compare(before, after).differences["accuracy"]

# 3. Really cut. The engine runs the copy beside the masked original; we look once more at the answers.
smaller = pruning.prune(model, mask)
again = pruning.evaluate(model.with_module(smaller.module), rows)
assert smaller.difference <= 1e-5
assert (again.outcome.predicted == after.outcome.predicted).all()
assert smaller.parameters < model.anatomy.parameters
assert change.value > -0.10
assert change.low < change.value < change.high  # a number without an interval is half a result

saved = 1 - smaller.parameters / model.anatomy.parameters
print(f"removed {len(mask.heads)} of {model.anatomy.total_heads} heads ({len(mask.heads) / 72:.0%})")
print(f"parameters {model.anatomy.parameters:,} -> {smaller.parameters:,} ({saved:.0%} fewer)")
print("loses less than 10 points:", change.value > -0.10)
print("the cut model answers as the masked one:", bool((again.outcome.predicted == after.outcome.predicted).all()))
