"""Multi-head attention by hand, and the fact that pruning rests on: the heads' contributions are added up."""

import numpy as np
import torch


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def contributions(x, query, key, value, output, heads: int) -> np.ndarray:
    """What each head adds to every token: ``(head, token, width)``. The weights are ``(width, width)``."""
    size = x.shape[1] // heads
    parts = []
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        q, k, v = x @ query[:, own], x @ key[:, own], x @ value[:, own]
        attention = softmax(q @ k.T / np.sqrt(size))  # (token, token), rows add up to one
        parts.append(attention @ v @ output[own])  # this head's rows of the output projection
    return np.stack(parts)


random = np.random.default_rng(0)
tokens, width, heads = 5, 16, 4
x = random.normal(size=(tokens, width))
query, key, value, output = random.normal(size=(4, width, width)) / 4
parts = contributions(x, query, key, value, output, heads)

# The same by torch, all heads at once.
split = [torch.tensor(x @ w).view(tokens, heads, -1).transpose(0, 1) for w in (query, key, value)]
joined = torch.nn.functional.scaled_dot_product_attention(*split).transpose(0, 1).reshape(tokens, width)
expected = joined.numpy() @ output
assert np.allclose(parts.sum(0), expected)

# A head is pruned by leaving out its term: cutting its columns and rows away gives exactly that.
kept = np.r_[0:4, 8:16]  # head 1 of four heads of size 4 is gone
size = width // heads
cut = np.zeros_like(x)
for start in (0, 4, 8):
    own = kept[start : start + size]
    attention = softmax((x @ query[:, own]) @ (x @ key[:, own]).T / np.sqrt(size))
    cut += attention @ (x @ value[:, own]) @ output[own]
assert np.allclose(cut, expected - parts[1])

print("heads add up to the layer's output:", np.allclose(parts.sum(0), expected))
print("without head 1 = all minus its term:", np.allclose(cut, expected - parts[1]))
print("weights in the layer:", 4 * width * width, "before,", 4 * width * len(kept), "after")
