"""Loading models: a built-in one, a local folder or a hub id; safetensors only, no remote code unless asked for."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pruning.anatomy import Anatomy
from pruning.builtin import BUILT_IN, OnStep
from pruning.checkpoint import check_loaded, read_json, tensors_in, unknown_type, weight_files
from pruning.errors import ModelError, first_line
from pruning.hub import check_memory, download
from pruning.language import later, mark

if TYPE_CHECKING:
    import torch

Source = Literal["built-in", "local folder", "hub"]
MOST_LAYERS = 1000  # unless the weights have as many tensors
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json")


@dataclass(frozen=True)
class ModelSpec:
    """What to load and how.

    Attributes:
        name: ``demo``, another built-in name, a local folder, or a hub id.
        device: ``auto``, ``cpu`` or ``cuda``.
        dtype: ``float32`` or ``bfloat16``.
        trust_remote_code: Run code that comes with the model; only when its user asks for it.
    """

    name: str = "demo"
    device: str = "auto"
    dtype: str = "float32"
    trust_remote_code: bool = False

    @property
    def source(self) -> Source:
        if self.name in BUILT_IN:
            return "built-in"
        return "local folder" if _is_folder(self.name) or _looks_like_path(self.name) else "hub"


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model in memory, shared by everybody who uses it: frozen weights, evaluation mode, never changed again.

    Attributes:
        module: The transformers model, as its own architecture class.
        processor: Tokenizer or image processor; ``None`` where the folder has none.
        fingerprint: Hash of the weights and the configuration that made this model.
        missing: Weights that the checkpoint lacks, and that are random therefore.
    """

    spec: ModelSpec
    module: Any
    processor: Any
    fingerprint: str
    missing: tuple[str, ...] = ()

    @cached_property
    def anatomy(self) -> Anatomy:
        """What can be removed; found once, by running the model a few times on a few tokens."""
        from pruning.probing import describe_module

        return describe_module(self.module)

    def with_module(self, module: Any) -> LoadedModel:
        """The same model with other weights: what can be removed from it is the same."""
        other = replace(self, module=module)
        other.__dict__["anatomy"] = self.anatomy
        return other

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        names = getattr(self.module.config, "id2label", None) or {}
        return tuple(str(names[i]) for i in sorted(names))

    @property
    def size_bytes(self) -> int:
        return sum(p.numel() * p.element_size() for p in self.module.parameters())


def load_model(spec: ModelSpec | str = "demo", on_step: OnStep | None = None) -> LoadedModel:
    """Load a model for inspection: evaluation mode, no gradients for its weights.

    Args:
        spec: What to load; a plain string is a `ModelSpec` with that name.
        on_step: Called with a few words whenever a new step begins.

    Raises:
        ModelError: The model cannot be found, is not in safetensors, needs remote code, or does not fit in memory.
    """
    spec = ModelSpec(spec) if isinstance(spec, str) else spec
    on_step = on_step or (lambda step: None)
    on_step(mark("Starting torch and transformers"))
    device = _device(spec.device)
    _quiet_libraries()
    if spec.source == "built-in":
        built_in = BUILT_IN[spec.name]
        model = built_in.recipe(built_in, spec, on_step)
    else:
        model = load_folder(spec, _folder_of(spec, on_step), on_step)
    model.module.to(device).eval().requires_grad_(False)
    on_step(mark("Finding its attention heads"))
    _ = model.anatomy
    return model


def wrap_model(module: Any, processor: Any = None, name: str = "in memory") -> LoadedModel:
    """Use a transformers model that is in memory already (in a notebook). Its weights are frozen, not copied."""
    digest = hashlib.sha256(module.config.to_json_string().encode())
    for path, tensor in sorted(module.state_dict().items()):
        digest.update(path.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(_bytes_type()).numpy().tobytes())
    return LoadedModel(ModelSpec(name), module.eval().requires_grad_(False), processor, digest.hexdigest()[:16])


def _bytes_type() -> Any:
    import torch

    return torch.uint8


# Folders ---------------------------------------------------------------------------------------------------------


def _is_folder(name: str) -> bool:
    try:
        return Path(name).expanduser().is_dir()
    except (OSError, ValueError, RuntimeError):  # too long, a null byte, or no such user
        return False


def _looks_like_path(name: str) -> bool:
    return name.startswith(("/", "./", "../", "~")) or name.count("/") > 1 or "\\" in name


def _folder_of(spec: ModelSpec, on_step: OnStep) -> Path:
    if not spec.name.strip() or "\0" in spec.name:
        raise ModelError("name a model: demo, a folder, or a hub id like owner/name")
    if spec.source == "local folder":
        if not _is_folder(spec.name):
            raise ModelError(
                "there is no folder {name!r}: give the path of a folder with a config.json", name=spec.name
            )
        return Path(spec.name).expanduser()
    on_step(later("Looking for {name} on the hub", name=spec.name))
    return download(spec.name)


def load_folder(spec: ModelSpec, folder: Path, on_step: OnStep, fingerprint: str = "") -> LoadedModel:
    """Load what a folder holds, as the class that its configuration names.

    Args:
        fingerprint: Where it is known already; otherwise it is made from all files.

    Raises:
        ModelError: The folder is not complete, not in safetensors, needs remote code, or does not fit in memory.
    """
    config = _read_config(folder, spec)
    _check_weights(folder, config, spec)
    architecture = _architecture(config, folder, spec)
    on_step(later("Loading {name}", name=architecture.__name__))
    try:
        module, info = architecture.from_pretrained(
            folder,
            dtype=torch_dtype(spec.dtype),
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are reported in the next lines, with both shapes
            trust_remote_code=spec.trust_remote_code,
        )
    except _library_errors() as error:
        raise ModelError("{name} cannot be loaded: {error}", name=spec.name, error=first_line(error)) from error
    check_loaded(spec.name, module, info)
    missing = tuple(sorted(info["missing_keys"]))
    fingerprint = fingerprint or _folder_fingerprint(folder, spec)
    return LoadedModel(spec, module, _processor(folder, config, spec), fingerprint, missing)


def _read_config(folder: Path, spec: ModelSpec) -> Any:
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    path = folder / "config.json"
    if not path.is_file():
        raise ModelError("{name} has no config.json: it is not a transformers model folder", name=spec.name)
    raw = read_json(path)
    if not isinstance(raw, dict):
        raise ModelError("{path} does not hold a configuration", path=path)
    native = raw.get("model_type") in CONFIG_MAPPING_NAMES and "headroom" not in raw  # its own code is not needed
    if "auto_map" in raw and not native and not spec.trust_remote_code:
        raise ModelError(
            "{name} brings its own code: load it with --trust-remote-code if you trust its author", name=spec.name
        )
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=spec.trust_remote_code)
    except _library_errors() as error:
        if unknown := unknown_type(spec.name, raw, CONFIG_MAPPING_NAMES):
            raise unknown from error
        raise ModelError(
            "the configuration of {name} cannot be read: {error}", name=spec.name, error=first_line(error)
        ) from error


def _check_weights(folder: Path, config: Any, spec: ModelSpec) -> None:
    files = weight_files(spec.name, folder, getattr(config, "transformers_weights", None))
    check_memory(spec.name, sum(bytes_in_memory(p, spec) for p in files))
    tensors = sum(len(tensors_in(p, spec.name)) for p in files)
    layers = getattr(getattr(config, "text_config", config), "num_hidden_layers", None)
    if isinstance(layers, int) and layers > max(MOST_LAYERS, tensors):  # only making them would take for ever
        raise ModelError(
            "{name} cannot be loaded: its config.json asks for {layers:,} layers, and its weights have {tensors:,} "
            "tensors",
            name=spec.name,
            layers=layers,
            tensors=tensors,
        )


def bytes_in_memory(path: Path, spec: ModelSpec) -> int:
    """What the weights of a file take once they are loaded: a half-precision checkpoint doubles in float32."""
    weights = sum(map(math.prod, tensors_in(path, spec.name).values()))
    return weights * torch_dtype(spec.dtype).itemsize


def _architecture(config: Any, folder: Path, spec: ModelSpec) -> Any:
    """The class that the checkpoint names for itself; ``AutoModel`` where it names none that transformers has."""
    import transformers

    if spec.trust_remote_code and getattr(config, "auto_map", None):
        names = [name for name in config.auto_map if name.startswith("AutoModel")]
        return getattr(transformers, next((n for n in names if n != "AutoModel"), "AutoModel"))
    named = config.architectures if isinstance(config.architectures, list) else []
    for found in (getattr(transformers, str(name), None) for name in named):
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
            return found
    return transformers.AutoModel


def _processor(folder: Path, config: Any, spec: ModelSpec) -> Any:
    from transformers import AutoImageProcessor, AutoTokenizer

    names = {path.name for path in folder.iterdir()}
    try:
        if "preprocessor_config.json" in names and not names & {"tokenizer.json", "tokenizer_config.json"}:
            return AutoImageProcessor.from_pretrained(folder, backend="pil")
        if not any(name in TOKENIZER_FILES or name.endswith(".model") for name in names):
            return None  # transformers would make an empty tokenizer, to which every word is unknown
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=spec.trust_remote_code)
    except _library_errors():
        return None  # describing needs none; a task that needs one says so
    return tokenizer if len(tokenizer) > len(set(tokenizer.all_special_ids)) + 1 else None


def _folder_fingerprint(folder: Path, spec: ModelSpec) -> str:
    digest = hashlib.sha256(spec.dtype.encode())
    kinds = (".safetensors", ".json", ".txt", ".model")  # weights, configuration, and every form of a vocabulary
    for path in sorted(path for path in folder.iterdir() if path.suffix in kinds and path.is_file()):
        digest.update(f"{path.name} {file_sha256(path)}".encode())
    return digest.hexdigest()[:16]


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# torch -----------------------------------------------------------------------------------------------------------


def torch_dtype(name: str) -> Any:
    import torch

    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def _device(name: str) -> Any:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("there is no CUDA device here: use --device cpu or auto")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


def threads_setting() -> int:
    """``HEADROOM_THREADS``; 0 where it is not set, or not a positive whole number."""
    return number_setting("HEADROOM_THREADS", 0)


def number_setting(name: str, default: int) -> int:
    """A whole number from the environment; the default where it is not set, or something else."""
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else default


def set_threads(count: int | None = None) -> int:
    """Set torch's threads for the whole process, once at start-up; ``HEADROOM_THREADS`` is the default."""
    import torch

    count = count or threads_setting() or torch.get_num_threads()
    if count != torch.get_num_threads():
        torch.set_num_threads(count)
    return count


def _quiet_libraries() -> None:
    """Progress bars and load reports belong to us; the libraries' own would run through standard error."""
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")  # peft 0.21 reads it


def _library_errors() -> tuple[type[Exception], ...]:
    """What the libraries raise at files that somebody else has written."""
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    usual = (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError, AssertionError)
    return (*usual, ImportError, StrictDataclassError, SafetensorError)
