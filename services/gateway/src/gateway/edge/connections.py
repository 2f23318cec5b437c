"""Limits on the open connections of one user at this replica: event streams, log sockets, uploads."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from common.web import Identity
from common.web.errors import TooManyRequests


class OpenConnections:
    """Counts the open connections of one kind per user; `per_user` = 0 is unlimited.

    Each connection uses file descriptors, and some also a connection to a service, so one user must not take all.
    """

    def __init__(self, per_user: int, refusal: type[TooManyRequests], *, exempts_admins: bool) -> None:
        self._per_user = per_user
        self._refusal = refusal
        self._exempts_admins = exempts_admins
        self._open: Counter[UUID] = Counter()

    @contextmanager
    def hold(self, identity: Identity) -> Iterator[None]:
        """Count one connection while the block runs; raises `refusal` when the user has too many."""
        user = identity.user_id
        limited = self._per_user and not (identity.is_admin and self._exempts_admins)
        if limited and self._open[user] >= self._per_user:
            raise self._refusal(f"You have {self._per_user} open already; close some of them and try again.")
        self._open[user] += 1
        try:
            yield
        finally:
            self._open[user] -= 1
            if not self._open[user]:
                del self._open[user]
