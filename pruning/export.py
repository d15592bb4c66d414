"""From a pruned model to a checkpoint that plain transformers reloads.

Where smaller numbers in the configuration say it all, an ordinary checkpoint is written. Otherwise ``config.json``
holds a recipe of what was cut, and a small module in the folder, reached through ``auto_map``, follows it before the
weights are loaded:

    AutoModelForSequenceClassification.from_pretrained(FOLDER, trust_remote_code=True)

The folder is written beside its place and moved there when it is complete and has been reloaded with difference 0.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.card import Story, model_card
from pruning.errors import UnsupportedError, first_line
from pruning.export_place import MASK, SUMS, check_place, draft_beside, move
from pruning.models import file_sha256
from pruning.recipe import FAILURES, PARTS, ordinary_config, recipe_of
from pruning.surgery import PrunedModel, prune

if TYPE_CHECKING:
    from torch import nn

    from pruning.models import LoadedModel
    from pruning.onnx_export import OnnxExported

CODE_FILE = "modeling_headroom"
SENTENCE_TRANSFORMER_FILES = ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json")


@dataclass(frozen=True)
class Exported:
    """A checkpoint on disk.

    Attributes:
        folder: Where it is.
        auto_classes: The Auto classes that reload it.
        reload_difference: Largest difference between the pruned model's output and the reloaded one's.
        size_bytes: Of the weights.
        pruned: What was written: the model that was given, or one that was cut again in a way that reloads.
        ordinary: Whether it needs no code of its own.
        onnx: The ONNX file in the folder, where one was asked for.
    """

    folder: Path
    auto_classes: tuple[str, ...]
    reload_difference: float
    size_bytes: int
    pruned: PrunedModel
    ordinary: bool = False
    onnx: OnnxExported | None = None


def export_checkpoint(
    model: LoadedModel,
    pruned: PrunedModel,
    folder: str | Path,
    *,
    overwrite: bool = False,
    onnx: bool = False,
    story: Story | None = None,
) -> Exported:
    """Write a pruned model as a checkpoint, reload it and compare.

    Args:
        overwrite: Replace an empty folder, or one that holds an earlier export and nothing else.
        onnx: Write ``model.onnx``, too, checked with onnxruntime.
        story: How the mask was found and what was measured, for the model card.

    Raises:
        PruningError: The folder exists, holds something that must stay, or cannot be written.
        UnsupportedError: The reloaded model does not give the same output.
    """
    target = check_place(folder, model.spec.name, overwrite=overwrite)
    with draft_beside(target) as draft:
        try:
            classes, difference, ordinary = _write_and_check(model, pruned, draft)
        except UnsupportedError:
            if pruned.layout not in ("compact", "configured") or pruned.recovery:
                raise  # a new cut would lose what was learnt
            _clear(draft)
            # BigBird counts its heads anew as it runs
            pruned = prune(model, pruned.mask, ("padded", "columns"), pruned.compensation)
            classes, difference, ordinary = _write_and_check(model, pruned, draft)
        exported = _write_onnx(pruned.module, draft) if onnx else None
        _write_papers(model, pruned, draft, story or Story(), tuple(classes), ordinary)
        size = sum(path.stat().st_size for path in draft.glob("*.safetensors"))
        check_place(target, model.spec.name, overwrite=overwrite)  # again: somebody may have used the time
        move(draft, target)
    if exported:
        exported = replace(exported, path=target / exported.path.name)
    return Exported(target, tuple(classes), difference, size, pruned, ordinary, exported)


def _write_and_check(model: LoadedModel, pruned: PrunedModel, draft: Path) -> tuple[dict[str, type], float, bool]:
    """An ordinary checkpoint if that reloads to the same output, else one with its own code."""
    config = ordinary_config(model.anatomy, pruned)
    if config is not None:
        classes = auto_classes(pruned.module)
        _write_ordinary(pruned.module, config, draft)
        try:
            own = next(auto for auto, kind in classes.items() if kind is type(pruned.module))
            if (difference := _reload_difference(pruned, draft, own, trust=False)) == 0:
                return classes, difference, True
        except (*FAILURES, UnsupportedError):
            pass  # the numbers fit, but the model builds itself differently from them
        _clear(draft)
    recipe = recipe_of(model.module, pruned)
    classes = auto_classes(model.module, recipe)
    _write_with_code(model.module, pruned.module, recipe, classes, draft)
    own = next(auto for auto, kind in classes.items() if kind is type(model.module))
    try:
        difference = _reload_difference(pruned, draft, own, trust=True)
    except FAILURES as error:
        raise UnsupportedError("the checkpoint cannot be loaded again: {error}", error=first_line(error)) from error
    if difference != 0:
        raise UnsupportedError(
            "the checkpoint does not give the same output after reloading (difference {difference:.1e})",
            difference=difference,
        )
    return classes, difference, False


def _clear(draft: Path) -> None:
    for path in draft.iterdir():
        path.unlink()


def auto_classes(module: nn.Module, recipe: dict[str, Any] | None = None) -> dict[str, type]:
    """The Auto classes of transformers that load this model, and for ``AutoModel`` its inner model.

    A class that no Auto class loads is reached through ``AutoModel``, which takes any class from ``auto_map``.

    Args:
        recipe: What the class must be able to follow; ``None`` for ordinary checkpoints.
    """
    from transformers.models.auto import modeling_auto

    config, found = type(module.config), {}
    for name in sorted(dir(modeling_auto)):
        mapping = getattr(getattr(modeling_auto, name), "_model_mapping", None)
        if not name.startswith("AutoModel") or mapping is None or config not in mapping:
            continue
        classes = mapping[config] if isinstance(mapping[config], tuple) else (mapping[config],)
        if type(module) in classes:
            found[name] = type(module)
        elif name == "AutoModel" and (recipe is None or prefix_of(classes[0], module, recipe) is not None):
            found[name] = classes[0]
    return found if type(module) in found.values() else {**found, "AutoModel": type(module)}


def prefix_of(kind: type, module: nn.Module, recipe: dict[str, Any]) -> str | None:
    """What paths of ``module`` begin with that those of ``kind``, its inner model, do not; ``None`` if none fits."""
    import torch

    prefix = f"{module.base_model_prefix}."
    if kind is type(module):
        return ""
    if isinstance(module.base_model, kind):
        return prefix
    paths = {path for part in PARTS if part != "parameters" for path in recipe[part]}
    paths |= {path.rpartition(".")[0] for path in recipe["parameters"]}
    try:
        with torch.device("meta"):
            built = {path for path, _ in kind(module.config).named_modules()}
    except FAILURES:
        return None
    original = {path for path, _ in module.named_modules()}
    return "" if paths <= built <= original else None  # T5 and its kind: the inner model under the same names


# Writing ---------------------------------------------------------------------------------------------------------


def _write_ordinary(module: nn.Module, config: Any, folder: Path) -> None:
    before, module.config = module.config, config
    try:
        module.save_pretrained(folder)
    finally:
        module.config = before
    _edit_config(folder, {})


def _write_with_code(
    original: nn.Module, module: nn.Module, recipe: dict[str, Any], classes: dict[str, type], folder: Path
) -> None:
    module.save_pretrained(folder, save_original_format=False)  # custom code loads names as they are in memory
    auto_map = {auto: f"{CODE_FILE}.{kind.__name__}" for auto, kind in classes.items()}
    _edit_config(folder, {"headroom": recipe, "auto_map": auto_map})
    (folder / f"{CODE_FILE}.py").write_text(_code(original, recipe, classes), encoding="utf-8")


def _edit_config(folder: Path, more: dict[str, Any]) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | more
    if config.get("pad_token_id") == -1:
        config["pad_token_id"] = None  # set while the model was in memory, see `inputs.allow_batches`
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _code(module: nn.Module, recipe: dict[str, Any], classes: dict[str, type]) -> str:
    """The module that reloads the checkpoint: the shared functions, and one class for each architecture.

    The classes keep their names, because transformers looks up by name how older weights are to be renamed.
    """
    code = Path(__file__).with_name("reload_code.py").read_text(encoding="utf-8")
    for kind in sorted(set(classes.values()), key=lambda kind: kind.__name__):
        code += (
            f"\n\nclass {kind.__name__}(importlib.import_module({kind.__module__!r}).{kind.__name__}):\n"
            f'    """A {kind.__name__} with fewer heads, neurons or layers."""\n\n'
            "    def __init__(self, config, *args, **kwargs):\n"
            "        recipe = config.headroom\n"
            "        full = full_config(config, recipe)\n"
            "        super().__init__(full, *args, **kwargs)\n"
            f"        apply_recipe(self, recipe, {prefix_of(kind, module, recipe)!r})\n"
            "        shorten_config(full, config, recipe)\n\n"
            "    def initialize_weights(self):\n"
            '        """Compute what is not saved as transformers does for its own classes."""\n'
            "        self.is_custom_code = lambda: False\n"
            "        super().initialize_weights()\n"
            "        del self.is_custom_code\n"
        )
    return code.replace("import copy\n", "import copy\nimport importlib\n", 1)


def _write_onnx(module: nn.Module, draft: Path) -> OnnxExported:
    from pruning.onnx_export import export_onnx

    return export_onnx(module, draft / "model.onnx")


def _write_papers(
    model: LoadedModel, pruned: PrunedModel, draft: Path, story: Story, classes: tuple[str, ...], ordinary: bool
) -> None:
    """Tokenizer or processor, mask, plan, model card, and the checksums of everything."""
    if model.processor is not None:
        model.processor.save_pretrained(draft)
    source = Path(model.spec.name).expanduser()
    if (source / "modules.json").is_file():
        _copy_sentence_transformer(source, draft)
    (draft / MASK).write_text(json.dumps(pruned.mask.to_json()) + "\n", encoding="utf-8")
    if story.plan:
        (draft / "plan.json").write_text(json.dumps(story.plan, indent=2) + "\n", encoding="utf-8")
    (draft / "README.md").write_text(model_card(model, pruned, story, classes, ordinary), encoding="utf-8")
    files = sorted(path for path in draft.rglob("*") if path.is_file())
    for path in files:
        path.chmod(0o644)  # safetensors are written for their owner alone
    sums = [f"{file_sha256(file)}  {file.relative_to(draft)}" for file in files]
    (draft / SUMS).write_text("\n".join(sums) + "\n", encoding="utf-8")


def _copy_sentence_transformer(source: Path, draft: Path) -> None:
    """What makes a folder a SentenceTransformer: its list of modules, and the modules that follow the transformer."""
    for name in SENTENCE_TRANSFORMER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, draft / name)
    for module in json.loads((source / "modules.json").read_text(encoding="utf-8")):
        path = str(module.get("path") or "")
        if path and (source / path).is_dir() and (source / path).resolve().parent == source.resolve():
            shutil.copytree(source / path, draft / path)


# Checking --------------------------------------------------------------------------------------------------------


def _reload_difference(pruned: PrunedModel, folder: Path, auto: str, *, trust: bool) -> float:
    """Reload the checkpoint and compare: every weight must be the same, bit by bit, and then every output.

    The outputs are compared with the same tensors in memory: where a tensor begins decides how sums are rounded.
    """
    import torch
    import transformers

    from pruning.inputs import allow_batches, dry_run_inputs, outputs
    from pruning.surgery import largest_difference

    kept = next(pruned.module.parameters())
    reloaded = getattr(transformers, auto).from_pretrained(folder, trust_remote_code=trust, dtype=kept.dtype)
    reloaded.to(kept.device).eval().requires_grad_(False)  # torch picks other kernels where gradients are wanted
    expected = pruned.module.state_dict()
    for name, tensor in reloaded.state_dict().items():
        if name not in expected or not torch.equal(tensor, expected[name]):
            raise UnsupportedError("{name} is not the same after reloading", name=name)
    reloaded.load_state_dict(expected, assign=True)
    allow_batches(reloaded)
    inputs = dry_run_inputs(pruned.module)
    with torch.no_grad():
        return largest_difference(outputs(reloaded, inputs), outputs(pruned.module, inputs))
