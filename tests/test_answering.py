"""What a model says to one's own text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pruning import DataError, LoadedModel, Mask, UnsupportedError, answer, load_model
from tests.families import FAMILIES, VOCABULARY, model_of, save, tokenizer_of


def test_a_plain_sentence_has_a_plain_answer(demo: LoadedModel) -> None:
    for text, label in (("a wonderful, moving film", "positive"), ("dull and far too long", "negative")):
        best, other = answer(demo, text)
        assert (best.label, best.probability > 0.8) == (label, True)
        assert best.probability + other.probability == pytest.approx(1)


def test_a_mask_changes_the_answer_and_goes_away_again(demo: LoadedModel) -> None:
    text = "not a bad film at all"
    before, masked = answer(demo, text), answer(demo, text, Mask(frozenset(demo.anatomy.head_ids())))
    assert masked != before
    assert answer(demo, text) == before


def test_a_language_model_answers_with_next_tokens(tmp_path: Path) -> None:
    model = load_model(str(save("gpt2-lm", tmp_path)))
    with torch.inference_mode():
        logits = model.module(**tokenizer_of("gpt2-lm")("w1 w2 w3", return_tensors="pt")).logits[0, -1]
    probabilities, tokens = logits.softmax(-1).topk(3)
    found = answer(model, "w1 w2 w3")
    assert [part.label for part in found] == [VOCABULARY[i] for i in tokens]
    assert [part.probability for part in found] == pytest.approx(probabilities.tolist(), abs=1e-6)


def test_a_random_head_gives_no_answer(tmp_path: Path) -> None:
    save("bert", tmp_path)
    FAMILIES["bert"].build().bert.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["architectures"] = ["BertForSequenceClassification"]
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UnsupportedError, match=r"its checkpoint lacks classifier\.bias"):
        answer(load_model(str(tmp_path)), "w1")


def test_an_empty_text_and_a_model_that_reads_none_are_refused(demo: LoadedModel) -> None:
    with pytest.raises(DataError, match="type a sentence"):
        answer(demo, " \n")
    with pytest.raises(UnsupportedError, match="has no tokenizer"):
        answer(model_of("bert"), "w1")
    with pytest.raises(UnsupportedError, match="has no tokenizer"):
        answer(model_of("vit"), "a picture of a cat")
