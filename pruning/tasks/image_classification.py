"""Image classification: one label for each image file."""

from __future__ import annotations

import base64
import hashlib
from inspect import signature
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.errors import DataError, UnsupportedError
from pruning.tasks.base import Examples, register_task
from pruning.tasks.classification import Classification

if TYPE_CHECKING:
    from pruning.data import Dataset
    from pruning.models import LoadedModel

SHOWN = 4096  # characters: a small image is passed on to whoever shows the examples, a large one only named


@register_task
class ImageClassification(Classification):
    """Single-label image classification.

    The text column holds image paths, relative to the data file or absolute, or the images themselves as data URIs.
    """

    name = "image-classification"
    label = "Image classification"
    heads = ("ForImageClassification",)

    def encode(self, model: LoadedModel, data: Dataset) -> Examples:
        """Read and preprocess each image with the model's own processor."""
        self.check(model)
        if model.processor is None:
            raise UnsupportedError(
                "{model} has no image processor: put its preprocessor_config.json into the folder",
                model=model.spec.name,
            )
        targets = self.targets(model, data)
        folder = Path(data.spec.name).expanduser().parent
        sources = [_source(value, folder, row) for row, value in zip(data.rows, data.inputs, strict=True)]
        features = tuple(self._features(model, source, name) for source, name in sources)
        keys = tuple(tuple(row["pixel_values"].shape) for row in features)
        names = [name for _, name in sources]
        shown = tuple(text if len(text) < SHOWN else name for text, name in zip(data.inputs, names, strict=True))
        return Examples(features, targets, keys, shown, model.labels, self._fingerprint(data, features))

    def _fingerprint(self, data: Dataset, features: tuple[dict[str, Any], ...]) -> str:
        """Of the pixels, too: another folder may hold other images under the same names."""
        digest = hashlib.sha256(data.fingerprint.encode())
        for row in features:
            digest.update(row["pixel_values"].float().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _features(self, model: LoadedModel, source: Path | BytesIO, name: str) -> dict[str, Any]:
        """What the model takes of what its processor makes of an image: pixels, and for some the places of patches."""
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(source) as image:
                found = model.processor(image.convert("RGB"), return_tensors="pt")
        except UnidentifiedImageError as error:
            raise DataError("{name} cannot be read: it is in no known image format", name=name) from error
        except (OSError, Image.DecompressionBombError) as error:
            raise DataError("{name} cannot be read: {error}", name=name, error=str(error)) from error
        dtype, taken = next(model.module.parameters()).dtype, signature(model.module.forward).parameters
        return {
            key: values[0].to(dtype) if values.is_floating_point() else values[0]
            for key, values in found.items()
            if key in taken
        }


def _source(value: str, folder: Path, row: int) -> tuple[Path | BytesIO, str]:
    """Where an image is read from, and what to call it."""
    if not value.startswith("data:image/"):
        return folder / value, f"the image {folder / value}"
    try:
        return BytesIO(base64.b64decode(value.partition(",")[2], validate=True)), f"the image in row {row}"
    except ValueError as error:
        raise DataError("the image in row {row} is a damaged data URI: {error}", row=row, error=str(error)) from error
