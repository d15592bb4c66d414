"""Waveforms, spectrograms and codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pruning.inputs.request import Request

SAMPLES = 4000
FRAMES = 64
ROW_FRAMES = ("moonshine_streaming",)
PROJECTED_MASK = ("granite_speech", "granite_speech_plus")  # their mask picks from what the projector makes, not frames


def mel_bins(request: Request) -> int:
    names = ("num_mel_bins", "n_mels", "input_feat_per_channel", "feature_projection_input_dim", "feature_size",
             "input_feat_size", "input_size", "input_dim", "num_mel_filters", "feat_in")  # fmt: skip
    return request.of(request.audio, *names, default=80)


def input_values(request: Request) -> Tensor:
    """A waveform ``(1, sample)``, with channels for codecs, or a spectrogram ``(1, frame, bin)``."""
    if request.of(request.audio[:1], "frequency_stride") is not None:  # an audio spectrogram transformer
        return request.noise(1, request.of(request.audio, "max_length", default=1024), mel_bins(request))
    channels = request.of((request.config,), "audio_channels", "channels")
    names = ("codebook_size", "codebook_dim", "downsampling_ratios", "dac_config", "vae_dim")
    is_codec = channels is not None or request.of(request.audio, *names) is not None
    return request.noise(1, channels or 1, SAMPLES) if is_codec else request.noise(1, SAMPLES)


def input_features(request: Request) -> Tensor | None:
    """A spectrogram: ``(1, bin, frame)`` where a convolution reads it, as in Whisper, ``(1, frame, bin)`` else."""
    if "input_values" in request.made and "input_features" not in request.required:
        return None
    if request.of(request.audio[:1], "spec_size") is not None:
        spec = request.of(request.audio, "spec_size")
        return request.noise(1, 1, spec * spec // mel_bins(request), mel_bins(request))
    convolution = _first_convolution(request)
    bins = mel_bins(request) if convolution is None else convolution.in_channels
    positions = request.of(request.audio, "max_source_positions")
    frames = 2 * positions if isinstance(positions, int) and convolution is not None else FRAMES
    if convolution is not None and request.kind not in ROW_FRAMES:
        return request.noise(1, bins, frames)
    return request.noise(1, FRAMES, mel_bins(request))


def _first_convolution(request: Request) -> nn.Conv1d | None:
    """The convolution over time that reads the bins of a spectrogram, where the model has one at its start."""
    found = ((name, child) for name, child in request.module.named_modules() if isinstance(child, nn.Conv1d))
    name, child = next(found, ("", None))
    return child if name.rpartition(".")[2] in ("conv1", "mel_conv") else None


def features_mask(request: Request) -> Tensor | None:
    """The mask that says that every frame counts."""
    features = request.made.get("input_features")
    if features is None or request.kind in PROJECTED_MASK:
        return None
    frames = features.shape[-1] if _first_convolution(request) is not None else features.shape[1]
    return torch.ones(1, frames, dtype=torch.long)
