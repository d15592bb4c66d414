"""ONNX files are run by onnxruntime on inputs of the test's own and compared with torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from torch import Tensor, nn

from pruning import HeadId, Mask, PruningError, UnsupportedError, prune, wrap_model
from pruning.onnx_export import export_onnx
from tests.families import EOS, FAMILIES, FIRST_WORD, GROUPED, IDS, IMAGE, PAD, SIZE, TINY, model_of

TOLERANCE = 1e-4  # of the largest output: float32 in another order, with other kernels for exp and erf
NAMES = ("bert", "modernbert", "deberta-v2", "gpt2-lm", "llama", "t5-generation", "bart", "vit", "swin")
SMALLER = {  # the exporter's time goes with the number of layers
    "t5-generation": {"num_layers": 1},
    "bart": {"encoder_layers": 1, "decoder_layers": 1},
}
SHAPES = [(4, 13), (1, 1)]  # rows, tokens

# Families of transformers that were tried and cannot be exported, and why: see the module's docstring, too.
REFUSED = {"longformer": (tf.LongformerForSequenceClassification, tf.LongformerConfig, "data-dependent expression")}


def module_of(name: str) -> nn.Module:
    """Cut to uneven widths: one key-value group of the first site, two of the next if there are more, and so on."""
    model = wrap_model(FAMILIES[name].build(**SMALLER.get(name, {})), name=name)
    heads = set()
    for site in model.anatomy.sites:
        gone = 1 + site.index % max(1, site.kv_heads - 1)
        heads |= {HeadId(site.index, head) for head in range(gone * site.heads // site.kv_heads)}
    return prune(model, Mask(frozenset(heads))).module


def texts(rows: int, tokens: int) -> dict[str, Tensor]:
    """Random ids; every row but the first is shorter by two more tokens, and each ends with its last real token."""
    ids = torch.randint(FIRST_WORD, SIZE, (rows, tokens), generator=torch.Generator().manual_seed(rows))
    mask = torch.ones_like(ids)
    for row in range(rows):
        length = tokens - 2 * row
        ids[row, length - 1], ids[row, length:], mask[row, length:] = EOS, PAD, 0
    return {"input_ids": ids, "attention_mask": mask}


def inputs_for(name: str, rows: int, tokens: int) -> dict[str, Tensor]:
    if FAMILIES[name].task == IMAGE:
        return {"pixel_values": torch.randn(rows, 3, 32, 32, generator=torch.Generator().manual_seed(rows))}
    inputs = texts(rows, tokens)
    if name == "t5-generation":
        return {**inputs, "decoder_input_ids": inputs["input_ids"][:, : tokens // 2 + 1]}
    return {**inputs, "decoder_input_ids": inputs["input_ids"]} if name == "bart" else inputs


def logits_by_onnxruntime(path: Path, inputs: dict[str, Tensor]) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {name: tensor.numpy() for name, tensor in inputs.items()})
    return torch.from_numpy(logits)


def distance(path: Path, module: nn.Module, inputs: dict[str, Tensor]) -> float:
    """Relative to the largest output where that is above one; at real tokens only."""
    with torch.inference_mode():
        expected = module(**inputs).logits
    found = logits_by_onnxruntime(path, inputs)
    assert found.shape == expected.shape
    if "attention_mask" in inputs and found.shape[:2] == inputs["attention_mask"].shape:
        real = inputs["attention_mask"].bool()
        found, expected = found[real], expected[real]
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


@pytest.mark.parametrize("name", NAMES)
def test_onnxruntime_does_what_torch_does(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    module = module_of(name)
    written = export_onnx(module, tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", ""), "the exporter talks to nobody"
    assert written.difference <= TOLERANCE
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"], "one file, and no draft"
    assert written.size_bytes == written.path.stat().st_size
    for rows, tokens in SHAPES:
        assert distance(written.path, module, inputs_for(name, rows, tokens)) <= TOLERANCE


def test_it_says_what_is_dynamic_and_what_was_checked_and_changes_nothing(tmp_path: Path) -> None:
    module = FAMILIES["gpt2-lm"].build().train()
    module.transformer.h[0].eval()
    modes = [part.training for part in module.modules()]
    config = module.config.to_dict()
    written = export_onnx(module, tmp_path / "new" / "model.onnx")
    assert written.inputs == {"input_ids": ("batch", "length"), "attention_mask": ("batch", "length")}
    assert written.outputs == {"logits": ("batch", "length", SIZE)}, "no cache"
    assert str(written.checked_shape) == "batch 3, length 11 (one row padded from 8) and batch 1, length 5"
    assert [part.training for part in module.modules()] == modes
    assert module.config.to_dict() == config
    assert str(Path(__file__).parents[1]).encode() not in written.path.read_bytes(), "no folder of this machine"


class RowsPutBack(nn.Linear):
    """A linear layer that has lost output rows and returns zeros in their place."""

    def __init__(self, layer: nn.Linear, kept: list[int]) -> None:
        super().__init__(layer.in_features, len(kept))
        self.weight, self.bias = nn.Parameter(layer.weight[kept]), nn.Parameter(layer.bias[kept])
        place = [kept.index(row) if row in kept else len(kept) for row in range(layer.out_features)]
        self.register_buffer("place", torch.tensor(place))

    def forward(self, features: Tensor) -> Tensor:
        return nn.functional.pad(super().forward(features), (0, 1)).index_select(-1, self.place)


class ColumnsTaken(nn.Linear):
    """A linear layer that has lost input columns and takes the others out of what it is given."""

    def __init__(self, layer: nn.Linear, kept: list[int]) -> None:
        super().__init__(len(kept), layer.out_features)
        self.weight, self.bias = nn.Parameter(layer.weight[:, kept]), layer.bias
        self.register_buffer("kept", torch.tensor(kept))

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.index_select(-1, self.kept))


def test_layers_that_pad_their_output_or_gather_their_input(tmp_path: Path) -> None:
    module = FAMILIES["bert"].build()
    first, second = module.bert.encoder.layer
    first.attention.self.query = RowsPutBack(first.attention.self.query, [*range(3), *range(8, 32)])
    second.intermediate.dense = RowsPutBack(second.intermediate.dense, [1, 5, 63])
    second.output.dense = ColumnsTaken(second.output.dense, [1, 5, 63])
    written = export_onnx(module, tmp_path / "model.onnx")
    assert distance(written.path, module, texts(4, 13)) <= TOLERANCE


def test_given_inputs_become_the_inputs_of_the_file(tmp_path: Path) -> None:
    module = FAMILIES["bert"].build()
    inputs = texts(1, 6)
    segments = {"token_type_ids": torch.tensor([[0, 0, 0, 1, 1, 1]])}
    written = export_onnx(module, tmp_path / "model.onnx", inputs={**inputs, **segments})
    assert list(written.inputs) == ["input_ids", "attention_mask", "token_type_ids"]
    other = {**texts(2, 9), "token_type_ids": torch.arange(9).expand(2, -1) // 5}
    assert distance(written.path, module, other) <= TOLERANCE


def test_waveforms_have_any_length(tmp_path: Path) -> None:
    convolutions = {"conv_dim": [16, 16], "conv_kernel": [10, 3], "conv_stride": [5, 2], "num_feat_extract_layers": 2}
    positions = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    torch.manual_seed(0)
    config = tf.Wav2Vec2Config(**TINY, **convolutions, **positions, vocab_size=40)
    module = tf.Wav2Vec2ForCTC(config).eval()
    written = export_onnx(module, tmp_path / "model.onnx", inputs={"input_values": torch.randn(1, 300)})
    assert written.inputs == {"input_values": ("batch", "length")}
    assert distance(written.path, module, {"input_values": torch.randn(2, 777)}) <= TOLERANCE


def test_mixtures_of_experts_keep_their_own_way_of_computing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = tf.MixtralForCausalLM(tf.MixtralConfig(**GROUPED | {"num_hidden_layers": 1}, num_local_experts=4)).eval()
    chosen = module.config._experts_implementation
    written = export_onnx(module, tmp_path / "model.onnx")
    assert module.config._experts_implementation == chosen
    assert distance(written.path, module, texts(4, 13)) <= TOLERANCE


def test_float16_is_exported_as_it_is_and_bfloat16_refused(tmp_path: Path) -> None:
    module = FAMILIES["distilbert"].build(n_layers=1).half()
    written = export_onnx(module, tmp_path / "half.onnx")
    assert logits_by_onnxruntime(written.path, texts(2, 5)).dtype == torch.float16
    with pytest.raises(UnsupportedError, match=r"cannot run .* in bfloat16 on a CPU: ") as caught:
        export_onnx(module.bfloat16(), tmp_path / "other.onnx")
    assert str(tmp_path) not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["half.onnx"]


def test_weights_too_large_for_one_file_lie_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is 2 GB; here a tiny model is above it."""
    monkeypatch.setattr("torch.onnx._internal.exporter._onnx_program._LARGE_MODEL_THRESHOLD", 1000)
    module = FAMILIES["vit"].build(num_hidden_layers=1)
    written = export_onnx(module, tmp_path / "model.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    assert written.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert distance(written.path, module, inputs_for("vit", 2, 0)) <= TOLERANCE


# When something is in the way --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_exported_is_said_in_one_line(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    architecture, config, reason = REFUSED[name]
    with pytest.raises(UnsupportedError, match=reason) as caught:
        export_onnx(architecture(config(**TINY | IDS, attention_window=4)), tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


class Dropped(nn.Module):
    """What the exporter is shown differs from what torch computes later."""

    def forward(self, features: Tensor) -> Tensor:
        return features * (1.0 if torch.compiler.is_exporting() else 1.01)


@pytest.mark.parametrize("earlier", [None, b"precious"])
def test_a_file_that_computes_something_else_is_an_error(tmp_path: Path, earlier: bytes | None) -> None:
    path = tmp_path / "model.onnx"
    if earlier:
        path.write_bytes(earlier)
    module = FAMILIES["vit"].build(num_hidden_layers=1)
    module.classifier = nn.Sequential(module.classifier, Dropped())
    with pytest.raises(UnsupportedError, match=r"not give the same output as torch: difference \d.*1e-04 is allowed"):
        export_onnx(module, path)
    assert (path.read_bytes() if path.exists() else None) == earlier
    assert len(list(tmp_path.iterdir())) == bool(earlier)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_export_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr("pruning.onnx_export._translate", fail)
    with pytest.raises((PruningError, KeyboardInterrupt)) as caught:
        export_onnx(model_of("vit").module, tmp_path / "model.onnx")
    assert not isinstance(error, OSError) or "cannot be written: No space left" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pruning.onnx_export.find_spec", lambda name: None if name == "onnxruntime" else sys)
    with pytest.raises(PruningError, match=r"needs onnxruntime: pip install -r requirements\.txt"):
        export_onnx(model_of("vit").module, tmp_path / "model.onnx")


def test_inputs_that_the_model_does_not_take_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="does not run on these inputs"):
        export_onnx(model_of("bert").module, tmp_path / "model.onnx", inputs={"pixel_values": torch.ones(1, 3, 8, 8)})
