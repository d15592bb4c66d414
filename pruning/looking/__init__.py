"""Looking at heads: their attention on one input, what they attend to on average, and which heads attend alike.

Nothing is changed in the model, and no eager attention is needed: the weights are recomputed from what the attention
functions receive, and checked against what they return.
"""

from pruning.looking.alike import similar_heads
from pruning.looking.maps import AttentionMap, Side, attention_map, features_of_text, image_of
from pruning.looking.patterns import OFFSETS, STATISTICS, HeadPattern, Patterns, measure_patterns

__all__ = [
    "OFFSETS",
    "STATISTICS",
    "AttentionMap",
    "HeadPattern",
    "Patterns",
    "Side",
    "attention_map",
    "features_of_text",
    "image_of",
    "measure_patterns",
    "similar_heads",
]
