"""Keys of stored files: the job and the kind that a key belongs to."""

import re
from uuid import UUID

from cleanup.schemas import Kind
from common.events import keys

# File names that the platform uses: no character that has a meaning in paths or requests.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


ROOTS: dict[Kind, str] = {
    Kind.CHUNKS: keys.JOBS,
    Kind.RESULTS: keys.JOBS,
    Kind.TRANSCRIPTS: keys.TRANSCRIPTS,
    Kind.UPLOADS: keys.UPLOADS,
}


def placed(key: str) -> tuple[Kind, UUID] | None:
    """The kind and the job of a file; None for objects that do not belong to the platform."""
    root, _, rest = key.partition("/")
    folder, _, name = rest.partition("/")
    job_id = job_of_folder(folder)
    if job_id is None or _NAME.fullmatch(name) is None:
        return None
    if root == "jobs":
        return (Kind.RESULTS if name.partition("/")[2].startswith("results/") else Kind.CHUNKS), job_id
    return (Kind(root), job_id) if root in (Kind.UPLOADS, Kind.TRANSCRIPTS) else None


def job_of_folder(folder: str) -> UUID | None:
    """The job that a folder belongs to; None for folders that do not belong to the platform."""
    try:
        job_id = UUID(folder)
    except ValueError:
        return None
    return job_id if str(job_id) == folder else None
