"""Where the rows and the objects are: of the fleet in the state folder, or as named by the environment."""

import os
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from common.settings import StorageSettings
from native.programs import ProgramError

SERVICES: Final = ("auth", "jobs", "metadata", "cleanup")


@dataclass(frozen=True)
class Places:
    """The database of each service, as its DB_URL names it, and the object store."""

    databases: dict[str, str]
    storage: StorageSettings

    @classmethod
    def of_environment(cls) -> Self | None:
        """The places that AUTH_DB_URL, JOBS_DB_URL, METADATA_DB_URL, CLEANUP_DB_URL and the S3 variables name.

        None without any of the four; raises ProgramError when some are missing.
        """
        names = {service: f"{service.upper()}_DB_URL" for service in SERVICES}
        found = {service: os.environ[name] for service, name in names.items() if os.environ.get(name)}
        if not found:
            return None
        if missing := [names[service] for service in SERVICES if service not in found]:
            raise ProgramError(f"a backup has all services or none: {', '.join(missing)} is not set")
        return cls(found, StorageSettings())

    def groups(self) -> list[list[str]]:
        """The services, those in the same database together: they can share one snapshot."""
        together: dict[tuple[str | None, int | None, str], list[str]] = {}
        for service, url in self.databases.items():
            parts = urlsplit(url)
            together.setdefault((parts.hostname, parts.port, parts.path), []).append(service)
        return list(together.values())

    def libpq(self, service: str) -> str:
        """The URL of a service's database without the driver's name in it."""
        return f"postgresql://{self.databases[service].partition('://')[2]}"
