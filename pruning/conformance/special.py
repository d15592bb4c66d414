"""Where the shrinking rule of ``pruning.conformance.tiny`` is not enough: settings by configuration class.

A row is keyed by the model type of a configuration, be it a whole model or a part of one. Its settings replace what the
rule found; a setting that is a dictionary and bears the name of a part is merged into the part's own settings.
"""

from __future__ import annotations

from typing import Any


def sections(*sizes: int, **more: Any) -> dict[str, Any]:
    """Rotary positions whose frequencies are divided between time, height and width."""
    return {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": list(sizes), **more}}


CONV_STEM = {"stem_channels": [3, 16, 16], "stage_in_channels": [16, 16, 32, 48], "stage_mid_channels": [16] * 4,
             "stage_out_channels": [16, 32, 48, 64], "stage_numb_of_layers": [1] * 4, "hidden_sizes": [16, 32, 48, 64],
             "stage_num_blocks": [1] * 4, "embedding_size": 16}  # fmt: skip
IMAGE_WORDS = {"<image>": 90, "IMGIMGBSZ": 89, **{f"IMGIMG{letter}Z": 20 + i for i, letter in enumerate("ABCDEFGHIJ")}}
EMU_WORDS = {"<image>": 90, "<|extra_200|>": 91} | {f"<|visual token {i:06d}|>": i for i in range(64)}
TILES = {"image_grid_pinpoints": [[32, 64], [64, 32]]}
WINDOWS = {"image_size": 64, "patch_size": 4, "window_size": 2, "embed_dim": 16, "depths": [1] * 4,
           "num_heads": [2, 4, 8, 16]}  # fmt: skip
PYRAMID = {"hidden_sizes": [16, 32, 48, 64], "depths": [1] * 4}
CODES = {"vq_config": {"base_channels": 32, "channel_multiplier": [1, 1], "attn_resolutions": [], "num_res_blocks": 1}}
TWICE = {"num_hidden_layers": 4, "layer_types": ["linear_attention", "full_attention"] * 2}
VISION_WINDOWS = {"window_size": 32, "fullatt_block_indexes": [1]}
SERIES = {"prediction_length": 4, "context_length": 16, "lags_sequence": [1, 2], "num_time_features": 1}

SPECIAL: dict[str, dict[str, Any]] = {
    # rotary sections that the model has by default without saying so in its configuration
    "qwen2_vl_text": sections(2, 1, 1),
    "qwen2_5_vl_text": sections(2, 1, 1),
    "qwen2_5_omni_text": sections(2, 1, 1),
    "qwen2_5_omni_talker": sections(2, 1, 1),
    "paddleocr_vl_text": sections(2, 1, 1),
    "glm4v_text": sections(2, 1, 1),
    "glm_ocr_text": sections(2, 1, 1),
    "glm_image_text": sections(2, 1, 1),
    "glm4v_moe_text": sections(1, 1, 0, partial_rotary_factor=0.5),
    # layers of several kinds: each of them twice, so that a cut can leave one
    "bailing_hybrid": {**TWICE, "mlp_layer_types": ["dense", "dense", "sparse", "sparse"]},
    "bamba": {"num_hidden_layers": 4, "attn_layer_indices": [1, 3]},
    "granitemoehybrid": {"num_hidden_layers": 4, "layer_types": ["mamba", "attention"] * 2},
    "kimi_linear": {**TWICE, "mlp_layer_types": ["dense", "dense", "sparse", "sparse"]},
    "olmo_hybrid": TWICE,
    "qwen3_next": TWICE,
    "qwen3_5_text": TWICE,
    "qwen3_5_moe_text": TWICE,
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "jamba": {"num_hidden_layers": 4, "attn_layer_offset": 1, "expert_layer_offset": 1},
    "lfm2_moe": {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention"] * 2},
    "deepseek_ocr2_text": {"mlp_layer_types": ["dense", "sparse"]},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "zamba": {"num_hidden_layers": 4, "layers_block_type": ["linear_attention", "hybrid"] * 2},
    "mamba2": {"num_heads": 8},
    "step3p5": {"sliding_window": 16},
    # sizes that belong together
    "dots1": {"n_routed_experts": 4, "n_group": 1, "topk_group": 1},
    "deepseek_v2": {"num_experts_per_tok": 2, "n_routed_experts": 4},
    "gemma4_assistant": {"text_config": {"hidden_size_per_layer_input": 0}},
    "fun_asr_nano": {"adaptor_config": {"intermediate_size": 8}},
    "reformer": {"axial_pos_embds_dim": [16, 16], "axial_pos_shape": [8, 8], "max_position_embeddings": 64},
    "bros": {"dim_bbox": 8},
    "layoutlmv3": {"coordinate_size": 5, "shape_size": 6},
    "neomme": {"head_dim": 16},
    "llama4_vision_model": {"vision_output_dim": 32, "projector_input_dim": 32, "projector_output_dim": 32,
                            "intermediate_size": 128},
    "mobilevit": {"hidden_sizes": [16, 32, 48], "neck_hidden_sizes": [16, 16, 16, 16, 16, 16, 64]},
    "hgnet_v2": CONV_STEM,
    "chameleon": {"vocabulary_map": IMAGE_WORDS},
    "emu3": {"vocabulary_map": EMU_WORDS},
    "aria": {"projector_patch_to_query_dict": {16: 4}},
    "gemma3": {"mm_tokens_per_image": 4},
    "shieldgemma2": {"mm_tokens_per_image": 4},
    "t5gemma2_encoder": {"mm_tokens_per_image": 4},
    "vipllava": {"vision_feature_layers": [-1, -2]},
    "llava_next": TILES,
    "llava_next_video": TILES,
    "llava_onevision": TILES,
    "time_series_transformer": SERIES,
    "informer": SERIES,
    "autoformer": SERIES | {"moving_average": 5},
    "vitdet": {"out_features": ["stage2"]},
    "vitpose": {"backbone_config": {"out_indices": [2]}},  # the last stage: the first is the stem, without heads
    "muse_glimmer": {"out_hidden_size": 128},
    "granite_speech": {"window_size": 16, "downsample_rate": 4},
    "granite_speech_plus": {"window_size": 16, "downsample_rate": 4},
    "granite_speech5_encoder": {"context_size": 32},
    "clvp_encoder": {"projection_dim": 8},
    # windows and pyramids whose last stage must not be smaller than a window
    "swin": WINDOWS,
    "swinv2": WINDOWS,
    "donut-swin": WINDOWS,
    "maskformer-swin": WINDOWS,
    "focalnet": {"image_size": 64, "embed_dim": 16, "hidden_sizes": [16, 32, 64, 128]},
    "pvt": {"image_size": 64, "num_encoder_blocks": 4, "num_attention_heads": [2, 4, 4, 8]},
    "levit": {"image_size": 64, "patch_size": 16, "hidden_sizes": [32, 48, 64],
              "num_attention_heads": [2, 3, 4], "key_dim": [8, 8, 8]},
    "cvt": {"depth": [1, 2, 3], "embed_dim": [16, 32, 64], "num_heads": [1, 2, 4]},
    "rt_detr_resnet": PYRAMID,
    "rt_detr": {"encoder_in_channels": [32, 48, 64], "decoder_in_channels": [32] * 3, "encoder_layers": 1,
                "encode_proj_layers": [2]},
    "rt_detr_v2": {"encoder_in_channels": [32, 48, 64], "decoder_in_channels": [32] * 3, "encoder_layers": 1,
                   "encode_proj_layers": [2]},
    "d_fine": {"encoder_in_channels": [32, 48, 64], "decoder_in_channels": [32] * 3, "encoder_layers": 1,
               "encode_proj_layers": [2]},
    "deimv2": {"encoder_in_channels": [32, 48, 64], "decoder_in_channels": [32] * 3, "encoder_layers": 1,
               "encode_proj_layers": [2]},
    "dinov3_convnext": PYRAMID,
    "sam_vision_model": {"num_pos_feats": 16, "mlp_dim": 64, "global_attn_indexes": [1]},
    "sam_hq_vision_model": {"num_pos_feats": 16, "mlp_dim": 64, "global_attn_indexes": [1]},
    "depth_anything": {"neck_hidden_sizes": [16] * 4, "reassemble_hidden_size": 32, "fusion_hidden_size": 16,
                       "backbone_config": {"num_hidden_layers": 4, "out_indices": [1, 2, 3, 4]}},
    "prompt_depth_anything": {"neck_hidden_sizes": [16] * 4, "reassemble_hidden_size": 32, "fusion_hidden_size": 16,
                              "backbone_config": {"num_hidden_layers": 4, "out_indices": [1, 2, 3, 4]}},
    "bridgetower_vision_model": {"hidden_size": 128, "image_size": 32},
    "bridgetower_text_model": {"hidden_size": 128},
    "bridgetower": {"hidden_size": 128, "contrastive_hidden_size": 32},
    "clap_audio_model": {"spec_size": 64, "num_mel_bins": 32, "window_size": 2, "patch_embeds_hidden_size": 16,
                         "hidden_size": 128, "depths": [1] * 4, "num_attention_heads": [2, 4, 8, 16]},
    "lilt": {"channel_shrink_ratio": 2, "hidden_size": 48},
    "perceiver": {"d_latents": 32, "d_model": 32},
    "janus_vqgan": CODES["vq_config"] | {"num_patches": 4, "image_token_embed_dim": 32},
    "chameleon_vqgan": CODES["vq_config"],
    "emu3_vqgan": CODES["vq_config"],
    "vibevoice_acoustic_tokenizer": {"num_filters": 4, "downsampling_ratios": [2, 2], "depths": [1, 1, 1]},
    "vibevoice_acoustic_tokenizer_encoder": {"num_filters": 4, "downsampling_ratios": [2, 2], "depths": [1, 1, 1]},
    "vibevoice_acoustic_tokenizer_decoder": {"num_filters": 4, "downsampling_ratios": [2, 2], "depths": [1, 1, 1]},
    "vits": {"upsample_initial_channel": 32, "upsample_rates": [4, 2], "upsample_kernel_sizes": [8, 4]},
    "encodec": {"num_filters": 4, "upsampling_ratios": [4, 2]},
    "dac": {"encoder_hidden_size": 4, "decoder_hidden_size": 64, "downsampling_ratios": [2, 4],
            "upsampling_ratios": [4, 2]},
    "cpmant": {"dim_ff": 64},
    "mgp-str": {"num_bpe_labels": 99, "num_wordpiece_labels": 99},
    "longcat_flash": {"zero_expert_num": 2},
    "tvp": {"max_img_size": 224, "visual_prompt_size": 8},
    "exaone4_5_vision": VISION_WINDOWS,
    "qwen2_5_vl_vision": VISION_WINDOWS,
    "qwen2_5_omni_vision_encoder": VISION_WINDOWS,
    "clvp_decoder": {"num_mel_attn_blocks": 1},
    "efficientnet": {"hidden_dim": 1280, "image_size": 64, "num_block_repeats": [1] * 7, "depth_coefficient": 1.0,
                     "width_coefficient": 1.0},
    "pix2struct_text_model": {"initializer_range": 0.02},
    "esm": {"pad_token_id": 0, "mask_token_id": 6},
    "mobilevitv2": {"image_size": 128},
    "grounding-dino": {"backbone_config": {"image_size": 256}},
    "mm-grounding-dino": {"backbone_config": {"image_size": 256}},
    "qwen2_5_omni_thinker": {"vision_start_token_id": 70, "vision_end_token_id": 71},
    "qwen3_omni_moe_thinker": {"vision_start_token_id": 70, "vision_end_token_id": 71},
    "t5gemma2_text": {"dropout_rate": 0.0},
    "t5gemma2_decoder": {"dropout_rate": 0.0},
    "align_vision_model": {"hidden_dim": 32, "out_channels": [8, 8, 8, 16, 16, 16, 32], "width_coefficient": 1.0,
                           "in_channels": [32, 8, 8, 8, 16, 16, 16], "num_block_repeats": [1] * 7,
                           "depth_coefficient": 1.0},
    "xcodec": {"acoustic_model_config": {"downsampling_ratios": [8, 5, 4, 2], "upsampling_ratios": [8, 5, 4, 2]}},
    "superpoint": {"keypoint_decoder_dim": 65},
    "superglue": {"gnn_layers_types": ["self", "cross"], "keypoint_encoder_sizes": [16, 32], "sinkhorn_iterations": 4,
                  "keypoint_detector_config": {"max_keypoints": 16}},
}  # fmt: skip
UNBUILDABLE: dict[str, str] = {
    "rag": "its forward pass wants documents that a retriever found, which no configuration holds",
}
