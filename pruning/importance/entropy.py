"""Entropy of the attention weights.

Ghader & Monz, "What does Attention in Neural Machine Translation Pay Attention to?", IJCNLP 2017; used to describe
heads by Clark et al., "What Does BERT Look At?", BlackboxNLP 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pruning.importance.base import Criterion, register
from pruning.importance.context import ScoringContext


@register
@dataclass(frozen=True)
class AttentionEntropy(Criterion):
    """Mean over queries of −Σ p ln p, for each example, in nats; low entropy counts as important."""

    name = "entropy"
    scopes = ("heads",)
    label = "Attention entropy"
    unit = "nats"
    direction = "low"
    signed = False
    needs_data = True
    needs_labels = False
    needs_gradients = False
    quick = True
    cost = "one forward pass"
    about = (
        "How widely a head spreads its attention: 0 when it looks at one token, the logarithm of the length when it "
        "looks at all alike. Focused heads count as important here; the task's labels play no part."
    )
    reference = "Clark et al., What Does BERT Look At?, BlackboxNLP 2019"

    def __call__(self, context: ScoringContext) -> np.ndarray:
        import torch

        from pruning.attention import AttentionCall, attention_probabilities, observed

        context.require_gates()
        sites = context.model.anatomy.sites
        index = {context.model.module.get_submodule(site.name): site.index for site in sites}
        entropies = np.empty((context.samples, context.total_units))
        seen = 0
        for batch in context.batches():
            size = len(batch.positions)
            parts: dict[int, list[np.ndarray]] = {}

            def observe(call: AttentionCall, parts: dict = parts, size: int = size) -> None:
                if call.module in index:
                    weights = attention_probabilities(call)
                    each = torch.special.entr(weights).sum(-1).mean(-1)  # (batch or window, head)
                    each = each.view(size, -1, each.shape[-1]).mean(1).double()
                    parts.setdefault(index[call.module], []).append(each.cpu().numpy())

            with torch.inference_mode(), observed(observe):
                context.model.module(**batch.inputs)
            self._check(context, parts)
            rows = [np.mean(parts[site.index], axis=0) for site in sites]
            entropies[list(batch.positions)] = np.concatenate(rows, axis=1)
            seen += size
            context.progress(seen, context.samples)
        return entropies

    def _check(self, context: ScoringContext, parts: dict[int, list[np.ndarray]]) -> None:
        from pruning.errors import UnsupportedError

        missing = next((site for site in context.model.anatomy.sites if site.index not in parts), None)
        if missing:
            raise UnsupportedError(f"the attention weights of {missing.name} cannot be seen: choose another criterion")
