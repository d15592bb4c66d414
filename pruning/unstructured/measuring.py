"""What zeros are worth: storage and time, dense, as zeros, and in sparse formats."""

from __future__ import annotations

import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from pruning.linear import is_transposed
from pruning.statistics import RESAMPLES, Estimate, percentile_interval
from pruning.unstructured.choosing import Masks

INDEX_BYTES = 4  # of an int32
TOKENS = 128


@dataclass(frozen=True)
class SparseFigures:
    """What became of size and speed.

    Attributes:
        weights, zeros: Of the layers that were pruned; zeros are counted in the weights, not in the masks.
        dense_bytes: Of the safetensors file, really written; zeros are numbers like any others there.
        csr_bytes: Counted: the same with the pruned layers as compressed rows, values and int32 indices.
        bitmask_bytes: Counted: the same with one bit for each weight, and the values that are not zero.
        zipped_bytes, zipped_before_bytes: The file and that of the original model, zipped (deflate), really written.
        zeros_latency: Median time of all pruned layers with zeros in them, as a ratio to that of the original layers.
        csr_latency: The same for torch's sparse CSR multiplication.
        rounds: How often each was timed, in turn.
        tokens: How many vectors were multiplied each time.
    """

    weights: int
    zeros: int
    dense_bytes: int
    csr_bytes: int
    bitmask_bytes: int
    zipped_bytes: int
    zipped_before_bytes: int
    zeros_latency: Estimate
    csr_latency: Estimate
    rounds: int
    tokens: int

    @property
    def share(self) -> float:
        """Fraction of the pruned layers' weights that are zero."""
        return self.zeros / self.weights

    @property
    def text(self) -> str:
        """The same for people to read."""
        zeros, csr = self.zeros_latency, self.csr_latency
        return (
            f"{self.share:.1%} of {self.weights:,} weights are zero. Zeros alone leave the model as large and as fast "
            f"as before: {_mb(self.dense_bytes)} on disk, {_ratio(zeros)} times the time. Zipped it is "
            f"{_mb(self.zipped_bytes)} (the original {_mb(self.zipped_before_bytes)}); in compressed rows it would be "
            f"{_mb(self.csr_bytes)}, with a bit mask {_mb(self.bitmask_bytes)}. torch's sparse multiplication takes "
            f"{_ratio(csr)} times the time of the dense one (n = {self.rounds}, {self.tokens} tokens)."
        )

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "share": self.share, "text": self.text}


def measure_sparse(
    original: nn.Module,
    sparse: nn.Module,
    masks: Masks,
    *,
    rounds: int = 15,
    tokens: int = TOKENS,
    clock: Callable[[], float] = time.perf_counter,
) -> SparseFigures:
    """Measure a model with zeros beside its original.

    Args:
        original: Before the weights became zero: layers of the same shapes.
        masks: Which layers were pruned.
        rounds: How often the three ways to multiply are timed, alternately.
        clock: Seconds.
    """
    before, after = (_weights(module, masks) for module in (original, sparse))
    nonzero = [int((weight != 0).sum()) for weight in after]
    size, zipped = file_sizes(sparse)
    unit, total = after[0].element_size(), sum(weight.numel() for weight in after)
    rest = size - unit * total
    rows = sum(weight.shape[0] + 1 for weight in after)
    latencies = latency_ratios(before, after, rounds, tokens, clock)
    return SparseFigures(
        weights=total,
        zeros=total - sum(nonzero),
        dense_bytes=size,
        csr_bytes=rest + (unit + INDEX_BYTES) * sum(nonzero) + INDEX_BYTES * rows,
        bitmask_bytes=rest + unit * sum(nonzero) + sum(-(-weight.numel() // 8) for weight in after),
        zipped_bytes=zipped,
        zipped_before_bytes=file_sizes(original)[1],
        zeros_latency=latencies[0],
        csr_latency=latencies[1],
        rounds=rounds,
        tokens=tokens,
    )


def _weights(module: nn.Module, masks: Masks) -> list[Tensor]:
    """``(out, in)`` of each pruned layer."""
    layers: list[Any] = [module.get_submodule(path) for path in masks]
    return [(layer.weight.t() if is_transposed(layer) else layer.weight).detach().contiguous() for layer in layers]


def file_sizes(module: nn.Module) -> tuple[int, int]:
    """Bytes of the weights as a safetensors file, and of that file zipped; both are written and thrown away."""
    from safetensors.torch import save_model

    with tempfile.TemporaryDirectory() as name:
        file, archive = Path(name) / "model.safetensors", Path(name) / "model.zip"
        save_model(module, str(file))
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.write(file, file.name)
        return file.stat().st_size, archive.stat().st_size


def latency_ratios(
    before: list[Tensor], after: list[Tensor], rounds: int, tokens: int, clock: Callable[[], float]
) -> tuple[Estimate, Estimate]:
    """Time with zeros, and as sparse CSR, each over that of the original weights, with bootstrapped intervals.

    The three take turns, so that a machine that slows down slows all of them. All are timed in float32, for which torch
    has sparse multiplication everywhere.
    """
    generator = torch.Generator().manual_seed(0)
    before, after = ([weight.float() for weight in weights] for weights in (before, after))
    inputs = [torch.randn(tokens, w.shape[1], generator=generator).to(w) for w in before]
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # torch says that its sparse CSR support is in beta
        compressed = [weight.to_sparse_csr() for weight in after]
        ways = (
            lambda: [linear(x, w) for x, w in zip(inputs, before, strict=True)],
            lambda: [linear(x, w) for x, w in zip(inputs, after, strict=True)],
            lambda: [(w @ x.t()).t() for x, w in zip(inputs, compressed, strict=True)],
        )
        for way in ways:
            way()
        seconds = np.array([[_timed(way, clock) for way in ways] for _ in range(rounds)])  # (round, way)
    ratios = seconds[:, 1:] / seconds[:, :1]
    draws = np.random.default_rng(0).integers(rounds, size=(RESAMPLES, rounds))
    zeros, csr = (percentile_interval(float(np.median(r)), np.median(r[draws], axis=1)) for r in ratios.T)
    return zeros, csr


def _timed(way: Callable[[], Any], clock: Callable[[], float]) -> float:
    started = clock()
    way()
    return clock() - started


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _ratio(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
