"""Neurons of a feed-forward block that can go without any change of its function: dead ones and doubles."""

import torch
from torch import nn


def without(block: nn.Sequential, kept: torch.Tensor) -> nn.Sequential:
    """A smaller block with the kept neurons only: rows of the first matrix, columns of the second."""
    first, act, second = block
    up, down = nn.Linear(first.in_features, len(kept)), nn.Linear(len(kept), second.out_features)
    with torch.no_grad():
        up.weight.copy_(first.weight[kept])
        up.bias.copy_(first.bias[kept])
        down.weight.copy_(second.weight[:, kept])
        down.bias.copy_(second.bias)
    return nn.Sequential(up, act, down)


def merge_doubles(block: nn.Sequential) -> tuple[nn.Sequential, torch.Tensor]:
    """Move what equal neurons write onto the first of them; return the block and the neurons that are needed."""
    first, act, second = block
    rows = torch.cat([first.weight, first.bias[:, None]], 1).detach()
    _, twin = torch.unique(rows, dim=0, return_inverse=True)
    leader = torch.tensor([int((twin == t).nonzero()[0]) for t in twin])
    moved = torch.zeros_like(second.weight).index_add_(1, leader, second.weight.detach())
    merged = nn.Linear(second.in_features, second.out_features)
    merged.load_state_dict({"weight": moved, "bias": second.bias.detach()})
    return nn.Sequential(first, act, merged), leader.unique()


torch.manual_seed(0)
block = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 8)).double()
x = torch.rand(100, 8, dtype=torch.float64)  # inputs between 0 and 1
with torch.no_grad():
    block[0].weight[3] = -1.0
    block[0].bias[3] = -0.5  # never above zero on such inputs: neuron 3 is dead
    for name in ("weight", "bias"):
        getattr(block[0], name)[7] = getattr(block[0], name)[2]  # neuron 7 is the double of neuron 2
    expected = block(x)

    alive = block[1](block[0](x)).amax(0) > 0
    merged, needed = merge_doubles(block)
    kept = torch.tensor([i for i in needed.tolist() if alive[i]])
    small = without(merged.double(), kept).double()
    naive = without(block, kept).double()  # the double's writing is lost
    assert 3 not in kept
    assert 7 not in kept
    assert torch.allclose(small(x), expected)
    assert not torch.allclose(naive(x), expected)

count = [sum(p.numel() for p in one.parameters()) for one in (block, small)]
print(f"neurons {block[0].out_features} -> {small[0].out_features}, parameters {count[0]} -> {count[1]}")
print("same function:", torch.allclose(small(x), expected))
print("same without moving the double's weights:", torch.allclose(naive(x), expected))
