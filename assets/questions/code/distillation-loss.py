"""The loss of distillation (Hinton et al., 2015): soft answers of the teacher and hard labels, mixed."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def distillation_loss(student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, share: float) -> Tensor:
    """``share`` of the soft part, the rest of the hard one. Logits are ``(row, class)``.

    The soft part is multiplied by the squared temperature, because its gradient shrinks by that.
    """
    soft = F.kl_div(
        F.log_softmax(student / temperature, -1),
        F.log_softmax(teacher / temperature, -1),
        log_target=True,
        reduction="batchmean",
    )
    return share * temperature**2 * soft + (1 - share) * F.cross_entropy(student, labels)


random = torch.Generator().manual_seed(0)
logits = torch.randn(6, 3, generator=random)
labels = torch.tensor([0, 1, 2, 0, 1, 2])
assert distillation_loss(logits, logits, labels, 4.0, 1.0).abs() < 1e-6  # nothing to learn from oneself
assert torch.isclose(distillation_loss(logits, -logits, labels, 4.0, 0.0), F.cross_entropy(logits, labels))

teacher = torch.randn(6, 3, generator=random, dtype=torch.float64)
sizes = []
for temperature in (10.0, 20.0):  # with the factor, the gradient hardly depends on the temperature
    student = torch.zeros(6, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(distillation_loss(student, teacher, labels, temperature, 1.0), student)
    sizes.append(float(slope.norm()))
assert abs(sizes[0] / sizes[1] - 1) < 0.1

# Learning from soft answers alone: the student has never seen a label.
x = torch.randn(400, 8, generator=random)
truth = nn.Linear(8, 3)
with torch.no_grad():
    truth.weight.copy_(torch.randn(3, 8, generator=random))
    truth.bias.zero_()
    answers = truth(x)
student = nn.Linear(8, 3)
nn.init.zeros_(student.weight)
nn.init.zeros_(student.bias)
optimiser = torch.optim.Adam(student.parameters(), lr=0.1)
for _ in range(100):
    optimiser.zero_grad()
    distillation_loss(student(x[:200]), answers[:200], answers[:200].argmax(-1), 2.0, 1.0).backward()
    optimiser.step()
agree = float((student(x[200:]).argmax(-1) == answers[200:].argmax(-1)).float().mean())
assert agree > 0.95
print("loss against oneself is zero:", bool(distillation_loss(logits, logits, labels, 4.0, 1.0).abs() < 1e-6))
print("agrees with the teacher on more than 95% of new rows:", agree > 0.95)
