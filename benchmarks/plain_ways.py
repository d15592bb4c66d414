"""What a user would write, and our own ways without any saving: what the benchmark of speed compares with."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from pruning import LoadedModel, Mask, gated
from pruning.gating import install
from pruning.sweep import Bench
from pruning.tasks import Examples, batches, forward

PADDED, BATCH = 128, 32  # of the reference: tokens and rows


def padded(examples: Examples) -> list[dict[str, Tensor]]:
    """Batches of 32 rows in the order of the file, padded to 128 tokens, ready before the clock starts."""
    found = []
    for start in range(0, len(examples), BATCH):
        rows = examples.features[start : start + BATCH]
        inputs = {name: torch.zeros(len(rows), PADDED, dtype=torch.long) for name in rows[0]}
        for i, features in enumerate(rows):
            for name, values in features.items():
                inputs[name][i, : len(values)] = torch.tensor(values)
        found.append({**inputs, "labels": torch.tensor(examples.targets[start : start + BATCH])})
    return found


def reference(module: nn.Module, ready: list[dict[str, Tensor]]) -> Tensor:
    """Losses of all rows, ``(example,)``, by transformers' own forward."""
    losses = []
    with torch.no_grad():
        for inputs in ready:
            labels = inputs["labels"]
            logits = module(**{name: value for name, value in inputs.items() if name != "labels"}).logits
            losses.append(nn.functional.cross_entropy(logits, labels, reduction="none"))
    return torch.cat(losses)


def naive_losses(bench: Bench, examples: Examples, mask: Mask) -> np.ndarray:
    """Losses under a mask by running all of the model, in our batches without padding."""
    losses = np.empty(len(examples))
    with gated(bench.model, mask) as module, torch.inference_mode():
        for batch in batches(examples, BATCH, bench.model.device):
            losses[list(batch.positions)] = bench.task.losses(forward(module, batch), batch).numpy()
    return losses


def gradients_one_by_one(model: LoadedModel, bench: Bench, examples: Examples, tokens: int = 0) -> np.ndarray:
    """|∂ loss / ∂ gate| of every head, a mean over examples, with a batch size of 1: one gate tensor, ``backward``.

    Args:
        tokens: Pad every example to so many, as the old example did.
    """
    slots, total = install(model.module, model.anatomy).sites, 0.0
    for batch in batches(examples, 1, model.device):
        if tokens:
            inputs = {name: nn.functional.pad(x, (0, tokens - x.shape[1])) for name, x in batch.inputs.items()}
            batch = replace(batch, inputs=inputs)
        gates = [torch.ones(slot.units, requires_grad=True) for slot in slots]
        handles = [
            model.module.get_submodule(site.projection).register_forward_pre_hook(
                lambda _, args, gate=gate, size=site.head_dim: (args[0] * gate.repeat_interleave(size),)
            )
            for site, gate in zip(model.anatomy.sites, gates, strict=True)
        ]
        bench.task.losses(forward(model.module, batch), batch).sum().backward()
        for handle in handles:
            handle.remove()
        total = total + torch.cat([gate.grad.abs() for gate in gates])  # type: ignore[union-attr]
        model.module.zero_grad()
    return (total / len(examples)).numpy()  # type: ignore[union-attr]


def trainable(module: nn.Module) -> nn.Module:
    """A copy whose weights ask for gradients, as ``from_pretrained`` gives it."""
    return copy.deepcopy(module).requires_grad_(True)
