"""The job and the kind of a key."""

from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given

from cleanup.files.placement import placed
from cleanup.schemas import Kind
from cleanup.service import position
from common.events import keys
from common.web import cursors
from support.forged_cursors import forged

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
def test_other_keys_belong_to_no_job(key: str) -> None:
    assert placed(key) is None


def test_a_cursor_returns_to_the_same_file() -> None:
    assert position(cursors.encode(keys.source(JOB))) == keys.source(JOB)


@given(forged)
def test_a_forged_cursor_is_refused_or_names_a_file_of_a_job(text: str) -> None:
    with suppress(cursors.InvalidCursor):
        assert placed(position(text)) is not None
