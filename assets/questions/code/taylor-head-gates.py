"""Head importance by gates: how fast each example's loss moves when a head is turned down (Michel et al., 2019)."""

import torch
from torch import Tensor, nn

HEADS, SIZE, TOKENS = 4, 8, 6


class Classifier(nn.Module):
    """One attention layer with a gate for each head at the INPUT of the output projection."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.output = nn.Linear(HEADS * SIZE, 3 * HEADS * SIZE), nn.Linear(HEADS * SIZE, HEADS * SIZE)
        self.classes = nn.Linear(HEADS * SIZE, 2)

    def forward(self, x: Tensor, gates: Tensor) -> Tensor:
        """``x (row, token, width)``, ``gates (row, head)`` -> logits ``(row, class)``."""
        parts = self.project(x).view(len(x), TOKENS, 3, HEADS, SIZE).permute(2, 0, 3, 1, 4)
        heads = nn.functional.scaled_dot_product_attention(*parts)  # (row, head, token, size)
        heads = heads * gates[:, :, None, None]
        return self.classes(self.output(heads.transpose(1, 2).flatten(2)).mean(1))


def losses(model: Classifier, x: Tensor, y: Tensor, gates: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(x, gates), y, reduction="none")


def importance(model: Classifier, x: Tensor, y: Tensor) -> Tensor:
    """Mean over rows of |d loss of the row / d gate|. A row has gates of its own, so one backward pass is enough."""
    gates = torch.ones(len(x), HEADS, dtype=x.dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(losses(model, x, y, gates).sum(), gates)
    return slope.abs().mean(0)


torch.manual_seed(0)
model = Classifier().double()
with torch.no_grad():
    model.output.weight[:, 2 * SIZE : 3 * SIZE] = 0  # nothing of head 2 reaches the output
    model.output.weight[:, :SIZE] *= 3  # and much of head 0
x, y = torch.randn(64, TOKENS, HEADS * SIZE, dtype=torch.float64), torch.randint(2, (64,))
found = importance(model, x, y)

step, by_hand = 1e-5, torch.zeros(HEADS, dtype=torch.float64)  # the same slopes by small steps
for h in range(HEADS):
    move = torch.zeros(HEADS, dtype=torch.float64).index_fill_(0, torch.tensor([h]), step)
    ones = torch.ones(64, HEADS, dtype=torch.float64)
    with torch.no_grad():
        by_hand[h] = ((losses(model, x, y, ones + move) - losses(model, x, y, ones - move)) / (2 * step)).abs().mean()
assert torch.allclose(found, by_hand, atol=1e-8)
assert found[2] == 0
assert found.argmax() == 0
print("from the least important head:", found.argsort().tolist())
print("agrees with finite differences:", torch.allclose(found, by_hand, atol=1e-8))
