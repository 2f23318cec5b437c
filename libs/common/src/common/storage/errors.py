"""What can go wrong with the object store."""


class ObjectMissing(LookupError):  # noqa: N818 (errors here are named as the state they report)
    """There is no object under the key."""

    def __init__(self, key: str) -> None:
        """Remember the key."""
        super().__init__(f"no object {key}")
        self.key = key


class StoreUnavailable(ConnectionError):  # noqa: N818 (errors here are named as the state they report)
    """The object store did not answer, or answered with an error of its own; trying again later may help."""
