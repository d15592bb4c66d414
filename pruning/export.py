"""From a pruned model to a checkpoint that plain transformers reloads.

The weights are saved with their new shapes. ``config.json`` holds the recipe for those shapes, and a small module in
the folder, reached through ``auto_map``, applies it before the weights are loaded:

    AutoModelForSequenceClassification.from_pretrained(FOLDER, trust_remote_code=True)

The folder is written beside its place and moved there when it is complete and has been reloaded with difference 0.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pruning.errors import PruningError, UnsupportedError
from pruning.models import file_sha256
from pruning.surgery import PrunedModel
from pruning.surgery.heads import COUNTS

if TYPE_CHECKING:
    from torch import nn

    from pruning.models import LoadedModel

CODE_FILE = "modeling_headroom"
RECIPE_VERSION = 1


@dataclass(frozen=True)
class Exported:
    """A checkpoint on disk.

    Attributes:
        folder: Where it is.
        auto_classes: The Auto classes that reload it.
        reload_difference: Largest difference between the pruned model's output and the reloaded one's.
        size_bytes: Of the weights.
    """

    folder: Path
    auto_classes: tuple[str, ...]
    reload_difference: float
    size_bytes: int


def export_checkpoint(
    model: LoadedModel, pruned: PrunedModel, folder: str | Path, *, overwrite: bool = False
) -> Exported:
    """Write a pruned model as a checkpoint, reload it and compare.

    Args:
        overwrite: Replace a folder that exists; otherwise that is an error.

    Raises:
        PruningError: The folder exists or cannot be written.
        UnsupportedError: The model's class is not one that an Auto class of transformers loads, or the reloaded model
            does not give the same output.
    """
    target = Path(folder).expanduser()
    if target.exists() and not overwrite:
        raise PruningError(f"{target} exists already: choose another folder, or say --overwrite")
    classes = auto_classes(model.module)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise PruningError(f"{target} cannot be written: {error.strerror}") from error
    try:
        _write(model, pruned, draft, classes)
        difference = _reload_difference(pruned, draft, classes)
        size = sum(path.stat().st_size for path in draft.glob("*.safetensors"))
        _move(draft, target)
    except OSError as error:
        raise PruningError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Exported(target, tuple(classes), difference, size)


def auto_classes(module: nn.Module) -> dict[str, type]:
    """The Auto classes of transformers that load this model, and for ``AutoModel`` its inner model.

    Raises:
        UnsupportedError: There is none.
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
        elif name == "AutoModel" and isinstance(module.base_model, classes):
            found[name] = type(module.base_model)
    if type(module) not in found.values():
        raise UnsupportedError(
            f"no Auto class of transformers loads a {type(module).__name__}, so it cannot be reloaded"
        )
    return found


def recipe_of(original: nn.Module, pruned: nn.Module) -> dict[str, Any]:
    """What must be changed in a fresh original so that the pruned weights fit: shapes of layers, and head counts."""
    shapes: dict[str, list[int]] = {}
    attributes: dict[str, dict[str, int]] = {}
    before = dict(original.named_modules())
    for path, module in pruned.named_modules():
        old, new = getattr(before[path], "weight", None), getattr(module, "weight", None)
        if new is not None and old is not None and new.shape != old.shape:
            shapes[path] = list(new.shape)
        changed = {n: getattr(module, n) for n in COUNTS if getattr(module, n, None) != getattr(before[path], n, None)}
        if changed:
            attributes[path] = changed
    return {"version": RECIPE_VERSION, "shapes": shapes, "attributes": attributes}


# Writing ---------------------------------------------------------------------------------------------------------


def _write(model: LoadedModel, pruned: PrunedModel, folder: Path, classes: dict[str, type]) -> None:
    pruned.module.save_pretrained(folder, save_original_format=False)  # custom code loads names as they are in memory
    if model.processor is not None:
        model.processor.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["headroom"] = recipe_of(model.module, pruned.module)
    config["auto_map"] = {auto: f"{CODE_FILE}.{kind.__name__}" for auto, kind in classes.items()}
    if config.get("pad_token_id") == -1:
        config["pad_token_id"] = None  # set while the model was in memory, see `inputs.allow_batches`
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    (folder / f"{CODE_FILE}.py").write_text(_code(model.module, classes), encoding="utf-8")
    (folder / "mask.json").write_text(json.dumps(pruned.mask.to_json()) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_card(model, pruned, classes), encoding="utf-8")
    sums = [f"{file_sha256(file)}  {file.name}" for file in sorted(folder.iterdir()) if file.is_file()]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")


def _code(module: nn.Module, classes: dict[str, type]) -> str:
    """The module that reloads the checkpoint: the shared function, and one class for each architecture.

    The classes keep their names, because transformers looks up by name how older weights are to be renamed.
    """
    code = Path(__file__).with_name("reload_code.py").read_text(encoding="utf-8")
    code = code.replace("import torch\n", "import torch\nimport transformers\n", 1)
    for kind in sorted(set(classes.values()), key=lambda kind: kind.__name__):
        prefix = "" if kind is type(module) else f"{module.base_model_prefix}."
        code += (
            f"\n\nclass {kind.__name__}(transformers.{kind.__name__}):\n"
            f'    """A {kind.__name__} with fewer attention heads."""\n\n'
            "    def __init__(self, config, *args, **kwargs):\n"
            "        super().__init__(config, *args, **kwargs)\n"
            f'        apply_recipe(self, config.headroom, "{prefix}")\n'
        )
    return code


def _card(model: LoadedModel, pruned: PrunedModel, classes: dict[str, type]) -> str:
    """A model card that says what was removed, and how to load what is left."""
    before, auto = model.anatomy.parameters, next(name for name in classes if classes[name] is type(model.module))
    rows = []
    for site in model.anatomy.sites:
        gone = sorted(head for index, head in pruned.mask.heads if index == site.index)
        rows.append(f"| {site.index} | `{site.name}` | {site.heads} | {', '.join(map(str, gone)) or 'none'} |")
    table = "\n".join(rows)
    title = f"{len(pruned.mask.heads)} of {model.anatomy.total_heads} attention heads removed"
    return f"""# {Path(model.spec.name).name}, {title}

{before:,} parameters before, {pruned.parameters:,} after. The output equals that of the original with these heads
masked (largest difference {pruned.difference:.1e}, on inputs made from the configuration).

```python
from transformers import {auto}

model = {auto}.from_pretrained("this folder", trust_remote_code=True)
```

The code that is trusted is `{CODE_FILE}.py`, about forty lines that give the layers their new shapes.

| site | attention module | heads before | removed |
|---|---|---|---|
{table}

`python -m pruning prune {model.spec.name} --heads "{pruned.mask.format_heads()}" -o FOLDER` makes it again.
"""


# Checking --------------------------------------------------------------------------------------------------------


def _reload_difference(pruned: PrunedModel, folder: Path, classes: dict[str, type]) -> float:
    """Reload the checkpoint and compare outputs.

    Raises:
        UnsupportedError: They are not equal.
    """
    import torch
    import transformers

    from pruning.inputs import allow_batches, dry_run_inputs, run

    auto = next(name for name, kind in classes.items() if kind is type(pruned.module))
    kept = next(pruned.module.parameters())
    reloaded = getattr(transformers, auto).from_pretrained(folder, trust_remote_code=True, dtype=kept.dtype)
    reloaded.to(kept.device).eval()
    for parameter in reloaded.parameters():
        parameter.data = parameter.data.clone()  # out of the mapped file, so that both lie in memory alike
    allow_batches(reloaded)
    inputs = dry_run_inputs(pruned.module)
    with torch.no_grad():
        difference = float((run(reloaded, inputs) - run(pruned.module, inputs)).abs().max())
    if difference != 0:
        raise UnsupportedError(
            f"the checkpoint does not give the same output after reloading (difference {difference:.1e})"
        )
    return difference


def _move(draft: Path, target: Path) -> None:
    """Put the complete folder in its place; an old one goes only when the new one is ready."""
    draft.chmod(0o755)
    if target.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
        target.rename(old / "folder")
        draft.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        draft.rename(target)
