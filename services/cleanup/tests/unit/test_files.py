"""Which keys are files of a job, and of what kind."""

from uuid import UUID

import pytest

from cleanup.files import Kind, placed
from common.storage import keys

JOB = UUID("4b2f7c1e-8d0a-4c55-9a58-0d7e6c1b2f10")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (keys.source(JOB), Kind.UPLOADS),
        (keys.chunk_audio(JOB, 1, 0), Kind.CHUNKS),
        (keys.plan(JOB, 1), Kind.CHUNKS),
        (keys.result(JOB, 12, 3), Kind.RESULTS),
        (keys.transcript(JOB, 1, "txt"), Kind.TRANSCRIPTS),
        (keys.metadata(JOB), Kind.TRANSCRIPTS),
    ],
)
def test_every_file_of_a_job_has_its_kind(key: str, kind: Kind) -> None:
    assert placed(key) == (kind, JOB)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "uploads/",
        f"uploads/{JOB}",
        f"uploads/{JOB}/",
        f"uploads/{str(JOB).upper()}/source",
        f"uploads/{JOB}/../../secret",
        f"uploads/{JOB}/a\x00b",
        f"backup/{JOB}/source",
        "uploads/readme.txt",
    ],
)
def test_what_is_no_file_of_a_job_is_nobodys(key: str) -> None:
    assert placed(key) is None
