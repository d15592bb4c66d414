"""A checkpoint to ONNX, in a process of its own: ``python -m ui.export.onnx_process FOLDER CLASS TRUST FILE``.

The exporter of torch patches modules for the whole process while it traces, and would break what the dashboard's other
threads compute. A process can be ended at once, too. The last line of the output is JSON; messages in it are not yet
translated.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from pruning.errors import PruningError
from pruning.language import Later


def main(folder: str, auto: str, trust: str, file: str) -> dict[str, object]:
    """Reload a checkpoint that was written a moment ago, export and check it."""
    import transformers

    from pruning.inputs import allow_batches
    from pruning.onnx_export import export_onnx

    model = getattr(transformers, auto).from_pretrained(folder, trust_remote_code=trust == "yes").eval()
    allow_batches(model)
    return {**asdict(export_onnx(model, file)), "path": file}


def plain(value: object) -> object:
    """What JSON does not know; `read_answer` makes the messages again."""
    return asdict(value) if isinstance(value, Later) else str(value)


def read_answer(line: str) -> dict[str, Any]:
    """The answer as it was given.

    >>> str(read_answer('{"shape": {"text": "{axis} {size}", "values": {"axis": "batch", "size": 3}}}')["shape"])
    'batch 3'
    """
    return json.loads(line, object_hook=lambda one: Later(**one) if one.keys() == {"text", "values"} else one)


if __name__ == "__main__":
    try:
        answer = main(*sys.argv[1:5])
    except PruningError as error:
        answer = {"error": str(error.args[0] if error.args else ""), "values": error.values}
    print(json.dumps(answer, default=plain))
