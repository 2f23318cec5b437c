"""The blocking S3 client, called on separate threads, with its errors converted."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from common.settings import StorageSettings

from .errors import ObjectMissing, StoreUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 16


class BeyondTheEndError(Exception):
    """The requested range begins after the end of the object."""


class Client:
    """One bucket of an S3 server, and the threads for its requests."""

    def __init__(self, settings: StorageSettings) -> None:
        """Does not connect; raises ValueError for an invalid S3_ENDPOINT."""
        endpoint = urlsplit(settings.s3_endpoint)
        if endpoint.scheme not in ("http", "https") or endpoint.path.strip("/"):
            raise ValueError(f"S3_ENDPOINT must look like http://host:port, not {settings.s3_endpoint}")
        self.bucket = settings.s3_bucket
        self._http = urllib3.PoolManager(
            maxsize=4 * _THREADS,
            timeout=urllib3.Timeout(connect=3, read=60),
            retries=urllib3.Retry(total=3, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)),
        )
        self.s3 = Minio(
            endpoint.netloc,
            access_key=settings.aws_access_key_id,
            secret_key=settings.aws_secret_access_key.get_secret_value(),
            secure=endpoint.scheme == "https",
            region=settings.s3_region,
            http_client=self._http,
        )
        # A separate pool, so that a slow store does not use the default threads.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="storage")

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function on a thread; raises ObjectMissing or StoreUnavailable."""
        work = partial(contextvars.copy_context().run, partial(function, *args, **kwargs))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except S3Error as error:
            raise _translate(error) from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError) as error:
            raise StoreUnavailable(f"the object store is not reachable: {error}") from error

    def close(self) -> None:
        """Close connections and threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._http.clear()


def _translate(error: S3Error) -> Exception:
    if error.code in ("NoSuchKey", "NoSuchUpload"):
        return ObjectMissing(error.object_name or error.resource or "")
    if error.code == "InvalidRange":
        return BeyondTheEndError()
    return StoreUnavailable(f"the object store refused the request: {error.code}: {error.message} ({error.resource})")
