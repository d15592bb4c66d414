"""Magnitude pruning of one weight matrix: the smallest half is set to zero."""

import torch


def prune_by_magnitude(weight: torch.Tensor, sparsity: float) -> torch.Tensor:
    """A copy without its smallest entries.

    Args:
        sparsity: The share that is removed, 0 to 1.
    """
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be between 0 and 1, not {sparsity}")
    count = round(sparsity * weight.numel())
    pruned = weight.clone().flatten()
    pruned[weight.abs().flatten().argsort()[:count]] = 0  # by rank: equal values cannot make it too many
    return pruned.view_as(weight)


weight = torch.tensor([[0.9, -0.1, 0.3], [-0.7, 0.2, -0.05]])
pruned = prune_by_magnitude(weight, 0.5)
assert pruned.tolist() == torch.tensor([[0.9, 0.0, 0.3], [-0.7, 0.0, 0.0]]).tolist()  # by hand

big = torch.randn(512, 512, generator=torch.Generator().manual_seed(0))
half = prune_by_magnitude(big, 0.5)
assert (half == 0).float().mean() == 0.5
assert torch.equal(half[half != 0], big[half != 0])  # what is kept is unchanged
assert big[half == 0].abs().max() <= half[half != 0].abs().min()

# The smallest half of the entries holds little of the matrix, and yet nothing became smaller or faster.
energy = float(half.square().sum() / big.square().sum())
assert half.shape == big.shape
assert half.element_size() * half.numel() == big.element_size() * big.numel()
print(pruned.tolist()[1][1:], "were -0.05 and 0.2")
print(f"zeros: {float((half == 0).float().mean()):.0%}, squared weight that is kept: {energy:.0%}")
print("bytes before and after:", big.element_size() * big.numel(), half.element_size() * half.numel())
