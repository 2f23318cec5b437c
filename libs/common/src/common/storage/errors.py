"""Errors of the object store."""


class ObjectMissing(LookupError):
    """There is no object under the key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no object {key}")
        self.key = key


class StoreUnavailable(ConnectionError):
    """The object store did not answer, or answered with an error; a retry may succeed."""
