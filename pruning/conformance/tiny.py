"""A tiny random model of every type that transformers can build.

The class with the head that is used most is tried first, then the others, until one builds and runs.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import warnings
from collections.abc import Iterator
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, CONFIG_MAPPING_NAMES

from pruning.conformance.shrinking import tiny_config
from pruning.conformance.special import UNBUILDABLE
from pruning.errors import UnsupportedError, named_line
from pruning.inputs import dry_run_inputs, outputs

MODEL_TYPES: tuple[str, ...] = tuple(CONFIG_MAPPING_NAMES)
SEED = 7
HEAD_ORDER = (
    "seq-to-seq-causal-lm", "speech-seq-2-seq", "image-text-to-text", "multimodal-lm", "causal-lm",
    "sequence-classification", "zero-shot-image-classification", "image-classification", "video-classification", "ctc",
    "audio-classification", "zero-shot-object-detection", "object-detection", "universal-segmentation",
    "semantic-segmentation", "instance-segmentation", "depth-estimation", "mask-generation", "keypoint-detection",
    "keypoint-matching", "pose-estimation", "time-series-prediction", "text-to-spectrogram", "text-to-waveform",
    "table-question-answering", "visual-question-answering", "masked-lm", "token-classification", "rnnt", "tdt",
)  # fmt: skip

# Types whose usual head leaves attention unused: where every part of them matters.
HEAD_OF = {
    "canine": "token-classification",  # a sequence is classified before its characters are encoded for the last time
}
# Types whose norms over batches are drawn around zero instead of one: a stack of them leaves nothing of the heads.
FAINT = ("mobilevit",)
# Buffers of zeros in which every sound is the same code, whatever the encoder hears; and how large codes must be
# beside what the encoder says, for small differences to give other codes.
CODEBOOKS = {"MimiEuclideanCodebook": ("embed_sum", 0.2), "XcodecEuclideanCodebook": ("embed", 25.0)}


def heads_of(model_type: str) -> dict[str, str]:
    """The model classes of a type by the head's name, the preferred one first; ``base`` is the model without a head."""
    found: dict[str, str] = {}
    for table in sorted(name for name in dir(modeling_auto) if re.fullmatch(r"MODEL_(FOR_.*_)?MAPPING_NAMES", name)):
        names = getattr(modeling_auto, table).get(model_type)
        if names is not None:
            head = table.removeprefix("MODEL_").removeprefix("FOR_").removesuffix("MAPPING_NAMES").strip("_")
            found[head.lower().replace("_", "-") or "base"] = names if isinstance(names, str) else names[-1]
    order = list(HEAD_ORDER)
    if {"masked-lm", "sequence-classification"} <= found.keys():  # an encoder that can also be told to decode
        order.remove("causal-lm")
    if HEAD_OF.get(model_type) in found:
        order.insert(0, HEAD_OF[model_type])
    known = [head for head in dict.fromkeys(order) if head in found] + (["base"] if "base" in found else [])
    return {head: found[head] for head in (*known, *(head for head in found if head not in known))}


def classes_of(model_type: str, head: str | None) -> Iterator[type]:
    """The classes to try, best first."""
    heads = heads_of(model_type)
    if head is not None and head not in heads:
        raise UnsupportedError(f"{model_type} has no head {head!r}; it has: {', '.join(heads) or 'none'}.")
    config_class = CONFIG_MAPPING[model_type]
    module = importlib.import_module(config_class.__module__.replace(".configuration_", ".modeling_"))
    names = list(dict.fromkeys(heads.values())) if head is None else [heads[head]]
    if head is None:
        names += [name for name, item in vars(module).items() if name not in names and _is_model(item, config_class)]
    for name in names:
        found = getattr(module, name, None) or getattr(transformers, name, None)
        if isinstance(found, type) and found.__name__ == name:
            yield found


def _is_model(item: Any, config_class: type) -> bool:
    is_model = inspect.isclass(item) and issubclass(item, transformers.PreTrainedModel)
    is_whole = is_model and not item.__name__.endswith(("PreTrainedModel", "PretrainedModel"))
    return is_whole and getattr(item, "config_class", None) is config_class


# Building ---------------------------------------------------------------------------------------------------------


def tiny_model(model_type: str, *, head: str | None = None) -> nn.Module:
    """A tiny model of this type, in eval mode, without gradients, the same at every call.

    Args:
        model_type: A name of ``MODEL_TYPES``.
        head: A name of ``heads_of(model_type)``; the first class that builds and runs where it is ``None``.

    Raises:
        UnsupportedError: The type cannot be built, or does not run on inputs made from its configuration.
    """
    if model_type not in CONFIG_MAPPING_NAMES:
        raise UnsupportedError(f"transformers knows no model type {model_type!r}.")
    if model_type in UNBUILDABLE:
        raise UnsupportedError(f"{model_type}: {UNBUILDABLE[model_type]}")
    reason = "transformers has no model class for this configuration"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for model_class in classes_of(model_type, head):
                try:
                    return build(model_class, tiny_config(model_type))
                except Exception as error:
                    told = f"{model_class.__name__} fails with {named_line(error)}"
                    reason = told if reason.startswith("transformers has") else reason
        except UnsupportedError:
            raise
        except Exception as error:
            reason = named_line(error)
    raise UnsupportedError(f"{model_type}: {reason}")


def build(model_class: type, config: Any) -> nn.Module:
    """The model with random weights; raises where it does not run or gives something that is not finite."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        module = model_class(config).eval().requires_grad_(False)
        shake(module)
    with torch.no_grad():
        found = outputs(module, dry_run_inputs(module))
    if not found:
        raise ValueError("the output holds no tensor of real numbers")
    bad = [name for name, value in found.items() if not is_sound(value)]
    if bad:
        raise ValueError(f"these outputs are not finite: {', '.join(bad)}")
    return module


def is_sound(value: Tensor) -> bool:
    """No NaN; masked scores may be minus infinity."""
    return not bool(value.isnan().any()) and bool(value.isfinite().any())


def shake(module: nn.Module) -> None:
    """Noise in every weight, large enough for every head to matter and small enough for deep stacks to stay finite.

    What transformers computes anew whenever it loads a model keeps its values: sinusoids, and rows for padding.
    """
    is_faint = getattr(getattr(module, "config", None), "model_type", None) in FAINT
    for _, child in sorted(module.named_modules()):
        if "Sinusoidal" in type(child).__name__:
            continue
        is_conv = isinstance(child, nn.modules.conv._ConvNd)
        for tensor in child._parameters.values():
            if tensor is None or not tensor.is_floating_point():
                continue
            if isinstance(child, nn.modules.batchnorm._NormBase) and tensor is child.weight and is_faint:
                tensor.fill_(1.0)
            noise = torch.randn_like(tensor)
            inputs = tensor[0].numel() if is_conv and tensor.dim() > 1 else tensor.shape[-1] if tensor.dim() else 1
            scale = min(0.2, 1.2 / math.sqrt(max(1, inputs)))
            tensor.copy_(noise * scale if tensor.dim() > 1 else tensor + noise * 0.1)
            padding = getattr(child, "padding_idx", None)
            if isinstance(child, nn.Embedding) and padding is not None:
                tensor[padding] = 0.0
    for _, child in sorted(module.named_modules()):
        if type(child).__name__ in CODEBOOKS:
            name, size = CODEBOOKS[type(child).__name__]
            buffer = child.get_buffer(name)
            buffer.copy_(torch.randn_like(buffer) * size)
