"""A form and a resumable upload take the same choices and refuse the same, before the recording is sent."""

import base64
import socket
from typing import Any

import httpx
import pytest

from support.forms import BOUNDARY, part
from support.people import SignUp
from support.platform_client import PlatformClient
from support.recordings import RATE, encoded, speech

pytestmark = pytest.mark.e2e

TUS = {"Tus-Resumable": "1.0.0"}


@pytest.fixture(scope="module")
def recording() -> bytes:
    return encoded(speech()[: 2 * RATE], "wav", "pcm_s16le")


@pytest.fixture(scope="module")
def uploader(sign_up: SignUp) -> PlatformClient:
    return sign_up("uploader")


def metadata(**pairs: str) -> dict[str, str]:
    encoded_pairs = (f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in pairs.items())
    return {"Upload-Metadata": ",".join(encoded_pairs)}


def begun(client: PlatformClient, length: int, headers: dict[str, str], **pairs: str) -> httpx.Response:
    sent = TUS | {"Upload-Length": str(length)} | metadata(**{"filename": "a.wav"} | pairs) | headers
    return client.http.post("/files", headers=sent)


def form_head(**fields: str) -> bytes:
    """A form up to the first byte of its recording."""
    return b"".join(part(name, value.encode()) for name, value in fields.items()) + part("file", file_name="a.wav")


def unfinished(client: PlatformClient, **fields: str) -> httpx.Response:
    """The answer to a form whose recording never comes: what is wrong must be said before."""
    url, head = httpx.URL(client.url), form_head(**fields)
    lines = (
        "POST /jobs HTTP/1.1",
        f"Host: {url.host}",
        f"Authorization: Bearer {client.token}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(head) + 500_000}",
    )
    answer = b""
    with socket.create_connection((url.host, url.port), timeout=30) as connection:
        connection.sendall("\r\n".join((*lines, "", "")).encode() + head)
        while not answer.endswith(b"}"):
            block = connection.recv(65_536)
            assert block, answer
            answer += block
    start, _, body = answer.partition(b"\r\n\r\n")
    return httpx.Response(int(start.split()[1]), content=body)


WRONG: list[dict[str, str]] = [
    {"language": "xx"},
    {"language": "langauge"},
    {"model": "tiny.en", "language": "de"},
    {"langauge": "de"},
    {"task": "sing"},
    {"word_timestamps": "perhaps"},
    {"priority": "urgent"},
    {"tags": "x" * 65},
    {"tags": ",".join(map(str, range(21)))},
    {"callback_url": "ftp://example.org/x"},
    {"callback_url": "https://user:secret@example.org/"},
    {"hotwords": "x" * 1001},
    {"model": "../etc"},
    {"model": "nobodys-model"},  # no worker has it
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_impossible_choices_are_refused_before_the_recording(uploader: PlatformClient, wrong: dict[str, str]) -> None:
    form, resumable = unfinished(uploader, **wrong), begun(uploader, 1000, {}, **wrong)
    for answer in (form, resumable):
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] in ("invalid_form", "invalid_request", "model_not_available")
    assert form.json()["code"] == resumable.json()["code"] or "choices" in form.json()["detail"]


@pytest.mark.parametrize(
    ("asked", "kept"),
    [("eng", "en"), ("iw", "he"), ("nb", "no"), ("fil", "tl"), ("pt-BR", "pt"), ("zh_TW", "zh"), ("Deutsch", "de")],
)
def test_languages_are_understood_in_every_way(
    uploader: PlatformClient, recording: bytes, asked: str, kept: str
) -> None:
    by_form = uploader.submit("a.wav", recording, language=asked)
    where = begun(uploader, len(recording), {}, language=asked)
    assert where.status_code == 201, where.text
    piece = TUS | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    sent = uploader.http.patch(where.headers["location"], content=recording, headers=piece)
    by_tus = sent.headers["x-verbatim-job"].rpartition("/")[2]
    for job in (by_form, by_tus):
        assert uploader.finished(job)["options"]["language"] == kept
    again = uploader.http.post(f"/jobs/{by_form}/restart", json={"language": asked}).raise_for_status().json()
    assert again["options"]["language"] == kept
    uploader.finished(by_form)
    refused = uploader.http.post(f"/jobs/{by_form}/restart", json={"language": "xx"})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    refused = uploader.http.post(f"/jobs/{by_form}/restart", json={"language": "de", "model": "tiny.en"})
    assert (refused.status_code, refused.json()["code"]) == (422, "unsupported_language")


def test_all_choices_arrive_in_both_ways(uploader: PlatformClient, recording: bytes) -> None:
    chosen = {"priority": "high", "tags": "one, two", "callback_url": "https://example.org/x", "task": "translate"}
    chosen |= {"word_timestamps": "true", "hotwords": "Verbatim", "initial_prompt": "Hello.", "language": "de"}
    by_form = uploader.submit("M\u00fcller.wav", recording, headers=None, **chosen)
    clients = {"filetype": "audio/wav", "relativePath": "null", "name": "x.wav", "type": "audio/wav"}
    clients |= {"lastModified": "1", "contentType": "audio/wav", "size": "5"}
    where = begun(uploader, len(recording), {}, **chosen, **clients, filename="M\u00fcller.wav").raise_for_status()
    piece = TUS | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    sent = uploader.http.patch(where.headers["location"], content=recording, headers=piece).raise_for_status()
    jobs = [uploader.job(job) for job in (by_form, sent.headers["x-verbatim-job"].rpartition("/")[2])]

    def choices(job: dict[str, Any]) -> list[Any]:
        return [job[name] for name in ("file_name", "options", "priority", "tags", "callback_url")]

    assert choices(jobs[0]) == choices(jobs[1])
    assert choices(jobs[1])[2:] == ["high", ["one", "two"], "https://example.org/x"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Concat": "partial"}, 501),
        ({"Upload-Concat": "final;/files/a /files/b"}, 501),
        ({"Upload-Defer-Length": "1"}, 501),
        ({"Trailer": "Upload-Checksum"}, 501),
        ({"Upload-Checksum": "crc32 AAAA"}, 400),
    ],
)
def test_extensions_that_are_not_there_are_refused(
    uploader: PlatformClient, headers: dict[str, str], status: int
) -> None:
    able = uploader.http.options("/files").headers["tus-extension"].split(",")
    assert sorted(able) == ["checksum", "creation", "creation-with-upload", "expiration", "termination"]
    answer = begun(uploader, 1000, headers)
    wanted = "tus_extension_not_supported" if status == 501 else "bad_upload_header"
    assert (answer.status_code, answer.json()["code"]) == (status, wanted)


def test_names_are_the_same_in_every_way(uploader: PlatformClient) -> None:
    name = "=?utf-8?B?TcO8bGxlci53YXY=?="
    by_form = uploader.submit(name, b"RIFF")
    where = begun(uploader, 0, {}, filename=name).raise_for_status()
    by_tus = where.headers["x-verbatim-job"].rpartition("/")[2]
    assert [uploader.job(job)["file_name"] for job in (by_form, by_tus)] == ["M\u00fcller.wav"] * 2
