"""The streaming reader of multipart forms."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadUpload
from gateway.uploads.multipart import HEAD_BYTES, HEAD_LINES, MAX_PARTS, FormReader, Part, with_idle_timeout

CONTENT_TYPE = 'multipart/form-data; boundary="xx"'
RECORDING = b"\r\n--x almost a boundary\r\n--x\r\n\x00\xff" * 3
BODY = (
    b'--xx\r\nContent-Disposition: form-data; name="language"\r\n\r\nde\r\n'
    b'--xx\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\n'
    + RECORDING
    + b'\r\n--xx\r\nContent-Disposition: form-data; name="empty"\r\n\r\n\r\n--xx--\r\n'
)


async def blocks(body: bytes, *cuts: int) -> AsyncIterator[bytes]:
    edges = [0, *sorted(cuts), len(body)]
    for start, end in pairwise(edges):
        yield body[start:end]


async def read(body: AsyncIterator[bytes], content_type: str | None = CONTENT_TYPE) -> list[tuple[Part, bytes]]:
    reader = FormReader(content_type, body)
    return [(part, b"".join([chunk async for chunk in reader.data()])) async for part in reader]


@given(st.lists(st.integers(0, len(BODY)), max_size=12))
def test_parts_do_not_depend_on_the_blocks_of_the_body(cuts: list[int]) -> None:
    assert asyncio.run(read(blocks(BODY, *cuts))) == [
        (Part("language", None, None), b"de"),
        (Part("file", "a.mp3", "audio/mpeg"), RECORDING),
        (Part("empty", None, None), b""),
    ]


async def test_unread_parts_are_skipped() -> None:
    reader = FormReader(CONTENT_TYPE, blocks(BODY))
    assert [part.name async for part in reader] == ["language", "file", "empty"]


async def test_body_is_read_only_on_demand() -> None:
    pulled = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal pulled
        for block in (BODY[: BODY.index(RECORDING)], *(b"z" * 100 for _ in range(1000))):
            pulled += 1
            yield block

    reader = FormReader(CONTENT_TYPE, counted())
    assert (await anext(reader)).name == "language"
    assert (await anext(reader)).name == "file"
    data = reader.data()
    for _ in range(3):
        await anext(data)
    assert pulled <= 5


@pytest.mark.parametrize("end", [10, 40, 200, len(BODY) - 6])
async def test_incomplete_body_is_refused(end: int) -> None:
    with pytest.raises(BadUpload):
        await read(blocks(BODY[:end]))


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=" + "b" * 300,
        "multipart/mixed; boundary=xx",
    ],
)
async def test_other_content_types_are_refused(content_type: str | None) -> None:
    with pytest.raises(BadUpload):
        await read(blocks(BODY), content_type)


async def test_invalid_forms_and_long_heads_are_refused() -> None:
    for body in (b"GET / HTTP/1.1\r\n\r\n", b"--xx\r\n" + b"X-Long: " + b"a" * 100_000):
        with pytest.raises(BadUpload):
            await read(blocks(body))


def head(line: bytes) -> bytes:
    return b"--xx\r\nContent-Disposition: form-data; " + line + b"\r\n\r\n1\r\n"


@pytest.mark.parametrize(
    "body",
    [
        head(b"name=model") * (MAX_PARTS + 1),
        head(b"name=model") + b"\r\n--xxy" * (MAX_PARTS + 1),
        head(b'name="model"; x="' + b";" * HEAD_BYTES),
        head(b"name=model" + b"\r\nX-More: " * HEAD_LINES),
        head(b"name=model\r\nX-More: " + b"x" * (HEAD_BYTES // 2) + b"\r\nX-Most: " + b"x" * (HEAD_BYTES // 2)),
    ],
    ids=["parts", "delimiters", "line", "lines", "head"],
)
async def test_forms_beyond_the_limits_are_refused(body: bytes) -> None:
    for cut in (65_536, 7):
        with pytest.raises(BadUpload):
            await read(blocks(body + b"--xx--\r\n", *range(cut, len(body), cut)))


async def test_maximum_number_of_parts_is_read() -> None:
    assert len(await read(blocks(head(b"name=model") * MAX_PARTS + b"--xx--\r\n"))) == MAX_PARTS


async def test_long_names_in_two_encodings_are_within_the_head_limit() -> None:
    name = "\u4f1a" * 251 + ".wav"
    word = b64encode(name.encode()).decode()
    line = f"name=file; filename=\"=?utf-8?B?{word}?=\"; filename*=utf-8''{quote(name)}"
    [(part, _)] = await read(blocks(head(line.encode()) + b"--xx--\r\n"))
    assert part.file_name == name


async def test_silent_client_times_out() -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield b"--xx\r\n"
        await asyncio.Event().wait()

    with pytest.raises(BadUpload, match="bytes arrived within"):
        await read(with_idle_timeout(silent(), 0.05))
