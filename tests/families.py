"""Tiny random models, one line per family, and inputs, examples and saved folders for each of them.

A family is built the same way every time, so a second build is an independent copy: same weights, no hooks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from torch import Tensor

from pruning import LoadedModel, wrap_model
from pruning.tasks import Examples

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "</s>", *[f"w{i}" for i in range(95)]]
PAD, UNK, CLS, SEP, EOS = range(5)
FIRST_WORD, SIZE = 5, len(VOCABULARY)
HEADS, HEAD_DIM, LAYERS = 4, 8, 2
TINY = {"hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 64}
IDS = {"vocab_size": SIZE, "pad_token_id": PAD, "bos_token_id": CLS, "eos_token_id": EOS}
GPT = {"n_embd": 32, "n_layer": LAYERS, "n_head": HEADS, **IDS}
GROUPED = {**TINY, **IDS, "num_key_value_heads": 2}
PATCHES = {**TINY, "image_size": 32, "patch_size": 8}
T5 = {"d_model": 32, "d_kv": HEAD_DIM, "num_layers": LAYERS, "num_heads": HEADS, "d_ff": 64, **IDS}
T5 |= {"decoder_start_token_id": PAD}
BART = {f"{part}_{what}": size for part in ("encoder", "decoder")
        for what, size in (("layers", LAYERS), ("attention_heads", HEADS), ("ffn_dim", 64))}  # fmt: skip
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}


@dataclass(frozen=True)
class Family:
    """How to build one family, and the task that its head is for (``None``: there is none here)."""

    name: str
    task: str | None
    model: type
    config: type
    settings: dict[str, Any]

    def build(self, **settings: Any) -> Any:
        """A fresh model with the weights that this family always gets: large enough for every head to matter."""
        with torch.random.fork_rng():
            torch.manual_seed(7)
            module = self.model(self.config(**self.settings | settings)).eval().requires_grad_(False)
            for _, tensor in sorted(module.named_parameters()):
                noise = torch.randn_like(tensor)
                tensor.copy_(noise * 0.2 if tensor.dim() > 1 else tensor + noise * 0.1)
        return module


TEXT, IMAGE, LM = "text-classification", "image-classification", "language-modeling"
SWIN = {"embed_dim": 24, "depths": [1, 1], "num_heads": [2, 4], "image_size": 32, "patch_size": 4, "window_size": 4}
FAMILIES = {family.name: family for family in (
    Family("bert", TEXT, tf.BertForSequenceClassification, tf.BertConfig, TINY | IDS),
    Family("roberta", TEXT, tf.RobertaForSequenceClassification, tf.RobertaConfig, TINY | IDS),
    Family("distilbert", TEXT, tf.DistilBertForSequenceClassification, tf.DistilBertConfig,
           {"dim": 32, "n_layers": LAYERS, "n_heads": HEADS, "hidden_dim": 64, **IDS}),
    Family("electra", TEXT, tf.ElectraForSequenceClassification, tf.ElectraConfig, TINY | IDS | {"embedding_size": 16}),
    Family("albert", TEXT, tf.AlbertForSequenceClassification, tf.AlbertConfig, TINY | IDS | {"embedding_size": 16}),
    Family("deberta-v2", TEXT, tf.DebertaV2ForSequenceClassification, tf.DebertaV2Config, TINY | IDS | DISENTANGLED),
    Family("modernbert", TEXT, tf.ModernBertForSequenceClassification, tf.ModernBertConfig,
           TINY | IDS | {"cls_token_id": CLS, "sep_token_id": SEP}),
    Family("vit", IMAGE, tf.ViTForImageClassification, tf.ViTConfig, PATCHES),
    Family("deit", IMAGE, tf.DeiTForImageClassification, tf.DeiTConfig, PATCHES),
    Family("swin", IMAGE, tf.SwinForImageClassification, tf.SwinConfig, SWIN),
    Family("gpt2", TEXT, tf.GPT2ForSequenceClassification, tf.GPT2Config, GPT),
    Family("gpt2-lm", LM, tf.GPT2LMHeadModel, tf.GPT2Config, GPT),
    Family("llama", TEXT, tf.LlamaForSequenceClassification, tf.LlamaConfig, GROUPED),
    Family("llama-lm", LM, tf.LlamaForCausalLM, tf.LlamaConfig, GROUPED),
    Family("qwen3", TEXT, tf.Qwen3ForSequenceClassification, tf.Qwen3Config, GROUPED | {"head_dim": HEAD_DIM}),
    Family("gemma2-lm", LM, tf.Gemma2ForCausalLM, tf.Gemma2Config, GROUPED | {"head_dim": HEAD_DIM}),
    Family("gpt-neox-lm", LM, tf.GPTNeoXForCausalLM, tf.GPTNeoXConfig, TINY | IDS),
    Family("bloom-lm", LM, tf.BloomForCausalLM, tf.BloomConfig,
           {"hidden_size": 32, "n_layer": LAYERS, "n_head": HEADS, **IDS}),
    Family("phi3-lm", LM, tf.Phi3ForCausalLM, tf.Phi3Config, GROUPED),
    Family("t5", TEXT, tf.T5ForSequenceClassification, tf.T5Config, T5),
    Family("t5-generation", None, tf.T5ForConditionalGeneration, tf.T5Config, T5),
    Family("bart", TEXT, tf.BartForSequenceClassification, tf.BartConfig, {"d_model": 32, **BART, **IDS}),
)}  # fmt: skip
NAMES = tuple(FAMILIES)
SCORED = tuple(name for name, family in FAMILIES.items() if family.task)


@functools.cache
def model_of(name: str) -> LoadedModel:
    """The family's model, wrapped once for all tests: the engine promises to leave it as it is."""
    return wrap_model(FAMILIES[name].build(), name=name)


@functools.cache
def tokens_of(row: int, length: int) -> tuple[int, ...]:
    """Random words that end with the end-of-sequence token, which BART and T5 look for; others take it for a word."""
    generator = torch.Generator().manual_seed(1000 + row)
    return (*torch.randint(FIRST_WORD, SIZE, (length - 1,), generator=generator).tolist(), EOS)


def features_of(name: str, row: int, length: int) -> dict[str, Any]:
    """Model inputs of one example, without a batch dimension."""
    if FAMILIES[name].task == IMAGE:
        return {"pixel_values": torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(row))}
    ids = list(tokens_of(row, length))
    features = {"input_ids": ids, "attention_mask": [1] * length}
    return features | {"decoder_input_ids": ids} if name == "t5-generation" else features


def inputs_of(name: str, rows: int = 3, length: int = 6) -> dict[str, Tensor]:
    """A batch of equal lengths."""
    features = [features_of(name, row, length) for row in range(rows)]
    return {key: torch.stack([torch.as_tensor(row[key]) for row in features]) for key in features[0]}


def examples_of(name: str, count: int = 6) -> Examples:
    """Examples of three lengths in turn, encoded already; two classes in turn where the task has classes."""
    family = FAMILIES[name]
    lengths = [4 + row % 3 for row in range(count)]
    features = tuple(features_of(name, row, length) for row, length in enumerate(lengths))
    labels = ("LABEL_0", "LABEL_1") if family.task != LM else ()
    targets = tuple(row // 2 % 2 for row in range(count)) if labels else ()
    keys = tuple(lengths) if family.task != IMAGE else ("image",) * count
    return Examples(features, targets, keys, tuple(f"text {row}" for row in range(count)), labels, "these examples")


def logits_of(module: Callable[..., Any], inputs: dict[str, Tensor]) -> Tensor:
    with torch.inference_mode():
        return module(**inputs).logits


# Folders with a tokenizer -----------------------------------------------------------------------------------------


def tokenizer_of(name: str) -> tf.PreTrainedTokenizerFast:
    """A word-level tokenizer that adds what the family expects around a text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    around = {"bert": "[CLS] $A [SEP]", "distilbert": "[CLS] $A [SEP]", "bart": "$A </s>"}.get(name, "$A")
    special = [(VOCABULARY[i], i) for i in (CLS, SEP, EOS)]
    tokenizer.post_processor = processors.TemplateProcessing(single=around, special_tokens=special)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    inputs = ["input_ids", "attention_mask"]
    return tf.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, eos_token="</s>", **names)


def save(name: str, folder: Path, **settings: Any) -> Path:
    """The family's model and its tokenizer in a folder, as their own `save_pretrained` writes them."""
    FAMILIES[name].build(**settings).save_pretrained(folder)
    tokenizer_of(name).save_pretrained(folder)
    return folder


def texts_of(count: int) -> list[str]:
    """Texts of 3 to 9 known words."""
    return [" ".join(VOCABULARY[i] for i in tokens_of(row, 4 + row * 5 % 7)[:-1]) for row in range(count)]
