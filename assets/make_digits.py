"""Make the built-in digits model and data again, from scikit-learn's copy (about two minutes on one core).

    python assets/make_digits.py data     # split, write the rows that are kept
    python assets/make_digits.py train    # train a small ViT on the training rows
    python assets/make_digits.py card     # measure it on the evaluation rows, write the card

It needs scikit-learn, which is in ``requirements-dev.txt``.

Sources:
    Data: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998,
        https://doi.org/10.24432/C50P49 (CC BY 4.0), in the copy of its test part that scikit-learn carries.
    Model: Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021,
        as implemented by transformers.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import math
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
DIGITS = ROOT / "assets" / "digits"
EVALUATION_ROWS, CALIBRATION_ROWS = 400, 200
DARKEST = 16  # pixels are counts of ink, 0 to 16
LAYERS, HEADS, HIDDEN, INTERMEDIATE, PATCH = 4, 6, 96, 192, 2
INITIAL = 0.1  # deviation of the first weights: about 1/sqrt(96); the usual 0.02 is made for wider models
EPOCHS, BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, WARM_UP_STEPS, SMOOTHING = 60, 32, 1e-3, 0.05, 50, 0.1
TURN, STRETCH, SHIFT = 0.26, 0.1, 0.125  # radians, share of the size, share of half the width (half a pixel)


def load_splits() -> dict[str, pd.DataFrame]:
    """Images ``(8, 8)`` and labels: the lowest hashes of the pixels evaluate, the next calibrate, the rest trains."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = [np.round(image * 255 / DARKEST).astype("uint8") for image in digits.images]
    frame = pd.DataFrame({"pixels": images, "label": digits.target})
    frame["key"] = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    frame = frame.sort_values("key", ignore_index=True)
    end = EVALUATION_ROWS + CALIBRATION_ROWS
    return {
        "evaluation": frame[:EVALUATION_ROWS],
        "calibration": frame[EVALUATION_ROWS:end],
        "training": frame[end:],
    }


def png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def make_data() -> None:
    """Write the kept rows as the datasets library stores images, ``{"bytes", "path"}``."""
    (DIGITS / "data").mkdir(parents=True, exist_ok=True)
    counts = {}
    for name, frame in load_splits().items():
        counts[name] = {"rows": len(frame), "of_each_digit": np.bincount(frame["label"], minlength=10).tolist()}
        if name != "training":
            images = [{"bytes": png(pixels), "path": None} for pixels in frame["pixels"]]
            rows = pd.DataFrame({"image": images, "label": frame["label"].to_numpy()})
            rows.to_parquet(DIGITS / "data" / f"{name}.parquet", compression="zstd", index=False)
    (DIGITS / "data" / "splits.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(counts))


def new_model():
    """An untrained ViT, and the processor that scales pixels to -1 to 1."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=HIDDEN,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=INTERMEDIATE,
        image_size=8,
        patch_size=PATCH,
        initializer_range=INITIAL,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        id2label={i: str(i) for i in range(10)},
        label2id={str(i): i for i in range(10)},
    )
    return ViTForImageClassification(config), ViTImageProcessor(size={"height": 8, "width": 8})


def moved(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image ``(example, 8, 8)`` turned, stretched and shifted a little."""
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    def amount(most: float) -> torch.Tensor:
        return (torch.rand(len(pixels), generator=generator) * 2 - 1) * most

    turn, size = amount(TURN), 1 + amount(STRETCH)
    across = torch.stack([size * turn.cos(), -size * turn.sin(), amount(SHIFT)], -1)
    down = torch.stack([size * turn.sin(), size * turn.cos(), amount(SHIFT)], -1)
    grid = affine_grid(torch.stack([across, down], 1), [len(pixels), 1, 8, 8], align_corners=False)
    return grid_sample(pixels[:, None], grid, align_corners=False)[:, 0]


def train(threads: int) -> None:
    """Write the model that the training rows alone have made."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(threads)
    model, processor = new_model()
    rows = load_splits()["training"]
    images = torch.tensor(np.stack(list(rows["pixels"])), dtype=torch.float32)
    labels = torch.tensor(rows["label"].tolist())
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    total = EPOCHS * math.ceil(len(images) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARM_UP_STEPS, max(0.0, (total - step) / (total - WARM_UP_STEPS)))
    )
    generator = torch.Generator().manual_seed(0)
    for epoch in range(EPOCHS):
        for batch in torch.randperm(len(images), generator=generator).split(BATCH_SIZE):
            pixels = moved(images[batch], generator) / 127.5 - 1
            loss = cross_entropy(
                model(pixels[:, None].expand(-1, 3, -1, -1)).logits, labels[batch], label_smoothing=SMOOTHING
            )
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        if epoch % 10 == 9:
            print(f"epoch {epoch + 1}/{EPOCHS} loss {float(loss.detach()):.3f}", flush=True)
    model.eval().save_pretrained(DIGITS)
    processor.save_pretrained(DIGITS)


def make_card() -> None:
    """Measure the kept model on the kept rows, and write the card."""
    from pruning import evaluate, load_data, load_model, task_of

    model = load_model("digits")
    found = evaluate(model, task_of(model).encode(model, load_data("digits")))
    accuracy, loss = found.metrics["accuracy"], found.metrics["loss"]
    splits = json.loads((DIGITS / "data" / "splits.json").read_text(encoding="utf-8"))
    counts = "\n".join(
        f"| {name} | {row['rows']:,} | {', '.join(map(str, row['of_each_digit']))} |" for name, row in splits.items()
    )
    interval = f"{accuracy.value:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%})"
    line = f"| {found.samples} | {interval} | {loss.value:.3f} | {found.metrics['calibration_error'].value:.3f} |"
    made = datetime.now(UTC).date().isoformat()
    text = CARD.format(counts=counts, line=line, made=made, parameters=model.anatomy.parameters)
    (DIGITS / "README.md").write_text(text, encoding="utf-8")
    print(line)


CARD = """# The built-in digits model: a small ViT

Which of the ten digits a small grey image shows: a vision transformer small enough to prune many times in a lesson. It
has seen the hands of 13 people and 8x8 images; it is not meant for reading other handwriting.

## Data
1,797 images of handwritten digits, 8x8 pixels of 17 greys: E. Alpaydin and C. Kaynak, *Optical Recognition of
Handwritten Digits*, UCI Machine Learning Repository, 1998, <https://doi.org/10.24432/C50P49>, licensed under
[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/). They are the test part of that set, in the copy that
scikit-learn carries. Changes: the greys 0 to 16 became 0 to 255, and the images were encoded as PNG and split. The
SHA-256 of the pixels orders them (no image occurs twice): the lowest 400 are the evaluation set, the next 200 the
calibration set, the rest is for training. The writers are not told apart in this copy, so each of them is in every set.

| set | rows | of each digit, 0 to 9 |
|---|---|---|
{counts}

Training rows are not kept here, and are never scored, calibrated on or shown.

## Training
A ViT (Dosovitskiy et al., ICLR 2021) of 4 layers of 6 heads, hidden size 96, patches of 2x2 pixels, {parameters:,}
parameters, trained from nothing on the training rows alone. AdamW, learning rate 1e-3 with 50 warm-up steps and linear
decay, weight decay 0.05, label smoothing 0.1, 60 epochs in batches of 32, seed 0; each image is turned by up to 0.26
radians, stretched by up to 10% and shifted by up to half a pixel, anew in every epoch. These settings were chosen on
300 training rows that were left out for it. The weights are licensed under Apache-2.0.

## Accuracy
Measured on {made} on the evaluation rows, with a 95% Wilson interval.

| n | accuracy | loss | calibration error |
|---|---|---|---|
{line}

Label smoothing leaves it less sure of itself than it could be: hence the calibration error.

## Make it again
`python assets/make_digits.py data`, then `train` and `card`: about two minutes on one CPU core. Another processor or
another version of torch adds in another order, so that the weights differ a little.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["data", "train", "card"])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.stage == "data":
        make_data()
    elif arguments.stage == "train":
        train(arguments.threads)
    else:
        make_card()


if __name__ == "__main__":
    main()
