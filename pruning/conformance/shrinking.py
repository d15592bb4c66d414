"""Tiny configurations: the defaults of a configuration class, made small.

They are shrunk by a rule on the names of its settings, through all of its parts; what the rule
cannot know is a row of ``pruning.conformance.special``.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING, AutoConfig

from pruning.conformance.special import SPECIAL

WIDTH, INNER, HEADS, GROUPS, HEAD_DIM, LAYERS = 32, 64, 4, 2, 8, 2
VOCABULARY, POSITIONS, IMAGE, PATCH = 99, 64, 32, 8

KEEP = None
INTEGERS: tuple[tuple[str, int | None], ...] = (
    (r"(.*_)?type_vocab_size|num_channels|(num_)?(in|input|audio|image|auxiliary|latent|mask_input)_channels", KEEP),
    (r"(.*_)?codebook_size|num_codevectors_per_group", 64),
    (r"(.*_)?rotary_dim", 4),
    (r".*vocab_size.*|num_embeddings|vocab|entity_vocab_size", VOCABULARY),
    (r".*heads|.*n_heads?|num_head|nhead", HEADS),
    (r".*head_dim|.*_dim_head|d_kv|v_head_dim|.*head_size|kv_channels", HEAD_DIM),
    (r"(.*_)?(num|n)_(hidden_|decoder_|encoder_)?(layers?|blocks)|(.*_)?(layers|depth)|n_layers?|num_.*_layers",
     LAYERS),
    (r"upsample_groups|d_latents|num_latents", WIDTH),
    (r"num_self_attends_per_block", LAYERS),
    (r"num_filters|base_channels|encoder_hidden_dim_codec|upsample_initial_channel|n_filters", 16),
    (r"window_size|decoder_n_points|encoder_n_points|num_denoising|dim_ff_mult", 2),
    (r"first_k_dense_replace|num_dense_layers|num_shared_experts|n_shared_experts|n_group|topk_group", 1),
    (r".*(intermediate|ffn|mlp|feedforward|feed_forward|ff)_?(hidden_)?(dim|size).*|d_ff|d_inner|n_inner|"
     r"ffn_hidden_size|mlp_dim|ffn_dim|dim_feedforward", INNER),
    (r".*experts_per_tok(en)?|.*_top_?k|moe_k|top_k|moe_topk", 2),
    (r"(.*_)?num(_local|_routed)?_experts|n_routed_experts|moe_num_experts|num_experts", 4),
    (r"full_attention_interval|attn_layer_period|sliding_window_pattern|decoder_sparse_step|.*_layer_interval|"
     r"cross_attention_frequency", 2),
    (r"n_groups|.*_n_groups|num_groups", 2),
    (r".*(hidden_?size|hidden_?dim|d_model|embed_?dim|embd|embedding_?(size|dim)|emb_dim|_rank|_filters|"
     r"projection_(dim|size)|_dim|_dims|(out|output|channel|conv)_channels|proj_size|embed_size|emb_size|model_dim).*|"
     r"dim|width|channels|num_filters|embed_dims|latent_channels|out_hidden_size", WIDTH),
    (r".*(max_position|n_positions|max_seq|context_length|max_length|max_(source|target)_positions|max_text_len).*",
     POSITIONS),
    (r"(.*_)?image_size|crop_size|input_size|resolution", IMAGE),
    (r"(.*_)?patch_size", PATCH),
    (r"num_frames|frames_per_clip|frames|num_quer(y_tokens|ies)|num_object_queries|n_queries", 4),
    (r"num_mel_bins|n_mels|num_mel_filters", 16),
    (r"vision_feature_layer|vision_feature_layers", -1),
)  # fmt: skip
FLOATS = ((r".*(dropout|drop_path|layerdrop|drop_rate|drop_prob|_drop|pdrop|drop)(_rate|_prob)?.*", 0.0),
          (r"mask_(time|feature)_prob", 0.0))  # fmt: skip
UNSET = {"head_dim": HEAD_DIM, "vocab_size": VOCABULARY, "num_key_value_heads": GROUPS}
LAYER_KINDS = ("layer_types", "layers_block_type", "mlp_layer_types", "layer_type")
FLAGS = {"apply_spec_augment": False, "use_pretrained_backbone": False, "use_timm_backbone": False}
TOKENS = r".*(token|eos|bos|pad|sep|cls|mask|lang)_?(id|index|idx)"
FIRST_TOKENS = ("pad", "bos", "eos", "unk", "sep", "cls", "mask")


@dataclass
class Shrinker:
    """Makes one tiny configuration; remembers which special token got which id, so that all parts agree."""

    tokens: dict[str, int] = field(default_factory=dict)

    def config(
        self, config_class: Any, forced: dict[str, Any] | None = None, usual: dict[str, Any] | None = None
    ) -> Any:
        """The configuration with every size shrunk, in all of its parts.

        Args:
            config_class: Its defaults are what is shrunk.
            forced: Settings to take as they are; a dictionary under the name of a part is for that part.
            usual: Settings that replace the defaults before they are shrunk.
        """
        forced = _merged(SPECIAL.get(config_class.model_type, {}), forced or {})
        given = {**dict(_defaults(config_class)), **(usual or {})}
        parts = getattr(config_class, "sub_configs_defaults", {})
        whole = _whole(config_class)
        settings = self.layers(whole, given)
        for name, value in given.items():
            if name not in {*parts, *forced, *settings} and (small := self.setting(name, value, given)) != value:
                settings[name] = small
        settings = {name: value for name, value in (usual or {}).items() if name not in parts} | settings
        for name, part in parts.items():
            own = forced.pop(name, {})
            if own is None or (part.optional and not own and getattr(whole, name, None) is None):
                continue
            settings[name] = self.part(part, own) if isinstance(own, dict) else own
        for name in getattr(config_class, "sub_configs", {}).keys() - parts.keys() - forced.keys():
            if hasattr(part := getattr(whole, name, None), "model_type"):  # a part that has no specification
                settings[name] = self.config(type(part))
        return config_class(**settings | forced)

    def part(self, spec: Any, own: dict[str, Any]) -> Any:
        """One part of a composite configuration, of the type that its specification names, or that ``own`` names."""
        kind = own.get("model_type", spec.model_type)
        is_free = spec.config_class is AutoConfig or "model_type" in own
        config_class = CONFIG_MAPPING[kind] if is_free else spec.config_class
        usual = spec.init_kwargs if kind == spec.model_type else {}
        return self.config(config_class, {n: v for n, v in own.items() if n != "model_type"}, usual)

    def layers(self, whole: Any, given: dict[str, Any]) -> dict[str, Any]:
        """One layer of each kind where layers are of several kinds, and rotary sections that fit the small heads.

        Args:
            whole: The configuration at its full size, or ``None`` where its defaults contradict each other.
            given: Its settings before they were derived from each other.
        """
        if whole is None:
            return {}
        settings: dict[str, Any] = {}
        unset = {name: size for name, size in UNSET.items() if name in given and vars(whole).get(name, 0) is None}
        for name in LAYER_KINDS:
            kinds = getattr(whole, name, None)
            if name in given and isinstance(kinds, (list, tuple)) and kinds and isinstance(kinds[0], str):
                kinds = tuple(dict.fromkeys(kinds))
                settings[name] = list(kinds) * (1 if len(kinds) > 1 else LAYERS)
        count = max((len(kinds) for kinds in settings.values()), default=LAYERS)
        settings = {name: (kinds + kinds[-1:] * count)[:count] for name, kinds in settings.items()}
        if count != LAYERS:
            settings["num_hidden_layers"] = count
        rope = getattr(whole, "rope_parameters", None)
        if isinstance(rope, dict) and "rope_parameters" in given and (small := _sections(rope)) != rope:
            settings["rope_parameters"] = small
        return settings | unset

    def setting(self, name: str, value: Any, given: dict[str, Any]) -> Any:
        """The small value of one setting, or the value that it has."""
        if name in FLAGS:
            return FLAGS[name]
        if value is None and re.fullmatch(r"(image|video|audio)_token_(id|index)", name):
            return self.token(name, 0)
        if isinstance(value, bool) or value is None or isinstance(value, (str, dict)):
            return value
        if re.fullmatch(TOKENS, name):
            first = value[0] if isinstance(value, (list, tuple)) and value else value
            return self.token(name, first) if isinstance(first, int) and first >= 0 else value
        if isinstance(value, float):
            return next((small for pattern, small in FLOATS if re.fullmatch(pattern, name)), value)
        if isinstance(value, (list, tuple)):
            return self.several(name, value, given)
        if re.fullmatch(r".*(key_value|kv)_heads|n_head_kv|multi_query_group_num", name):
            heads = given.get(name.replace("key_value", "attention"), value + 1)
            return HEADS if isinstance(heads, int) and value >= heads else min(value, GROUPS)
        return _smaller(name, value) if isinstance(value, int) else value

    def several(self, name: str, values: Any, given: dict[str, Any]) -> Any:
        """Lists of sizes keep their length: other lists belong to the same stages."""
        kind = type(values)
        if not values or not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            return values
        if re.fullmatch(r"depths?|num_block_repeats|layers|num_layers", name):
            return kind(1 for _ in values)
        if re.fullmatch(r".*(num_heads|num_attention_heads)", name):
            return kind(2 * value // math.gcd(*values) for value in values)
        if re.fullmatch(r"conv_dim|tdnn_dim", name):
            return kind(WIDTH for _ in values)
        if re.fullmatch(r"(.*_)?(hidden_sizes|embed_dims?|.*channels)", name) and min(values) > 3:
            return kind(max(1, round(value * min(1.0, 16 / min(values)))) for value in values)
        if re.fullmatch(r"(.*_)?(image_size|input_size)", name):
            return kind(min(value, IMAGE) for value in values)
        if "indices" in name and "depths" in given:
            return values  # of stages, not of layers
        if re.fullmatch(r".*(indices|indexes|layer_ids|extract_layers|layer_indexes|hook_ids)", name):
            return kind(range(min(len(values), LAYERS)))
        return values

    def token(self, name: str, value: int) -> int:
        """An id inside the tiny vocabulary: the same for the same name, and one for each name."""
        stem = re.sub(r"_?(token)?_?(id|index|idx)$", "", name)
        stem = {"decoder_start": "pad" if value == 0 else "eos", "forced_eos": "eos", "forced_bos": "bos"}.get(
            stem, stem
        )
        if stem in FIRST_TOKENS:
            return FIRST_TOKENS.index(stem)
        return self.tokens.setdefault(stem, VOCABULARY - 1 - len(self.tokens))


def _whole(config_class: type) -> Any:
    try:
        return config_class()
    except Exception:  # some defaults contradict each other: there is nothing to learn from them
        return None


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    both = {
        name
        for name in first.keys() & second.keys()
        if isinstance(first[name], dict) and isinstance(second[name], dict)
    }
    return {**first, **second, **{name: _merged(first[name], second[name]) for name in both}}


def _sections(rope: dict[str, Any]) -> dict[str, Any]:
    """The same rotary parameters for heads of ``HEAD_DIM``: sections of time, height and width that fill half of it."""
    if "mrope_section" in rope:
        return {**rope, "mrope_section": [2, 1, 1]}
    return {name: _sections(value) if isinstance(value, dict) else value for name, value in rope.items()}


def _defaults(config_class: type) -> Iterator[tuple[str, Any]]:
    base = {item.name for item in dataclasses.fields(transformers.PreTrainedConfig)}
    for item in dataclasses.fields(config_class):
        if item.name in base:
            continue
        if item.default is not dataclasses.MISSING:
            yield item.name, item.default
        elif item.default_factory is not dataclasses.MISSING:
            yield item.name, item.default_factory()


def _smaller(name: str, value: int) -> int:
    small = next((small for pattern, small in INTEGERS if re.fullmatch(pattern, name)), KEEP)
    if small == -1 or small is KEEP:
        return small if small == -1 else value
    return min(value, small)


def tiny_config(model_type: str) -> Any:
    """The shrunk configuration of a model type."""
    return Shrinker().config(CONFIG_MAPPING[model_type])
