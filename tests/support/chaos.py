"""The platform under faults: every server behind a proxy, short patience everywhere, and a client that keeps trying."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from common.events import SERVICES
from common.messaging import Broker
from common.settings import BrokerSettings, StorageSettings
from common.storage import ObjectStore
from common.testing import eventually
from models import detector
from native import bootstrap, postgres, rabbitmq, seaweedfs
from native.fleet import BUCKET, WITH_DATABASE, Fleet
from native.settings import NativeSettings
from native.state import StateFolder

from .fleets import PATIENT
from .marked import Recording
from .platform_client import TERMINAL, PlatformClient
from .proxy import Proxy

# Patience in seconds, as short as the faults last; in life all of it is longer.
IMPATIENT = {
    "*": {"ENVIRONMENT": "test", "BROKER_HEARTBEAT_SECONDS": "2"},
    "jobs": {
        "WATCHDOG_INTERVAL_SECONDS": "0.5",
        "WORK_TIMEOUT_SECONDS": "6",
        "WORKER_TIMEOUT_SECONDS": "20",
        "ENRICHMENT_TIMEOUT_SECONDS": "120",
    },
    "metadata": {
        "ENRICHMENT_LEASE_SECONDS": "4",
        "ENRICHMENT_POLL_SECONDS": "0.5",
        "ENRICHMENT_RETRY_SECONDS": "0.3",
        "ENRICHMENT_TRIES": "20",
    },
    # Sweeps run when a test asks for one, and find everything old enough.
    "cleanup": {
        "CLEANUP_ENABLED": "false",
        "ORPHAN_AGE_HOURS": "0",
        "DELETION_RECHECK_SECONDS": "0.5",
        "CLEANUP_POLL_SECONDS": "0.5",
    },
    "transcriber": {"ENGINE": "canned", "MODELS": "base", "DRAIN_SECONDS": "5"},
    "gateway": {"UPSTREAM_TIMEOUT": "5"},
}
PATIENCE = 300.0  # seconds until everything must be over, on a very busy machine and with real Whisper
RETRYABLE = (502, 503, 504)
# Options of waits through outages: broken connections count as no answer yet.
THROUGH_OUTAGES: dict[str, Any] = {"seconds": PATIENCE, "ignoring": httpx.TransportError}


@dataclass(frozen=True)
class Proxies:
    """What stands between the services and the servers they need; `jobs` between the gateway and jobs."""

    broker: Proxy
    database: Proxy
    store: Proxy
    jobs: Proxy

    def mend(self) -> None:
        """Everything passes again."""
        for proxy in (self.broker, self.database, self.store, self.jobs):
            proxy.mend()


@dataclass
class Expected:
    """What must become of an accepted job; `transcript` as JSON, None where there must be none."""

    state: str
    transcript: bytes | None
    reason_code: str | None = None
    attempt: int = 1


@dataclass
class Platform:
    """The fleet in the hand of a test, with all that was accepted since the test began."""

    fleet: Fleet
    proxies: Proxies
    user: PlatformClient
    accepted: dict[str, Expected] = field(default_factory=dict)
    undisturbed: dict[str, bytes] = field(default_factory=dict)

    # -- jobs -------------------------------------------------------------------------------------------------------

    def submit(self, recording: Recording, *, headers: dict[str, str] | None = None) -> str:
        """Upload a recording, and expect its job to bring the transcript that it brings without any fault."""
        job_id = self.user.submit(f"{recording.name}.flac", recording.content, headers=headers)
        self.accepted[job_id] = Expected("completed", self.undisturbed[recording.name])
        return job_id

    async def submit_patiently(self, recording: Recording) -> str:
        """The same through outages: again and again, under one Idempotency-Key, as a good client does."""
        key = {"Idempotency-Key": hashlib.sha256(f"{time.monotonic_ns()}".encode()).hexdigest()}

        async def attempt() -> str | None:
            answer = await asyncio.to_thread(
                self.user.http.post,
                "/jobs",
                files={"file": (f"{recording.name}.flac", recording.content)},
                headers=key,
            )
            if answer.status_code in (*RETRYABLE, 409):
                return None
            assert answer.status_code == 201, answer.text
            return str(answer.json()["id"])

        job_id: str = await eventually(attempt, what="the upload is accepted", **THROUGH_OUTAGES)
        self.accepted[job_id] = Expected("completed", self.undisturbed[recording.name])
        return job_id

    def expect(self, job_id: str, state: str, reason_code: str | None = None, *, attempt: int = 1) -> None:
        """Expect something else than a transcript of a job."""
        self.accepted[job_id] = Expected(state, None, reason_code, attempt)

    async def job(self, job_id: str) -> dict[str, Any]:
        """The job as it stands, asked for until somebody answers."""

        async def ask() -> dict[str, Any] | None:
            answer = await asyncio.to_thread(self.user.http.get, f"/jobs/{job_id}")
            return None if answer.status_code in RETRYABLE else _body(answer)

        return await eventually(ask, what=f"job {job_id} can be read", **THROUGH_OUTAGES)

    async def reach(self, job_id: str, where: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """The job once it is where the test wants it."""
        return await eventually(lambda: self.job(job_id), where, f"job {job_id} {what}", **THROUGH_OUTAGES)

    async def chunks_done(self, job_id: str, number: int) -> dict[str, Any]:
        """The job once so many of its chunks are done, and before it is over."""
        job = await self.reach(job_id, lambda job: bool(job["chunks_done"] >= number), f"has {number} chunks done")
        assert job["state"] not in TERMINAL, f"the job was over before the fault: {job}"
        return job

    async def finished(self, job_id: str) -> dict[str, Any]:
        """The job once it is over."""
        return await self.reach(job_id, lambda job: job["state"] in TERMINAL, "is over")

    # -- what is behind -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def sql(self) -> AsyncIterator[asyncpg.Connection]:
        """The database as its superuser, past the proxy."""
        port = self.fleet.port(postgres.NAME, "sql")
        connection = await asyncpg.connect(postgres.admin_url(self.fleet.state, port, bootstrap.DATABASE))
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def bucket(self) -> AsyncIterator[ObjectStore]:
        """The object store, past the proxy."""
        store = ObjectStore(storage(self.fleet.state, seaweedfs.ports(self.fleet.state)["s3"]))
        try:
            yield store
        finally:
            await store.close()

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[Broker]:
        """A connection to the message broker, past the proxy."""
        port = self.fleet.port(rabbitmq.NAME, "amqp")
        connected = await Broker.connect(BrokerSettings(broker_url=rabbitmq.url(self.fleet.state, port)), "test")
        try:
            yield connected
        finally:
            await connected.close()

    async def counted(self, service: str, metric: str, **labels: str) -> float:
        """A service's counter, summed over all series that have these labels; 0 if there is none."""
        async with httpx.AsyncClient() as client:
            headers = {"Authorization": f"Bearer {self.fleet.state.secret('metrics_token')}"}
            address = f"http://127.0.0.1:{self.fleet.port(service, 'metrics')}/metrics"
            text = (await client.get(address, headers=headers)).raise_for_status().text
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line.startswith((f"{metric}{{", f"{metric} ")) and all(label in line for label in wanted)
        )

    async def healthy(self) -> None:
        """Return when every program is ready and the platform says so itself."""
        for name in self.services:
            await asyncio.wait_for(self.fleet.wait_ready(name), PATIENCE)

        async def unready() -> list[str]:
            async with httpx.AsyncClient() as client:
                answers = {name: await client.get(f"{self.fleet.url(name)}/health/ready") for name in self.services}
                return [name for name, answer in answers.items() if answer.status_code != 200]

        await eventually(unready, lambda names: not names, "every service is ready", **THROUGH_OUTAGES)

    @property
    def services(self) -> list[str]:
        """Names of the rows that are ours."""
        return [*WITH_DATABASE, *self.fleet.transcribers, "gateway"]


def storage(state: StateFolder, port: int) -> StorageSettings:
    """The fleet's bucket behind a port."""
    access, secret = seaweedfs.credentials(state)
    return StorageSettings(
        s3_endpoint=f"http://127.0.0.1:{port}",
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        s3_bucket=BUCKET,
    )


@contextmanager
def faulty_platform(
    folder: Path, *, transcribers: int = 2, extra: dict[str, dict[str, str]] | None = None
) -> Iterator[Platform]:
    """The platform with the canned engine and every connection through a proxy; `extra` as Fleet takes it."""
    state = StateFolder(folder)
    with ExitStack() as stack:
        proxies = Proxies(
            *(
                stack.enter_context(Proxy(port).running())
                for port in (
                    state.ports(rabbitmq.NAME)[rabbitmq.NAME],
                    state.ports(postgres.NAME)[postgres.NAME],
                    seaweedfs.ports(state)["s3"],
                    state.ports("jobs")["jobs"],
                )
            )
        )
        settings = NativeSettings().model_copy(
            update={"state_dir": folder, "transcribers": transcribers, "gateway_port": 0}
        )
        wiring = _merged(PATIENT, IMPATIENT, _through(state, proxies), extra or {})
        detector.install(settings.model_dir, print)
        fleet = stack.enter_context(Fleet(folder, settings, extra=wiring).running())
        user = PlatformClient(fleet.url("gateway"), *fleet.credentials)
        stack.callback(user.close)
        yield Platform(fleet, proxies, user)


def _through(state: StateFolder, proxies: Proxies) -> dict[str, dict[str, str]]:
    brokers = {service: {"BROKER_URL": rabbitmq.url(state, proxies.broker.port, user=service)} for service in SERVICES}
    databases = {
        service: {
            "DB_URL": postgres.service_url(
                proxies.database.port, service, bootstrap.role_password(state, service), bootstrap.DATABASE
            )
        }
        for service in WITH_DATABASE
    }
    everybody = {"S3_ENDPOINT": f"http://127.0.0.1:{proxies.store.port}"}
    gateway = {"JOBS_URL": f"http://127.0.0.1:{proxies.jobs.port}"}
    return _merged(brokers, databases, {"*": everybody, "gateway": gateway})


def _merged(*parts: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    services = {service for part in parts for service in part}
    return {
        service: {name: value for part in parts for name, value in part.get(service, {}).items()}
        for service in services
    }


def _body(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body
