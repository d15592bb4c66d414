"""Time series."""

from __future__ import annotations

import torch
from torch import Tensor

from pruning.inputs.request import Request


def _length(request: Request) -> int:
    lags = request.of((request.config,), "lags_sequence", default=[0])
    return int(request.of((request.config,), "context_length", default=32)) + max(lags)


def past_values(request: Request) -> Tensor:
    """``(1, time)``, or ``(1, time, channel)`` where the model reads several series at once."""
    inputs = request.of((request.config,), "num_input_channels", "input_size", default=1)
    length = _length(request)
    is_flat = request.of((request.config,), "num_input_channels") is None and inputs == 1
    return request.noise(1, length) if is_flat else request.noise(1, length, inputs)


def past_time_features(request: Request) -> Tensor:
    return request.noise(1, _length(request), request.of((request.config,), "num_time_features", default=1))


def past_observed_mask(request: Request) -> Tensor:
    return torch.ones_like(request.made["past_values"])
