"""Torch-Pruning's own head pruning of the same weights, chosen by the same rows: what Headroom is compared with.

Fang et al., "DepGraph: Towards Any Structural Pruning", CVPR 2023; torch-pruning 1.6.1.

How it is called, and why so:

- As its example for BERT does it: ``BasePruner`` with ``global_pruning``, ``prune_num_heads``, ``head_pruning_ratio``
  and ``num_heads`` for the query, key and value layers; importances with the settings that they come with.
- Everything but these layers is in ``ignored_layers``, so that heads alone go, as with Headroom. ``pruning_ratio`` is
  the same ratio, because the pruner takes no heads out where it is 0; ``prune_head_dims`` is off.
- For Taylor importance the gradients of the mean loss are accumulated over all calibration rows, in evaluation mode.
- The iterative variant is its ``iterative_steps``, a twentieth of the heads a step, with gradients made anew before
  each: the scheme of Headroom's own default.
- It leaves a layer alone that would lose all its heads. Then more heads are left than were asked for: both numbers are
  reported, nothing is done about it. Between steps the head counts that it keeps for such a layer are put right.
- No compensation and no training: its cut is measured as it leaves it, and so are Headroom's with ``none``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pruning.errors import PruningError
from pruning.masks import HeadId, Mask

if TYPE_CHECKING:
    from torch import nn

    from pruning.sweep import Bench

STEP = 0.05  # of all heads, of the iterative variant: each step must take a head, or the pruner fails


@dataclass(frozen=True)
class Peer:
    """One way to call it.

    Attributes:
        importance: Class of ``torch_pruning.importance``.
        gradients: Whether it reads the gradients of the weights.
        iterative: Whether it cuts in steps of `STEP`.
    """

    name: str
    importance: str
    gradients: bool = False
    iterative: bool = False


_ROWS = (
    Peer("torch-pruning magnitude", "GroupMagnitudeImportance"),
    Peer("torch-pruning taylor", "GroupTaylorImportance", gradients=True),
    Peer("torch-pruning taylor iterative", "GroupTaylorImportance", gradients=True, iterative=True),
)
PEERS = {peer.name: peer for peer in _ROWS}


def installed() -> bool:
    return find_spec("torch_pruning") is not None


def cuts(bench: Bench, peer: Peer, sparsities: Sequence[float]) -> Iterator[tuple[float, nn.Module]]:
    """Really cut models, by the share of the heads that was asked to go, 0 to 1, ascending.

    Raises:
        PruningError: Torch-Pruning is not installed, or the iterative variant is asked for a share between its steps.
    """
    if not installed():
        raise PruningError("torch-pruning is not installed: pip install --no-deps -r requirements-bench.txt")
    if not peer.iterative:
        for sparsity in sparsities:
            yield sparsity, next(_steps(bench, peer, sparsity, 1))
        return
    wanted = {round(sparsity / STEP): sparsity for sparsity in sparsities}
    if any(abs(step * STEP - sparsity) > 1e-6 for step, sparsity in wanted.items()):
        raise PruningError(f"{peer.name} stops at multiples of {STEP:.0%} only, not at all of {list(sparsities)}")
    last = max(wanted)
    for step, module in enumerate(_steps(bench, peer, last * STEP, last), start=1):
        if step in wanted:
            yield wanted[step], copy.deepcopy(module)


def _steps(bench: Bench, peer: Peer, sparsity: float, steps: int) -> Iterator[nn.Module]:
    """One copy of the model, cut further and further."""
    import torch
    import torch_pruning
    from transformers.models.bert.modeling_bert import BertSelfAttention

    from pruning.copying import twin_of, with_own_weights

    module = with_own_weights(twin_of(bench.model.module)).requires_grad_(True)
    attentions = [child for child in module.modules() if isinstance(child, BertSelfAttention)]
    heads = {layer: a.num_attention_heads for a in attentions for layer in (a.query, a.key, a.value)}
    kinds = (torch.nn.Linear, torch.nn.Embedding, torch.nn.LayerNorm)
    pruner = torch_pruning.pruner.BasePruner(
        module,
        _example(bench),
        getattr(torch_pruning.importance, peer.importance)(),
        global_pruning=True,
        pruning_ratio=sparsity,
        head_pruning_ratio=sparsity,
        iterative_steps=steps,
        num_heads=heads,
        prune_num_heads=True,
        prune_head_dims=False,
        in_channel_groups={},  # its defaults are shared by all pruners of the process
        out_channel_groups={},
        output_transform=lambda output: output.logits.sum(),
        ignored_layers=[child for child in module.modules() if isinstance(child, kinds) and child not in heads],
    )
    for _ in range(steps):
        if peer.gradients:
            _accumulate(bench, module)
        pruner.step()
        for attention in attentions:
            _settle(attention, pruner)
        yield module


def _settle(attention: Any, pruner: Any) -> None:
    """Write down how many heads are left, in the attention as in its example, and in the pruner (see above)."""
    attention.all_head_size = attention.query.out_features
    attention.num_attention_heads = attention.all_head_size // attention.attention_head_size
    for layer in (attention.query, attention.key, attention.value):
        pruner.num_heads[layer] = pruner.out_channel_groups[layer] = attention.num_attention_heads


def _example(bench: Bench) -> dict[str, Any]:
    """Inputs that the pruner follows through the model."""
    from pruning.tasks import batches

    return next(batches(bench.calibration, 1, bench.model.device)).inputs


def _accumulate(bench: Bench, module: nn.Module) -> None:
    """Gradients of the mean loss over the calibration rows."""
    from pruning.tasks import batches, forward

    module.zero_grad()
    for batch in batches(bench.calibration, bench.batch_size, bench.model.device):
        losses = bench.task.losses(forward(module, batch), batch)
        (losses.sum() / len(bench.calibration)).backward()


def mask_left_by(bench: Bench, module: nn.Module) -> Mask:
    """What a cut model has lost: the heads whose query weights are found in the original and not in the copy."""
    removed = []
    for site in bench.model.anatomy.sites:
        before, after = (m.get_submodule(site.name).query.weight for m in (bench.model.module, module))
        rows = before.detach().reshape(site.heads, site.head_dim, -1)
        kept = after.detach().reshape(-1, site.head_dim, rows.shape[-1])
        removed += [HeadId(site.index, h) for h, row in enumerate(rows) if not any(row.equal(one) for one in kept)]
    return Mask(frozenset(removed))


def check_at_zero(bench: Bench) -> None:
    """Refuse a comparison that does not start from one model.

    Our side is a copy, too: the same weights at another place in memory may be added up in another order.

    Raises:
        PruningError: Torch-Pruning's model at ratio 0 gives other logits than ours, be it in the last digit.
    """
    import torch

    from pruning.copying import twin_of, with_own_weights
    from pruning.tasks import batches, forward

    ((_, module),) = cuts(bench, PEERS["torch-pruning magnitude"], [0.0])
    module.requires_grad_(False)
    own = with_own_weights(twin_of(bench.model.module))
    batch = next(batches(bench.evaluation, bench.batch_size, bench.model.device))
    with torch.inference_mode():
        ours, theirs = (forward(one, batch) for one in (own, module))
    if not ours.equal(theirs):
        raise PruningError(f"at ratio 0 the logits differ by up to {(ours - theirs).abs().max():.2g}")
