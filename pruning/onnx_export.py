"""From a model in memory to one ONNX file that onnxruntime runs like torch.

``torch.onnx.export(dynamo=True)`` writes it, with a dynamic batch and, for text and waveforms, a dynamic length. Layers
may have any widths: the weights go into the file as they are. The file holds one forward pass without a cache and its
main outputs; an encoder–decoder takes ``decoder_input_ids``. What is not among ``inputs`` is left to the model's own
default: a BERT exported without ``token_type_ids`` reads every text as one segment.

Every export is checked: onnxruntime and torch run on batches and lengths that the exporter never saw, with padding, and
must agree.

What cannot be exported, with torch 2.13 and transformers 5.23:

- Longformer: its chunks are counted from values of the input, which the exporter cannot follow;
- Mamba: its scan is unrolled over the length, which becomes fixed;
- XLNet: the exporter has no rule for one of its subtractions;
- bfloat16: onnxruntime has not even an addition of it on a CPU (float16 works);
- decoders that see images through placeholder tokens: those cannot be moved about for the check;
- a model whose inputs cannot be made from its configuration, unless ``inputs`` are given.

The size of images stays fixed, and that of spectrograms such as Whisper's. See the torch documentation,
"torch.export-based ONNX Exporter".
"""

from __future__ import annotations

import inspect
import logging
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pruning.errors import PruningError, UnsupportedError
from pruning.inputs import dry_run_inputs
from pruning.language import Later, later, mark
from pruning.onnx_shapes import ROWS, WAVEFORM, Axes, dynamic_axes, in_words, padded, sized, sizes_of, with_one_length
from pruning.wording import both

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = {torch.float16: 2e-2}  # of the largest output: torch and onnxruntime round at other steps
FLOAT32_TOLERANCE = 1e-4
TOKENS = 11
LONGEST_REASON = 240
RUNTIME_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?")
LOGGERS = ("torch", "transformers", "onnxscript", "onnx_ir")  # those below them have no level of their own

Shape = tuple[int | str | None, ...]


@dataclass(frozen=True)
class OnnxExported:
    """An ONNX file on disk.

    Attributes:
        path: Where it is.
        inputs: Shape of each input; a name such as ``batch`` or ``length`` stands for an axis of any size.
        outputs: The same of each output.
        difference: Largest difference between onnxruntime and torch, relative to the largest output where that is above
            one.
        checked_shape: The shapes that it was checked on, in words for whoever reads them.
        size_bytes: Of the file, with the weights beside it where there are more than 2 GB.
    """

    path: Path
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    difference: float
    checked_shape: Later
    size_bytes: int


def export_onnx(module: nn.Module, path: str | Path, *, inputs: dict[str, Tensor] | None = None) -> OnnxExported:
    """Write a transformers model as ONNX, run it with onnxruntime and compare with torch.

    The model is left as it was. A file of that name is replaced, but only by one that has passed.

    Args:
        inputs: One batch that the model accepts: its names become the inputs of the file. Made from the model's
            configuration otherwise.

    Raises:
        PruningError: A package is missing, or the file cannot be written.
        UnsupportedError: The model cannot be exported, or onnxruntime does not do what torch does.
    """
    _require_packages()
    target = Path(path).expanduser()
    with _evaluating(module), _experts_in_batches(module), _quiet(), torch.no_grad():
        refused = mark("{name} cannot be exported as ONNX: it does not run on these inputs")
        with _in_one_line(later(refused, name=type(module).__name__)):
            base = inputs or dry_run_inputs(module, tokens=TOKENS, batch=ROWS)
            forward = _Forward(module, base)
            choices = _choices_of_axes(forward, base)
        for axes in choices[:-1]:
            try:
                return _export(forward, base, axes, target)
            except UnsupportedError:
                continue  # perhaps a fixed length works
        return _export(forward, base, choices[-1], target)


def _export(forward: _Forward, base: dict[str, Tensor], axes: Axes, target: Path) -> OnnxExported:
    """Write the draft beside its place, check it and move it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise PruningError("{target} cannot be written: {error}", target=target, error=error.strerror) from error
    try:
        draft = folder / target.name
        _translate(forward, sized(base, axes, sizes_of(base, axes)[0]), axes).save(draft)
        size = sum(file.stat().st_size for file in folder.iterdir())
        exported = _checked(forward, base, axes, draft, target, size)
        for file in sorted(folder.iterdir(), key=lambda file: file == draft):  # weights first, then what names them
            file.replace(target.parent / file.name)
    except OSError as error:
        raise PruningError(
            "{target} cannot be written: {error}", target=target, error=error.strerror or str(error)
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return exported


# The model as the exporter takes it ------------------------------------------------------------------------------


class _Forward(nn.Module):
    """A model that takes its inputs by position and returns a plain tuple of its main outputs."""

    def __init__(self, model: nn.Module, inputs: dict[str, Tensor]) -> None:
        super().__init__()
        self.model, self.names = model, tuple(inputs)
        self.settings: dict[str, bool] = {"return_dict": True}
        if "use_cache" in inspect.signature(model.forward).parameters:
            self.settings["use_cache"] = False
        self.training = False
        self.output_names = tuple(self.outputs(inputs))

    def outputs(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return main_outputs(self.model(**inputs, **self.settings))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.outputs(dict(zip(self.names, tensors, strict=True))).values())


def main_outputs(output: Any) -> dict[str, Tensor]:
    """The tensors that a model is run for: not its cache or attentions, and hidden states only where it has no logits.

    Raises:
        UnsupportedError: There are none.
    """
    named = {name: value for name, value in output.items() if isinstance(value, Tensor)}
    found = {name: value for name, value in named.items() if not name.startswith("encoder_")}
    if any("logits" in name for name in found):
        found = {name: value for name, value in found.items() if "hidden_state" not in name}
    if not found:
        raise UnsupportedError("the model returns no tensor by name, so there is nothing to export")
    return found


def _translate(forward: _Forward, example: dict[str, Tensor], axes: Axes) -> Any:
    with _in_one_line(later("{name} cannot be exported as ONNX", name=type(forward.model).__name__)):
        program = torch.onnx.export(
            forward,
            tuple(example.values()),
            dynamo=True,
            verbose=False,
            input_names=list(forward.names),
            output_names=list(forward.output_names),
            dynamic_shapes=(tuple(axes[name] for name in forward.names),),
        )
    for part in (program.model.graph, *program.model.functions.values()):
        for node in part.all_nodes():
            node.metadata_props.clear()  # stack traces: half of a small file, and they name the user's folders
    return program


def _choices_of_axes(forward: _Forward, inputs: dict[str, Tensor]) -> list[Axes]:
    """Which axes may be dynamic: the best choice first. Only a waveform may fall back to a fixed length."""
    axes = dynamic_axes(inputs)
    if any("decoder_length" in named.values() for named in axes.values()):
        try:
            forward.outputs(sized(inputs, axes, sizes_of(inputs, axes)[0]))
        except (RuntimeError, ValueError, IndexError):  # T5 and BART read a class off the decoder by the encoder's ids
            axes = with_one_length(axes)
    if WAVEFORM not in inputs or 1 not in axes[WAVEFORM]:
        return [axes]
    return [axes, {name: {0: "batch"} for name in inputs}]


# Checking --------------------------------------------------------------------------------------------------------


def _checked(
    forward: _Forward, base: dict[str, Tensor], axes: Axes, draft: Path, target: Path, size_bytes: int
) -> OnnxExported:
    """Run the draft on two shapes that the exporter never saw.

    Raises:
        UnsupportedError: onnxruntime cannot run it, or its outputs are others than torch's.
    """
    name, dtype = type(forward.model).__name__, next(forward.parameters()).dtype
    kind = str(dtype).removeprefix("torch.")
    with _in_one_line(later("onnxruntime cannot run {name} in {kind} on a CPU", name=name, kind=kind)):
        session = _session(draft)
    differences, words = [], []
    for sizes in sizes_of(base, axes)[1:]:
        inputs, padded_to = padded(sized(base, axes, sizes), forward.model.config)
        words.append(in_words(sizes, padded_to))
        with _in_one_line(later("{name} does not run as ONNX with {shapes}", name=name, shapes=words[-1])):
            differences.append(_difference(session, forward, inputs))
    difference, allowed = max(differences), TOLERANCE.get(dtype, FLOAT32_TOLERANCE)
    if not all(found <= allowed for found in differences):  # NaN is no difference that is small
        raise UnsupportedError(
            "the ONNX file of {name} does not give the same output as torch: difference {difference:.1e}, "
            "{allowed:.0e} is allowed ({shapes})",
            name=name,
            difference=difference,
            allowed=allowed,
            shapes=both(words),
        )
    shapes = [
        {value.name: tuple(value.shape) for value in side} for side in (session.get_inputs(), session.get_outputs())
    ]
    return OnnxExported(target, shapes[0], shapes[1], difference, both(words), size_bytes)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4  # fatal: everything else is raised anyway
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _difference(session: Any, forward: _Forward, inputs: dict[str, Tensor]) -> float:
    """Largest difference of any output, at real tokens: what a model computes at padding is of no use to anybody."""
    taken = {value.name for value in session.get_inputs()}
    found = session.run(None, {name: tensor.cpu().numpy() for name, tensor in inputs.items() if name in taken})
    mask, largest = inputs.get("attention_mask"), []
    for ours, array in zip(forward.outputs(inputs).values(), found, strict=True):
        theirs, expected = torch.from_numpy(array).double(), ours.cpu().double()
        if mask is not None and expected.shape[:2] == mask.shape:
            theirs, expected = theirs[mask.cpu().bool()], expected[mask.cpu().bool()]
        largest.append(float((theirs - expected).abs().max()) / max(1.0, float(expected.abs().max())))
    return max(largest)


# Around the exporter ---------------------------------------------------------------------------------------------


def _require_packages() -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise PruningError(
            "writing ONNX needs {packages}: pip install -r requirements.txt", packages=", ".join(missing)
        )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Without dropout; afterwards every part is in the mode it was in."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def _experts_in_batches(module: nn.Module) -> Iterator[None]:
    """ONNX has no grouped matrix product, by which transformers runs mixtures of experts; batched ones do as well."""
    chosen = getattr(module.config, "_experts_implementation", None)
    is_grouped = chosen == "grouped_mm"
    if is_grouped:
        module.set_experts_implementation("batched_mm")
    try:
        yield
    finally:
        if is_grouped:
            module.set_experts_implementation(chosen)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of its own internals, and prints what it cannot translate: nobody who prunes can act on it."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def _in_one_line(what: Later) -> Iterator[None]:
    """Exporter and onnxruntime raise errors of many kinds, some of many pages: say the innermost reason in one line."""
    try:
        yield
    except PruningError:
        raise
    except Exception as error:
        reason: BaseException = error
        while reason.__cause__ is not None:
            reason = reason.__cause__
        text = RUNTIME_PREFIX.sub("", " ".join(str(reason).split())) or type(reason).__name__
        short = text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
        raise UnsupportedError("{what}: {short}", what=what, short=short) from error
