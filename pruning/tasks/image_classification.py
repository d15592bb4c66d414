"""Image classification: one label for each image file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.errors import DataError, UnsupportedError
from pruning.tasks.base import Examples, register_task
from pruning.tasks.classification import Classification

if TYPE_CHECKING:
    from pruning.data import Dataset
    from pruning.models import LoadedModel


@register_task
class ImageClassification(Classification):
    """Single-label image classification; the text column holds image paths, relative to the data file or absolute."""

    name = "image-classification"
    label = "Image classification"
    heads = ("ForImageClassification",)

    def encode(self, model: LoadedModel, data: Dataset) -> Examples:
        """Read and preprocess each image with the model's own processor."""
        self.check(model)
        if model.processor is None:
            raise UnsupportedError(
                f"{model.spec.name} has no image processor: put its preprocessor_config.json into the folder"
            )
        targets = self.targets(model, data)
        folder = Path(data.spec.name).expanduser().parent
        features = tuple({"pixel_values": self._pixels(model, folder / name)} for name in data.inputs)
        keys = tuple(tuple(row["pixel_values"].shape) for row in features)
        return Examples(features, targets, keys, data.inputs, model.labels, self._fingerprint(data, features))

    def _fingerprint(self, data: Dataset, features: tuple[dict[str, Any], ...]) -> str:
        """Of the pixels, too: another folder may hold other images under the same names."""
        digest = hashlib.sha256(data.fingerprint.encode())
        for row in features:
            digest.update(row["pixel_values"].float().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _pixels(self, model: LoadedModel, path: Path) -> Any:
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(path) as image:
                pixels = model.processor(image.convert("RGB"), return_tensors="pt")["pixel_values"][0]
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise DataError(f"the image {path} cannot be read: {error}") from error
        return pixels.to(next(model.module.parameters()).dtype)
