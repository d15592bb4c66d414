"""What a model needs before it is loaded: its files from the hub or the download cache, and room in memory."""

from __future__ import annotations

from pathlib import Path

from pruning.builtin import BUILT_IN
from pruning.errors import ModelError

MEMORY_HEADROOM = 1.3  # weights, plus what loading and a small batch need


def download(hub_id: str) -> Path:
    """The snapshot folder of a hub model: configuration, tokenizer and safetensors, no other weights."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    wanted = ["*.json", "*.safetensors", "*.txt", "*.model", "*.py", "*.jinja"]
    try:
        _check_size_on_hub(hub_id)
        return Path(snapshot_download(hub_id, allow_patterns=wanted, etag_timeout=10))
    except HFValidationError as error:
        names = ", ".join(BUILT_IN)
        raise ModelError(
            "{name!r} is not a model name: use a built-in name ({names}), a folder, or a hub id like owner/name",
            name=hub_id[:80],
            names=names,
        ) from error
    except GatedRepoError as error:
        raise ModelError(
            "{name} is gated: accept its terms on the hub and log in with: hf auth login", name=hub_id
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError("the hub has no model {name!r} (or it is private)", name=hub_id) from error
    except (LocalEntryNotFoundError, OSError) as error:
        raise ModelError(
            "{name!r} is not a folder here nor in the download cache, and the hub cannot be reached: check the name "
            "and the network",
            name=hub_id,
        ) from error


def _check_size_on_hub(hub_id: str) -> None:
    """Refuse what memory could not hold before it is downloaded; where the hub does not answer, the cache may.

    Raises:
        ModelError: The model has no safetensors, or they are larger than what is free.
    """
    from huggingface_hub import model_info
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        files = model_info(hub_id, files_metadata=True, timeout=10).siblings or []
    except (HfHubHTTPError, HFValidationError):
        raise
    except Exception:  # no network, in any of the ways that the HTTP library has for saying so
        return
    sizes = [file.size or 0 for file in files if file.rfilename.endswith(".safetensors")]
    if not sizes:
        raise ModelError(
            "{name} has no safetensors file on the hub: its weights are in a format that is not read", name=hub_id
        )
    check_memory(hub_id, sum(sizes))


def check_memory(name: str, size_bytes: int) -> None:
    """Refuse weights that memory cannot hold.

    Raises:
        ModelError: They need more than what is free.
    """
    import psutil

    needed, free = MEMORY_HEADROOM * size_bytes, psutil.virtual_memory().available
    if needed > free:
        raise ModelError(
            "{name} is too large for memory: it needs about {needed:.1f} GB, {free:.1f} GB are free",
            name=name,
            needed=needed / 1e9,
            free=free / 1e9,
        )
