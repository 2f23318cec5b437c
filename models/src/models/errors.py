"""Errors of the installation and use of models."""


class ModelError(Exception):
    """A model cannot be used or installed; the message is a sentence for users."""


class SourceUnavailable(ModelError):
    """The source of a model is not reachable, or the file is missing."""


class ContentRefused(ModelError):
    """The content is not valid: a wrong checksum, a wrong shape, or no model."""


class ToolMissing(ModelError):
    """The installation of the model needs a package that is missing."""
