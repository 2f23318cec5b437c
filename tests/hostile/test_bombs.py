"""Small files that unfold to days, lie about their length or name other files: bounded, and clearly answered."""

import asyncio
import http.server
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import hostile_media
from support.recordings import RATE, encoded, speech
from transcriber.audio.decoders import Decoders, Decoding
from transcriber.errors import Rejected

MIB = 1024 * 1024
# What a decoder may have in memory: its libraries, and a file's pieces.
RESIDENT = 200 * MIB


@dataclass
class Heard:
    """What came of a file."""

    seconds: float = 0.0
    peak: int = 0
    code: str | None = None
    reason: str = ""


def resident(decoding: Decoding) -> int:
    """The most memory that the decoder has had so far, in bytes; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{decoding.pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


async def heard(path: Path, content: bytes, max_seconds: float) -> Heard:
    await asyncio.to_thread(path.write_bytes, content)
    found, blocks = Heard(), 0
    async with Decoders() as decoders:
        try:
            async with decoders.decode(path, max_seconds=max_seconds) as decoding:
                async for block in decoding:
                    found.seconds += len(block) / 2 / RATE
                    if blocks % 100 == 0:
                        found.peak = max(found.peak, resident(decoding))
                    blocks += 1
        except Rejected as rejected:
            found.code, found.reason = rejected.code, rejected.reason
    return found


async def test_hours_of_silence_in_a_few_kilobytes_end_at_the_limit(tmp_path: Path) -> None:
    bomb = hostile_media.silent_flac(hours=24)
    assert len(bomb) < MIB
    found = await heard(tmp_path / "bomb.flac", bomb, max_seconds=1800)
    assert (found.code, found.reason) == ("too_long", "The recording is longer than the limit of 30 minutes.")
    assert found.seconds <= 1800
    assert 0 < found.peak < RESIDENT


@pytest.mark.parametrize(("hole", "limit"), [(599, 1800), (7200, 20_000), (7200, 1800), (1_000_000, 1800)])
async def test_holes_between_packets_count_as_sound_against_the_limit(tmp_path: Path, hole: int, limit: int) -> None:
    bomb = hostile_media.full_of_holes(packets=50, hole_seconds=hole)
    found = await heard(tmp_path / "holes.mkv", bomb, max_seconds=limit)
    assert found.code == "too_long"
    assert found.seconds <= limit
    assert found.peak < RESIDENT


@pytest.mark.parametrize(
    ("name", "content", "seconds"),
    [
        ("claims.wav", lambda: hostile_media.wav_that_claims(2**32 - 1, bytes(2 * 2 * RATE)), 2.0),
        ("claims.m4a", lambda: hostile_media.mp4_that_claims(seconds=50_000 * 3600), 2.0),
    ],
)
async def test_length_that_a_header_claims_is_not_believed(
    tmp_path: Path, name: str, content: Callable[[], bytes], seconds: float
) -> None:
    found = await heard(tmp_path / name, content(), max_seconds=86_400)
    assert found.code is None
    assert found.seconds == pytest.approx(seconds, abs=0.2)
    assert found.peak < RESIDENT


@pytest.fixture
def visited() -> Iterator[tuple[str, list[str]]]:
    """A web server, and the paths that somebody asked it for."""
    paths: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    thread.join()
    server.server_close()


SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\na=control:{target}\n"
MPD = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet'
    ' mimeType="audio/mp4"><Representation id="1"><BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period>'
    "</MPD>"
)
REFERENCES = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n",
    "list.m3u": "#EXTM3U\n#EXTINF:10,Secret\n{target}\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{target}'\n",
    "call.sdp": SDP,
    "show.mpd": MPD,
    "list.pls": "[playlist]\nFile1={target}\nNumberOfEntries=1\n",
    "list.asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "page.html": '<audio src="{target}"></audio>',
    "link.txt": "{target}\n",
}


@pytest.mark.parametrize("name", REFERENCES)
async def test_file_that_only_names_others_is_no_recording(
    tmp_path: Path, visited: tuple[str, list[str]], name: str
) -> None:
    address, paths = visited
    secret = tmp_path / "secret.wav"
    await asyncio.to_thread(secret.write_bytes, encoded(speech()[:RATE], "wav", "pcm_s16le"))
    for target in (str(secret), f"file:{secret}", "secret.wav", f"concat:{secret}|{secret}", f"{address}/secret.wav"):
        found = await heard(tmp_path / name, REFERENCES[name].format(target=target).encode(), max_seconds=60)
        assert (found.code, found.seconds) == ("undecodable", 0.0), target
    assert paths == [], "nobody was asked for anything"
