"""Object keys, and what the store refuses without asking a server."""

from uuid import UUID

import pytest
from pydantic import SecretStr

from common.events import keys
from common.settings import StorageSettings
from common.storage import ObjectStore

JOB = UUID("11111111-1111-4111-8111-111111111111")


def test_keys_are_where_the_design_says() -> None:
    assert keys.source(JOB) == f"uploads/{JOB}/source"
    assert keys.plan(JOB, 2) == f"jobs/{JOB}/a2/plan.json"
    assert keys.peaks(JOB, 2) == f"jobs/{JOB}/a2/peaks.json"
    assert keys.chunk_audio(JOB, 2, 7) == f"jobs/{JOB}/a2/chunks/00007.s16"
    assert keys.chunk_meta(JOB, 2, 7) == f"jobs/{JOB}/a2/chunks/00007.json"
    assert keys.result(JOB, 2, 7) == f"jobs/{JOB}/a2/results/00007.json"
    assert keys.transcript(JOB, 2, "srt") == f"transcripts/{JOB}/a2/transcript.srt"
    assert keys.metadata(JOB) == f"transcripts/{JOB}/metadata.json"


def test_every_key_of_a_job_begins_with_one_of_its_prefixes() -> None:
    assert keys.source(JOB).startswith(keys.upload_prefix(JOB))
    assert keys.attempt_prefix(JOB, 1).startswith(keys.job_prefix(JOB))
    assert not keys.attempt_prefix(JOB, 12).startswith(keys.attempt_prefix(JOB, 1))
    for key in (keys.plan(JOB, 1), keys.peaks(JOB, 1), keys.chunk_audio(JOB, 1, 0), keys.result(JOB, 1, 0)):
        assert key.startswith(keys.attempt_prefix(JOB, 1))
    for key in (keys.transcript(JOB, 1, "txt"), keys.metadata(JOB)):
        assert key.startswith(keys.transcript_prefix(JOB))


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://127.0.0.1", "http://127.0.0.1/path"])
def test_an_endpoint_that_is_no_address_of_a_server_is_refused(endpoint: str) -> None:
    settings = StorageSettings(s3_endpoint=endpoint, aws_access_key_id="key", aws_secret_access_key=SecretStr("secret"))
    with pytest.raises(ValueError, match="S3_ENDPOINT"):
        ObjectStore(settings)
