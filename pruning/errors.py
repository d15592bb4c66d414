"""The errors that Headroom raises on purpose. Each message is one sentence that a person can act on."""


class PruningError(Exception):
    """Bad input or an impossible request: shown to the user as it stands, without a traceback."""


class ModelError(PruningError):
    """A model that cannot be found, read, trusted or held in memory."""


class DataError(PruningError):
    """A data set that cannot be found or read, or that does not fit the model's task."""


class MaskError(PruningError):
    """A mask that cannot be read, or that does not fit the model."""


class UnsupportedError(PruningError):
    """Something that this model, task or criterion cannot do, with the reason."""


class Cancelled(PruningError):
    """The person who asked for this work no longer wants it."""
