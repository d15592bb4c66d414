"""Does a cut model write what the masked one writes, with a cache and without?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pruning.conformance.check import Check, one_line
from pruning.conformance.cuts import TOLERANCE
from pruning.gating import gated
from pruning.inputs import dry_run_inputs
from pruning.models import LoadedModel
from pruning.surgery import PrunedModel

PROMPT_TOKENS, NEW_TOKENS = 5, 5
OTHER_WAYS: dict[str, dict[str, Any]] = {
    "without cache": {"use_cache": False},
    "static cache": {"cache_implementation": "static"},
}
Written = tuple[Tensor, Tensor]  # tokens (new,), logits (new, word)


def check_generation(model: LoadedModel, pruned: PrunedModel | None) -> Check:
    """Greedy search: masked against cut, with a cache; then the cut model without one, and with a static one.

    The masked original is asked first: what it cannot do, or does differently, is not held against the copy.
    """
    module = model.module
    if not (module.can_generate() and module.get_output_embeddings() is not None):
        return Check("skipped", reason="it does not write text")
    if pruned is None:
        return Check("skipped", reason="nothing can be cut")
    try:
        inputs = prompt_of(module)
        original = written(module, inputs)
    except Exception as error:
        return Check("skipped", reason=f"the original does not write: {one_line(error)}")
    try:
        with gated(model, pruned.mask):
            expected = written(module, inputs)
        found = written(pruned.module, inputs)
    except Exception as error:
        return Check("wrong", reason=one_line(error))
    worst, same = _distance(found, expected)
    if not same or worst > TOLERANCE:
        return Check("wrong", worst, 1, "the cut model does not write what the masked one writes")
    more: dict[str, Any] = {"moved": _distance(original, expected)[0] > 0}
    for name, settings in OTHER_WAYS.items():
        more[name] = _another_way(model, pruned, inputs, found, settings)
    bad = next((f"{name}: {said}" for name, said in more.items() if isinstance(said, str) and not _is_fine(said)), "")
    return Check("wrong" if bad else "right", worst, 1, bad, more)


def prompt_of(module: nn.Module) -> dict[str, Tensor]:
    """What the model reads before it writes; the decoder of an encoder-decoder begins by itself."""
    inputs = dry_run_inputs(module, PROMPT_TOKENS)
    return {name: value for name, value in inputs.items() if not name.startswith("decoder_")}


def written(module: nn.Module, inputs: dict[str, Tensor], **settings: Any) -> Written:
    """The new tokens of greedy search and the logits behind them; it may not stop early."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        found = module.generate(
            **inputs,
            **{"use_cache": True, **settings},
            max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS,
            do_sample=False,
            num_beams=1,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_logits=True,
        )
    return found.sequences[0, -NEW_TOKENS:], torch.stack([step[0] for step in found.logits]).float()


def _distance(found: Written, expected: Written) -> tuple[float, bool]:
    if found[1].shape != expected[1].shape:
        return float("inf"), False
    scale = max(1.0, float(expected[1].nan_to_num(0, 0, 0).abs().max()))
    worst = float((found[1] - expected[1]).nan_to_num(0, 0, 0).abs().max()) / scale
    return worst, torch.equal(found[0], expected[0])


def _another_way(
    model: LoadedModel, pruned: PrunedModel, inputs: dict[str, Tensor], found: Written, settings: dict[str, Any]
) -> str:
    """``right`` where the cut model writes the same in this way, too; else why not."""
    try:
        with gated(model, pruned.mask):
            masked = written(model.module, inputs, **settings)
    except Exception as error:
        return f"skipped: the masked original cannot ({one_line(error)})"
    if not torch.equal(masked[0], found[0]):
        return "skipped: the masked original, too, writes something else"
    try:
        worst, same = _distance(written(pruned.module, inputs, **settings), found)
    except Exception as error:
        return one_line(error)
    return "right" if same else f"other tokens (logits differ by {worst:.1e})"


def _is_fine(said: str) -> bool:
    return said == "right" or said.startswith("skipped")
