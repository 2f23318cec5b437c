"""Forged positions in every listing: each is refused with 422, and none is an error of the platform."""

import pytest

from support.forged_cursors import SOME
from support.platform_client import PlatformClient
from support.surface import all_operations

pytestmark = pytest.mark.e2e

POSITIONS = ("cursor", "after")
LISTINGS = [
    (operation.path, name)
    for operation in all_operations()
    if operation.method == "GET"
    for name in sorted(operation.names("query"))
    if name in POSITIONS
]


def test_every_listing_with_a_position_is_known() -> None:
    assert {path for path, _ in LISTINGS} >= {"/jobs", "/admin/users", "/admin/audit", "/admin/files"}
    assert {path for path, _ in LISTINGS} >= {"/admin/cleanup/reports", "/admin/dead-letters"}


@pytest.mark.parametrize(("path", "name"), LISTINGS)
def test_a_forged_position_is_refused(admin: PlatformClient, path: str, name: str) -> None:
    job = admin.submit("a.wav", b"no sound")
    for forged in SOME:
        for order in ("created_at", "finished_at", "duration") if path == "/jobs" else ("",):
            params = {name: forged} | ({"sort": order} if order else {})
            answer = admin.http.get(path.replace("{job_id}", job), params=params)
            assert answer.status_code in (404, 422), f"{params}: {answer.status_code} {answer.text[:300]}"


def test_an_offset_with_an_unescaped_plus_is_understood(admin: PlatformClient) -> None:
    job = admin.submit("a.wav", b"no sound")
    for moment, expected in (("2026-01-01T00:00:00+01:00", True), ("8999-01-01T00:00:00+01:00", False)):
        found = admin.http.get(f"/jobs?created_after={moment}").raise_for_status().json()["items"]
        assert (job in [each["id"] for each in found]) is expected
    assert admin.http.get("/admin/audit?since=2026-01-01T00:00:00+01:00").status_code == 200
