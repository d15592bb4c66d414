"""How cost grows: time and peak memory of an evaluation and of a gradient score, by rows, tokens and heads.

python -m benchmarks.scaling --json scaling.json
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks import common

HEAD_DIM = 16
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Size:
    """One cell: a BERT with random weights on random tokens.

    Attributes:
        along: What is varied.
        layers, heads: The heads of a layer.
    """

    along: str
    rows: int = 128
    tokens: int = 32
    layers: int = 6
    heads: int = 12

    @property
    def total(self) -> int:
        return self.layers * self.heads

    @property
    def value(self) -> int:
        return {"rows": self.rows, "tokens": self.tokens, "heads": self.total}[self.along]


def sizes() -> Iterator[Size]:
    """The cells, smallest first along each line."""
    yield from (Size("rows", rows=rows) for rows in (128, 512, 2048, 8192))
    yield from (Size("tokens", tokens=tokens) for tokens in (16, 32, 64, 128, 256))
    shapes = ((6, 12), (12, 12), (24, 16), (24, 32), (48, 64))
    yield from (Size("heads", rows=32, layers=layers, heads=heads) for layers, heads in shapes)


def measure(size: Size) -> common.Row:
    """Build, evaluate under a mask and score, in a process of its own, on one thread.

    Memory is the highest that the process reached beyond the loaded model, which has a line of its own.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from pruning import HeadId, Mask, evaluate, score, wrap_model
    from pruning.tasks import Examples

    torch.set_num_threads(1)
    torch.manual_seed(0)
    hidden = HEAD_DIM * size.heads
    shape: dict[str, Any] = {
        "hidden_size": hidden,
        "intermediate_size": 4 * hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
    }
    model = wrap_model(BertForSequenceClassification(BertConfig(vocab_size=2000, **shape)))
    rng = np.random.default_rng(0)
    features = tuple({"input_ids": rng.integers(5, 2000, size.tokens).tolist()} for _ in range(size.rows))
    targets = tuple(int(v) for v in rng.integers(0, 2, size.rows))
    examples = Examples(features, targets, (size.tokens,) * size.rows, ("",) * size.rows, ("a", "b"), "random")
    mask = Mask(frozenset(HeadId(site, 0) for site in range(size.layers)))
    evaluate(model, examples.at(range(8)), mask)
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds, peaks = [], []
    for work in (lambda: evaluate(model, examples, mask), lambda: score(model, "gradient", examples)):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - loaded)
    return {
        **asdict(size),
        "total_heads": size.total,
        "value": size.value,
        "hidden": hidden,
        "parameters": model.anatomy.parameters,
        "evaluate_seconds": seconds[0],
        "score_seconds": seconds[1],
        "loaded_bytes": loaded,
        "evaluate_bytes": peaks[0],
        "score_bytes": peaks[1],
    }


def exponent(rows: list[common.Row], what: str, against: str = "value") -> float:
    """Slope of the line through the logarithms: 1 where twice the size takes twice as long."""
    x, y = (np.log([max(1e-9, row[name]) for row in rows]) for name in (against, what))
    return float(np.polyfit(x, y, 1)[0])


def line(row: common.Row) -> list[str]:
    shape = f"{row['rows']} rows, {row['tokens']} tokens, {row['layers']} × {row['heads']} heads"
    times = [f"{row[name]:.2f}" for name in ("evaluate_seconds", "score_seconds")]
    memory = [f"{row[name] / MEBIBYTE:.0f}" for name in ("loaded_bytes", "evaluate_bytes", "score_bytes")]
    return [row["along"], shape, f"{row['parameters'] / 1e6:.1f} M", *times, *memory]


def fits(rows: list[common.Row]) -> list[str]:
    """One sentence for each line of cells."""
    found = []
    for along in dict.fromkeys(row["along"] for row in rows):
        some = [row for row in rows if row["along"] == along]
        if len(some) < 2:
            continue
        against = "parameters" if along == "heads" else "value"
        powers = [f"{exponent(some, what, against):.2f}" for what in ("evaluate_seconds", "score_seconds")]
        what = "parameters, where heads grow," if along == "heads" else along
        found.append(f"time grows with the {what} to the power of {powers[0]} (evaluation) and {powers[1]} (gradient)")
    return found


HEADER = ["along", "shape", "weights", "evaluate, s", "gradient, s", "loaded, MiB", "evaluate adds", "gradient adds"]


@click.command(help="Time and peak memory by rows, tokens and heads; random weights, one thread, CPU time.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write all here.")
@click.option("--largest", type=click.IntRange(min=1), help="Leave out cells with more rows, tokens or heads.")
def main(json_file: Path | None, largest: int | None) -> None:
    import json

    common.check_file(json_file, resume=False)
    rows: list[common.Row] = []
    for size in sizes():
        if largest and size.value > largest:
            continue
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # a peak is of one cell alone
            rows.append(pool.submit(measure, size).result())
        click.echo(" | ".join(line(rows[-1])), err=True)
        if json_file:
            json_file.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")
    click.echo(common.table(HEADER, [line(row) for row in rows]) + "\n")
    click.echo("\n".join(fits(rows)))


if __name__ == "__main__":
    common.run(main)
