"""Does the smaller model do what the masked one promised? The check that belongs to every pruning."""

import torch
from torch import Tensor, nn

WIDTH, HEADS = 32, 4


class Attention(nn.Module):
    def __init__(self, heads: int, size: int) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.query, self.key, self.value = (nn.Linear(WIDTH, heads * size) for _ in range(3))
        self.output = nn.Linear(heads * size, WIDTH)

    def forward(self, x: Tensor, gates: Tensor | None = None) -> Tensor:
        """``x (row, token, width)``; ``gates (head,)`` act on the INPUT of the output projection."""
        parts = [project(x).unflatten(-1, (self.heads, self.size)) for project in (self.query, self.key, self.value)]
        heads = nn.functional.scaled_dot_product_attention(*[part.transpose(1, 2) for part in parts])
        heads = heads if gates is None else heads * gates[:, None, None]
        return self.output(heads.transpose(1, 2).flatten(2))


def cut(layer: Attention, removed: set[int]) -> Attention:
    """A layer without the removed heads: rows of query, key and value go, and columns of the output projection."""
    kept = [h for h in range(layer.heads) if h not in removed]
    index = torch.tensor([h * layer.size + i for h in kept for i in range(layer.size)])
    small = Attention(len(kept), layer.size)
    with torch.no_grad():
        for name in ("query", "key", "value"):
            old, new = getattr(layer, name), getattr(small, name)
            new.weight.copy_(old.weight[index])
            new.bias.copy_(old.bias[index])
        small.output.weight.copy_(layer.output.weight[:, index])
        small.output.bias.copy_(layer.output.bias)
    return small


torch.manual_seed(0)
layer, x = Attention(HEADS, WIDTH // HEADS), torch.randn(8, 10, WIDTH)
removed = {1, 2}
gates = torch.tensor([float(h not in removed) for h in range(HEADS)])
with torch.no_grad():
    masked, pruned = layer(x, gates), cut(layer, removed)(x)
    # A well-known slip: zeroing rows of the output projection's weight hits its OUTPUT, which no head owns.
    wrong = Attention(HEADS, WIDTH // HEADS)
    wrong.load_state_dict(layer.state_dict())
    wrong.output.weight[8:24] = 0
    slip = wrong(x)

difference, slipped = float((masked - pruned).abs().max()), float((masked - slip).abs().max())
assert difference <= 1e-5  # float32: the sums are added in another order
assert slipped > 0.01
sizes = [sum(p.numel() for p in one.parameters()) for one in (layer, cut(layer, removed))]
assert sizes == [4224, 2128]
print("masked equals cut:", difference <= 1e-5)
print("rows instead of columns:", slipped <= 1e-5)
print(f"parameters {sizes[0]} -> {sizes[1]}: half the heads, a little more than half of this layer")
