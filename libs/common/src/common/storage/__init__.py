"""The object store: an async interface to S3."""

from .errors import ObjectMissing, StoreUnavailable
from .objects import CHECKED, ObjectInfo, ObjectStore, PutResult

__all__ = ["CHECKED", "ObjectInfo", "ObjectMissing", "ObjectStore", "PutResult", "StoreUnavailable"]
