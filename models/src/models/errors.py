"""What can go wrong when a model is brought in."""


class ModelError(Exception):
    """A model cannot be used or brought in; the message is a sentence for people."""


class SourceUnavailable(ModelError):
    """The place a model should come from cannot be reached."""


class ContentRefused(ModelError):
    """The bytes are not what they should be: another checksum, another shape, or not a model at all."""


class ToolMissing(ModelError):
    """Bringing the model in needs something that is not installed."""
