"""How many connections that stay open one user may have at this replica: event streams, log sockets, uploads."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from common.web import Identity
from common.web.errors import TooManyRequests


class OpenConnections:
    """Counts the open connections of one kind, per user; `per_user` = 0 allows any number.

    Each of them holds descriptors, and some a place at a service behind the gateway, so one user must not have all.
    """

    def __init__(self, per_user: int, refusal: type[TooManyRequests], *, exempts_admins: bool) -> None:
        self._per_user = per_user
        self._refusal = refusal
        self._exempts_admins = exempts_admins
        self._open: Counter[UUID] = Counter()

    @contextmanager
    def hold(self, identity: Identity) -> Iterator[None]:
        """Count one connection while the block runs; raises the refusal when the user has too many already."""
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
