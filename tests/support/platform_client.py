"""The platform as a user's program sees it: through the gateway and nothing else."""

import json
from typing import Any

import httpx
from websockets.sync.client import connect

from common.testing import eventually_blocking

TERMINAL = ("completed", "failed", "cancelled")


class PlatformClient:
    """A signed-in user."""

    def __init__(self, url: str, username: str, password: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=60)
        answer = self.http.post("/token", data={"username": username, "password": password})
        answer.raise_for_status()
        self.token: str = answer.json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"

    def close(self) -> None:
        """Let the connection go."""
        self.http.close()

    def submit(self, name: str, content: bytes, *, headers: dict[str, str] | None = None, **options: str) -> str:
        """Upload a recording and return its job's id."""
        answer = self.http.post("/jobs", files={"file": (name, content)}, data=options, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """The job as it stands."""
        answer = self.http.get(f"/jobs/{job_id}")
        answer.raise_for_status()
        content: dict[str, Any] = answer.json()
        return content

    def finished(self, job_id: str, timeout: float = 240) -> dict[str, Any]:
        """The job once it is over; fails the test with what it was doing if it does not end in time."""
        return eventually_blocking(
            lambda: self.job(job_id), lambda job: job["state"] in TERMINAL, f"job {job_id} is over", seconds=timeout
        )

    def wait_for_chunks(self, job_id: str, chunks: int, timeout: float = 120) -> dict[str, Any]:
        """The job once at least so many of its chunks are done."""
        job = eventually_blocking(
            lambda: self.job(job_id),
            lambda job: job["chunks_done"] >= chunks or job["state"] in TERMINAL,
            seconds=timeout,
        )
        assert job["chunks_done"] >= chunks, f"the job was over before: {job}"
        return job

    def download(self, job_id: str, kind: str) -> bytes:
        """The transcript in a format."""
        answer = self.http.get(f"/jobs/{job_id}/download", params={"format": kind})
        answer.raise_for_status()
        return answer.content

    def log_until(self, job_id: str, event: str, timeout: float = 60) -> list[dict[str, Any]]:
        """The job's log from its beginning up to the first record that says `event`."""
        address = f"{self.url.replace('http', 'ws', 1)}/ws/logs/{job_id}"
        records = []
        with connect(address, additional_headers={"Authorization": f"Bearer {self.token}"}) as socket:
            while True:
                records.append(json.loads(socket.recv(timeout=timeout)))
                if records[-1]["event"] == event:
                    return records
