"""Generated recordings, a running transcriber, and a double of the jobs service."""

import asyncio
import importlib.resources
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import aio_pika
import av
import numpy as np
import pytest
from av.audio.resampler import AudioResampler
from fastapi import FastAPI
from numpy.typing import NDArray

from common.events import (
    BY_ROUTING_KEY,
    AssembleWork,
    AttemptEvent,
    AudioPlanned,
    AudioRejected,
    ChunkPlanned,
    ChunkTranscribed,
    ChunkWork,
    JobOptions,
    PlanWork,
    TranscriptReady,
    keys,
)
from common.messaging import Broker
from common.settings import BrokerSettings, StorageSettings
from common.storage import ObjectStore
from common.testing import eventually
from common.testing.events import plan_work
from models import default_dir, detector
from transcriber.app import create_app
from transcriber.settings import Settings
from transcriber.speech.detector import BLOCK, FRAME, SpeechDetector
from transcriber.speech.spans import SPEECH

Samples = NDArray[np.float32]
RATE = 16_000


@pytest.fixture(scope="session", autouse=True)
def voice_detector() -> None:
    """The weights that every plan needs, brought into MODEL_DIR once."""
    detector.install(default_dir(), print)


def read_media(path: Path, rate: int = RATE) -> Samples:
    """Decode a file that we made ourselves into mono samples."""
    resampler = AudioResampler(format="fltp", layout="mono", rate=rate)
    blocks: list[Samples] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            blocks += [resampled.to_ndarray()[0] for resampled in resampler.resample(frame)]
    return np.concatenate(blocks).astype(np.float32)


@dataclass(frozen=True)
class Studio:
    """Creates media files in the test's folder."""

    folder: Path

    def record(
        self,
        name: str,
        samples: Samples,
        *,
        codec: str = "pcm_s16le",
        container: str | None = None,
        rate: int = RATE,
        video: bool = False,
    ) -> Path:
        """Encode samples of shape (channels, n) or (n,) at `rate`; with `video`, add a video stream."""
        path = self.folder / name
        channels = np.atleast_2d(samples)
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels.shape[0]]
        with av.open(str(path), "w", format=container) as output:
            stream = output.add_stream(codec, rate=rate, layout=layout)
            assert isinstance(stream, av.AudioStream)
            if video:
                self._film(output, seconds=channels.shape[1] / rate)
            pts = 0
            for start in range(0, channels.shape[1], 1024):
                block = np.ascontiguousarray(channels[:, start : start + 1024], np.float32)
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, pts, Fraction(1, rate)
                pts += block.shape[1]
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    def film(self, name: str, seconds: float = 2.0) -> Path:
        """Encode a video without audio."""
        path = self.folder / name
        with av.open(str(path), "w") as output:
            self._film(output, seconds)
        return path

    @staticmethod
    def _film(output: av.container.OutputContainer, seconds: float) -> None:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(int(seconds * 5)):
            picture = np.full((48, 64, 3), index % 256, np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


@pytest.fixture(scope="session")
def speech() -> Samples:
    """Forty-two seconds of clear speech at 16 kHz."""
    return read_media(SAMPLE)


@pytest.fixture(scope="session")
def unbroken(speech: Samples) -> Samples:
    """The same speech twice, without pauses."""
    samples = np.concatenate([speech, speech])
    for _ in range(3):
        whole = samples[: len(samples) // FRAME * FRAME]
        detector = SpeechDetector()
        blocks = [whole[start : start + BLOCK] for start in range(0, len(whole), BLOCK)]
        spoken = np.concatenate([detector.probabilities(block) for block in blocks]) >= SPEECH
        samples = whole.reshape(-1, FRAME)[spoken].reshape(-1)
    return samples


@pytest.fixture(scope="session")
def tone() -> Callable[..., Samples]:
    def make(seconds: float, *, hertz: float = 440.0, level: float = 0.3, rate: int = RATE) -> Samples:
        return (level * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)

    return make


SAMPLE = Path(str(importlib.resources.files("transcriber"))) / "samples" / "sample.opus"
E = TypeVar("E", bound=AttemptEvent)


class Jobs:
    """Consumes all events of a transcriber, and publishes work like the jobs service."""

    def __init__(self, broker: Broker, store: ObjectStore) -> None:
        self.broker = broker
        self.store = store
        self.events: list[AttemptEvent] = []
        self.dead: list[str] = []

    async def on_event(self, message: Any) -> None:
        async with message.process():
            event = BY_ROUTING_KEY[message.routing_key].model_validate_json(message.body)
            assert isinstance(event, AttemptEvent)
            self.events.append(event)

    async def on_dead_letter(self, message: Any) -> None:
        async with message.process():
            self.dead.append(str(message.routing_key))

    def events_of(self, job: UUID, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind) and event.job_id == job]

    async def upload(self, path: Path, *, options: JobOptions | None = None, attempt: int = 1) -> PlanWork:
        """Store a recording like the gateway and return its work, which is not published yet."""
        job, content = uuid4(), await asyncio.to_thread(path.read_bytes)
        await self.store.put(keys.source(job), content)
        return plan_work(job, attempt=attempt, size_bytes=len(content), options=options or JobOptions())

    async def plan(self, work: PlanWork) -> AudioPlanned | AudioRejected:
        await self.broker.publish(work)

        def outcomes() -> list[AudioPlanned | AudioRejected]:
            return [*self.events_of(work.job_id, AudioPlanned), *self.events_of(work.job_id, AudioRejected)]

        return (await eventually(outcomes))[0]

    async def transcribe(self, work: PlanWork) -> TranscriptReady:
        """Publish all work of a job up to its transcript."""
        planned = await self.plan(work)
        assert isinstance(planned, AudioPlanned)
        for chunk in self.events_of(work.job_id, ChunkPlanned):
            await self.broker.publish(self.chunk_work(work, chunk))

        def results() -> dict[int, str]:
            return {event.chunk: event.result_key for event in self.events_of(work.job_id, ChunkTranscribed)}

        await eventually(lambda: len(results()) == planned.chunks)
        result_keys = [key for _, key in sorted(results().items())]
        await self.broker.publish(
            AssembleWork(
                job_id=work.job_id,
                attempt=work.attempt,
                plan_key=planned.plan_key,
                result_keys=result_keys,
                options=work.options,
            )
        )
        return (await eventually(lambda: self.events_of(work.job_id, TranscriptReady)))[0]

    @staticmethod
    def chunk_work(work: PlanWork, chunk: ChunkPlanned) -> ChunkWork:
        return ChunkWork(
            job_id=work.job_id, attempt=work.attempt, chunk=chunk.chunk, language=chunk.language, options=work.options
        )

    async def document(self, key: str) -> Any:
        return json.loads(await self.store.get(key))


@pytest.fixture
async def jobs(broker_settings: BrokerSettings, store: ObjectStore) -> AsyncIterator[Jobs]:
    broker = await Broker.connect(broker_settings, "jobs")
    double = Jobs(broker, store)
    connection = await aio_pika.connect_robust(broker_settings.broker_url)
    channel = await connection.channel()
    await (await channel.get_queue("jobs.events")).consume(double.on_event)
    await (await channel.get_queue("dead-letters")).consume(double.on_dead_letter)
    yield double
    await connection.close()
    await broker.close()


@pytest.fixture
def settings(broker_settings: BrokerSettings, storage_settings: StorageSettings, tmp_path: Path) -> Settings:
    return Settings(
        **broker_settings.model_dump(),
        **storage_settings.model_dump(),
        environment="test",
        engine="canned",
        models=("base",),
        model_dir=tmp_path,
        work_dir=tmp_path / "work",
        max_audio_seconds=300.0,
        drain_seconds=2.0,
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    """Run a transcriber in this process; it is ready on entry and stopped in order on exit."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        await eventually(app.state.readiness.failing, lambda failing: not failing, "the transcriber is ready")
        yield app


@pytest.fixture
def start() -> Callable[[Settings], Any]:
    return running


@pytest.fixture
async def transcriber(settings: Settings) -> AsyncIterator[FastAPI]:
    async with running(settings) as app:
        yield app
