"""What can be wrong with a transcript's metadata."""

from common.web.errors import NotFound


class MetadataNotFound(NotFound):
    """No metadata that this user may see."""

    code = "metadata_not_found"
    title = "Metadata not found"


class TranscriptUnreadable(ValueError):  # noqa: N818 (errors here are named as the state they report)
    """The stored transcript is not one: trying again cannot help."""
