"""Is the engine right about every model type that transformers knows?"""

from __future__ import annotations

# One or two of each kind of architecture; the checks of all of them are part of the tests.
REPRESENTATIVE: tuple[str, ...] = (
    # encoders: absolute, relative, disentangled and rotary positions, shared layers, windows, pooling
    "bert", "roberta", "distilbert", "electra", "albert", "deberta-v2", "mpnet", "modernbert", "longformer", "funnel",
    # decoders: fused and transposed projections, ALiBi, one, few and many key-value heads
    "gpt2", "gpt_neo", "gpt_neox", "bloom", "falcon", "mpt", "opt", "gpt_bigcode", "llama", "phi3", "gemma2", "qwen3",
    # decoders with experts, and with layers that do not attend
    "mixtral", "qwen2_moe", "jamba", "zamba2", "qwen3_next",
    # encoders with decoders
    "t5", "bart", "pegasus",
    # images: plain, windowed, pyramids, and detection
    "vit", "deit", "beit", "swin", "segformer", "detr",
    # sounds
    "wav2vec2", "whisper",
    # several at once
    "clip", "llava",
)  # fmt: skip
