"""The object store: an async face over S3, and the keys of everything in it."""

from . import keys
from .errors import ObjectMissing, StoreUnavailable
from .objects import ObjectInfo, ObjectStore, PutResult

__all__ = ["ObjectInfo", "ObjectMissing", "ObjectStore", "PutResult", "StoreUnavailable", "keys"]
