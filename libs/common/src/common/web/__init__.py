"""The web side of a service: application frame, problems, identity, transactions and the server."""

from typing import TYPE_CHECKING, Any

from .answers import problems
from .app import Readiness, build_app
from .errors import (
    BadRequest,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    ProblemDocument,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UpstreamFailed,
)
from .identity import AdminDep, Identity, IdentityDep, TokenVerifier, bearer_token
from .server import serve

if TYPE_CHECKING:
    from .transaction import SessionDep

__all__ = [
    "AdminDep",
    "BadRequest",
    "Conflict",
    "Forbidden",
    "Identity",
    "IdentityDep",
    "Invalid",
    "NotFound",
    "Problem",
    "ProblemDocument",
    "Readiness",
    "SessionDep",
    "TokenVerifier",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "UpstreamFailed",
    "bearer_token",
    "build_app",
    "problems",
    "serve",
]


def __getattr__(name: str) -> Any:
    # Only services with a database have SQLAlchemy installed.
    if name == "SessionDep":
        from .transaction import SessionDep  # noqa: PLC0415 - see above

        return SessionDep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
