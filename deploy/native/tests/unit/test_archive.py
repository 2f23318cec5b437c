"""The file that a backup is: written once, and accepted only when every byte is right."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from native.backup import DamagedArchiveError, file_for
from native.backup.archive import ArchiveWriter, members, verified
from native.backup.restoring import require_readable
from native.programs import ProgramError

LONG = "objects/" + "x" * 300


async def stream(*blocks: bytes) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block


async def written(path: Path) -> Path:
    archive = ArchiveWriter(path)
    archive.add("rows/jobs/jobs/000000", b"1\ta\n")
    await archive.add_stream(LONG, 1500, stream(b"a" * 1000, b"b" * 500))
    await archive.add_stream("objects/empty", 0, stream())
    archive.complete({"format": 1})
    return path


async def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    path = await written(tmp_path / "a.tar")
    assert verified(path) == {"format": 1}
    content = {member.name: b"".join(member.blocks()) for member in members(path)}
    assert list(content)[:3] == ["rows/jobs/jobs/000000", LONG, "objects/empty"]
    assert content[LONG] == b"a" * 1000 + b"b" * 500
    assert path.stat().st_mode & 0o077 == 0, "other accounts must not read it"


async def test_changed_byte_is_found_and_named(tmp_path: Path) -> None:
    path = await written(tmp_path / "a.tar")
    content = bytearray(path.read_bytes())
    content[content.index(b"aaaa") + 10] = 0
    path.write_bytes(content)
    with pytest.raises(DamagedArchiveError, match="xxx"):
        verified(path)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.7])
async def test_piece_of_a_backup_is_no_backup(tmp_path: Path, share: float) -> None:
    path = await written(tmp_path / "a.tar")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DamagedArchiveError):
        verified(path)


async def test_unfinished_file_never_has_the_name(tmp_path: Path) -> None:
    archive = ArchiveWriter(tmp_path / "a.tar")
    archive.add("x", b"x")
    with pytest.raises(ProgramError, match="changed while it was read"):
        await archive.add_stream("y", 5, stream(b"four"))
    archive.discard()
    assert not (tmp_path / "a.tar").exists()
    assert not (tmp_path / "a.tar.part").exists()


def test_existing_file_is_not_overwritten_and_a_folder_gets_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "old.tar").write_bytes(b"precious")
    with pytest.raises(ProgramError, match="there already"):
        file_for(tmp_path / "old.tar")
    assert file_for(tmp_path).parent == tmp_path


def test_backup_of_a_newer_release_is_refused() -> None:
    services = {name: {"revision": "of-tomorrow"} for name in ("auth", "jobs", "metadata", "cleanup")}
    with pytest.raises(ProgramError, match="newer release"):
        require_readable({"format": 1, "services": services})
    with pytest.raises(ProgramError, match="format"):
        require_readable({"format": 2, "services": services})
