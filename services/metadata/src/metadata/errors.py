"""What can be wrong with a transcript's metadata."""

from common.web.errors import NotFound


class MetadataNotFound(NotFound):
    """No metadata that this user may see."""

    code = "metadata_not_found"
    title = "Metadata not found"


class TranscriptUnreadable(ValueError):
    """The stored transcript is not one: trying again cannot help."""
