"""The fleet table: every program of the platform on one machine, for `make up`, the end-to-end and the fault tests.

| rows | need | readiness |
| --- | --- | --- |
| postgres, epmd, seaweedfs | nothing | the server's own word that it is ready; then roles, schemas and the bucket |
| rabbitmq | epmd | the broker's answer to the AMQP header |
| migrate-<service> | postgres | exit status 0; skipped where the schema is known to be current |
| auth, jobs, metadata, cleanup | their migration, rabbitmq (and seaweedfs where they read it) | GET /health/ready |
| transcriber-1 … n | rabbitmq, seaweedfs | GET /health/ready, which includes a transcribed known clip |
| gateway | rabbitmq, seaweedfs | GET /health/ready; stops before the services that it asks |
"""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.settings import StorageSettings

from . import bootstrap, postgres, rabbitmq, rights, schema_stamps, seaweedfs
from .backup import Places
from .hosting import Hosted, silent
from .programs import STATE_VARIABLE, Program
from .readiness import failing_checks, http_ok
from .settings import NativeSettings, cores, gpus
from .state import StateFolder
from .supervisor import Say

GATEWAY = "gateway"
WITH_DATABASE = ("auth", "jobs", "metadata", "cleanup")
WITH_STORAGE = tuple(rights.STORE)
WITH_INTERNAL = (GATEWAY, "auth", "jobs")
BUCKET = seaweedfs.BUCKET
OPENAI_KEY = "OPENAI_API_KEY"

# Variables for the services on top of the fleet's own: by the name of the service or of its row, "*" for all.
Extra = Mapping[str, Mapping[str, str]]


class Fleet(Hosted):
    """The whole platform for a test or a script; `start` returns when everything is ready."""

    def __init__(
        self, state_dir: Path, settings: NativeSettings | None = None, *, extra: Extra | None = None, say: Say = silent
    ) -> None:
        self.settings = settings or NativeSettings()
        super().__init__(state_dir, lambda state: table(state, self.settings, extra or {}), say)

    @property
    def credentials(self) -> tuple[str, str]:
        """Name and password of the first admin."""
        return credentials(self.state, self.settings)

    @property
    def storage(self) -> StorageSettings:
        """The object store with the fleet's own account, which may do everything in it."""
        return _Wiring(self.state, self.settings, {}).storage()

    @property
    def transcribers(self) -> list[str]:
        """Names of the workers' rows."""
        return transcribers(self.settings)


def credentials(state: StateFolder, settings: NativeSettings) -> tuple[str, str]:
    """Name and password of the first admin: as set at the first start, else generated."""
    return settings.admin_username, state.secret("admin_password", settings.admin_password)


def transcribers(settings: NativeSettings) -> list[str]:
    """One worker per GPU, or per core: the model's threads inside one worker scale worse than workers do."""
    count = settings.transcribers or gpus() or cores()
    return [f"transcriber-{number}" for number in range(1, count + 1)]


def places(state: StateFolder, settings: NativeSettings) -> Places:
    """Where the fleet's rows and objects are, for a backup."""
    wiring = _Wiring(state, settings, {})
    return Places({service: wiring.database(service) for service in WITH_DATABASE}, wiring.storage())


def table(state: StateFolder, settings: NativeSettings, extra: Extra | None = None) -> list[Program]:
    """The rows in reading order; `needs` decides the order of the start."""
    wiring = _Wiring(state, settings, extra or {})
    postgres_port = state.ports(postgres.NAME)[postgres.NAME]
    roles = bootstrap.database_step(state, postgres_port, WITH_DATABASE)
    backing = (rabbitmq.NAME, seaweedfs.NAME)
    return [
        postgres.program(state, provision=roles),
        seaweedfs.program(state, provision=bootstrap.bucket_step(wiring.storage())),
        *rabbitmq.programs(state),
        *(wiring.migration(service) for service in WITH_DATABASE),
        wiring.service("auth", needs=("migrate-auth", rabbitmq.NAME)),
        wiring.service("jobs", needs=("migrate-jobs", rabbitmq.NAME)),
        wiring.service("metadata", needs=("migrate-metadata", *backing)),
        wiring.service("cleanup", needs=("migrate-cleanup", *backing)),
        *(wiring.service("transcriber", name=name, needs=backing) for name in transcribers(settings)),
        wiring.service(GATEWAY, needs=backing, asks=WITH_DATABASE),
    ]


@dataclass(frozen=True)
class _Wiring:
    """The environment of each service, with the addresses of the others."""

    state: StateFolder
    settings: NativeSettings
    extra: Extra

    def migration(self, service: str) -> Program:
        """The task that brings a service's schema up to date."""
        return Program(
            name=f"migrate-{service}",
            command=(sys.executable, "-m", service, "migrate"),
            env=self._environment(service, f"migrate-{service}"),
            ready=None,
            settled=schema_stamps.is_current(self.state, self._port(postgres.NAME), service),
            provision=schema_stamps.remember(self.state, self._port(postgres.NAME), service),
            needs=(postgres.NAME,),
            start_seconds=120,
        )

    def service(
        self, service: str, *, needs: Iterable[str], name: str | None = None, asks: Iterable[str] = ()
    ) -> Program:
        """The row of one service process."""
        row = name or service
        ports = {"http": self._port(row), "metrics": self._port(f"{row}-metrics")}
        readiness = f"http://127.0.0.1:{ports['http']}/health/ready"
        return Program(
            name=row,
            command=(sys.executable, "-m", service, "serve"),
            env={
                **self._environment(service, row),
                "PORT": str(ports["http"]),
                "METRICS_PORT": str(ports["metrics"]),
                **self.extra.get("*", {}),
                **self.extra.get(service, {}),
                **self.extra.get(row, {}),
            },
            ready=http_ok(readiness),
            symptom=partial(failing_checks, readiness),
            ports=ports,
            needs=tuple(needs),
            asks=tuple(asks),
            obeys=True,
            start_seconds=120,
        )

    def database(self, service: str) -> str:
        """A service's DB_URL."""
        password = bootstrap.role_password(self.state, service)
        return postgres.service_url(self._port(postgres.NAME), service, password, bootstrap.DATABASE)

    def storage(self, account: str = seaweedfs.OWNER) -> StorageSettings:
        """The object store as a service sees it, or the fleet itself."""
        access, secret = seaweedfs.credentials(self.state, account)
        return StorageSettings(
            s3_endpoint=f"http://127.0.0.1:{seaweedfs.ports(self.state)['s3']}",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            s3_bucket=BUCKET,
        )

    def _environment(self, service: str, row: str) -> dict[str, str]:
        """The user's own environment first, so that MAX_CONCURRENT_JOBS=2 reaches jobs; the wiring overrides it."""
        # A key that costs money goes only to the service that uses it.
        given = {name: value for name, value in os.environ.items() if name != OPENAI_KEY or service == "metadata"}
        env = {
            **given,
            STATE_VARIABLE: str(self.state.path),
            "PYTHONUNBUFFERED": "1",
            "HOST": "127.0.0.1",
            "INSTANCE": row,
            "LOG_FORMAT": "console",  # for the terminal; the files in LOG_DIR hold the records as JSON
            "LOG_DIR": str(self.state.folder(f"log/{row}")),
            "BROKER_URL": rabbitmq.url(self.state, self._port(rabbitmq.NAME), user=service),
            "BROKER_DECLARES": "false",  # the broker's definitions contain the topology
            "JWKS_URL": f"{self._url('auth')}/.well-known/jwks.json",
            "METRICS_TOKEN": self.state.secret("metrics_token"),
        }
        if service in WITH_INTERNAL:
            env["INTERNAL_TOKEN"] = self.state.secret("internal_token")
        if service in WITH_DATABASE:
            env["DB_URL"] = self.database(service)
        if service in WITH_STORAGE:
            storage = self.storage(service)
            env["S3_ENDPOINT"] = storage.s3_endpoint
            env["AWS_ACCESS_KEY_ID"] = storage.aws_access_key_id
            env["AWS_SECRET_ACCESS_KEY"] = storage.aws_secret_access_key.get_secret_value()
            env["S3_BUCKET"] = storage.s3_bucket
        return env | self._own(service, row)

    def _own(self, service: str, row: str) -> dict[str, str]:
        """The settings of one kind of service."""
        if service == "auth":
            name, password = credentials(self.state, self.settings)
            return {"SECRET_KEY": self.state.secret("secret_key"), "ADMIN_USERNAME": name, "ADMIN_PASSWORD": password}
        if service == GATEWAY:
            own = {f"{each.upper()}_URL": self._url(each) for each in WITH_DATABASE}
            if (self.settings.web_dir / "index.html").is_file():
                own["WEB_DIR"] = str(self.settings.web_dir)
            return own
        if service == "transcriber":
            threads = max(1, cores() // len(transcribers(self.settings)))
            return {
                "MODEL_DIR": str(self.settings.model_dir),
                "WORK_DIR": str(self.state.folder(f"work/{row}")),
                "THREADS": os.environ.get("THREADS", str(threads)),
            }
        return {}

    def _port(self, name: str) -> int:
        if name == GATEWAY and self.settings.gateway_port:
            return self.settings.gateway_port
        return self.state.ports(name)[name]

    def _url(self, service: str) -> str:
        return f"http://127.0.0.1:{self._port(service)}"
