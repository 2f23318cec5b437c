"""The state folder: one fleet at a time, ports and secrets that stay, leftovers that go."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from native.programs import STATE_VARIABLE
from native.state import AlreadyRunningError, StateFolder, free_port, port_is_free


@contextmanager
def listener(port: int) -> Iterator[None]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()
        yield


def test_ports_are_different_and_remembered(tmp_path: Path) -> None:
    ports = StateFolder(tmp_path).ports("a", "b", "c")
    assert len(set(ports.values())) == 3
    assert StateFolder(tmp_path).ports("c", "a", "b") == ports


def test_a_port_that_was_taken_meanwhile_moves_and_the_others_stay(tmp_path: Path) -> None:
    before = StateFolder(tmp_path).ports("a", "b")
    with listener(before["a"]):
        after = StateFolder(tmp_path).ports("a", "b")
    assert after["a"] != before["a"]
    assert after["b"] == before["b"]


def test_a_port_stays_while_our_own_server_listens_on_it(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    state.lock()
    port = state.ports("a")["a"]
    with listener(port):
        assert state.ports("a")["a"] == port
        assert StateFolder(tmp_path).ports("a")["a"] == port  # another process looking at a running fleet
    state.unlock()


def test_a_port_that_another_fleet_has_chosen_is_not_free_before_anything_listens_there(tmp_path: Path) -> None:
    mine, other = StateFolder(tmp_path / "mine"), StateFolder(tmp_path / "other")
    port = mine.ports("a")["a"]
    other.write("ports.json", {"a": port})
    choose = "import pathlib, sys; from native.state import StateFolder"
    choose += "; print(StateFolder(pathlib.Path(sys.argv[1])).ports('a')['a'])"
    chosen = subprocess.run([sys.executable, "-c", choose, other.path], stdout=subprocess.PIPE, check=True).stdout
    assert int(chosen) != port
    mine.lock()
    mine.unlock()
    other.write("ports.json", {"a": port})
    chosen = subprocess.run([sys.executable, "-c", choose, other.path], stdout=subprocess.PIPE, check=True).stdout
    assert int(chosen) == port


def test_a_free_port_is_free_and_not_among_the_taken() -> None:
    port = free_port()
    assert port_is_free(port)
    assert free_port(taken=[port]) != port


def test_secrets_are_generated_once_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    secret = StateFolder(tmp_path).secret("password")
    assert len(secret) >= 32
    assert StateFolder(tmp_path).secret("password") == secret
    assert StateFolder(tmp_path).secret("other") != secret
    assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600


def test_a_given_secret_counts_the_first_time_only(tmp_path: Path) -> None:
    assert StateFolder(tmp_path).secret("admin_password", "given") == "given"
    assert StateFolder(tmp_path).secret("admin_password", "another") == "given"


def test_a_folder_holds_one_fleet_and_names_it(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    assert state.holder() is None
    state.lock()
    assert StateFolder(tmp_path).holder() == os.getpid()
    with pytest.raises(AlreadyRunningError, match=f"process {os.getpid()}"):
        StateFolder(tmp_path).lock()
    state.unlock()
    StateFolder(tmp_path).lock()


def test_leftovers_are_found_by_their_folder_and_ended(tmp_path: Path) -> None:
    mine, other = StateFolder(tmp_path / "mine"), StateFolder(tmp_path / "other")
    ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    environment = {"PATH": os.environ["PATH"], STATE_VARIABLE: str(mine.path)}
    with subprocess.Popen([sys.executable, "-S", "-c", ignore], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert mine.leftovers() == [process.pid]
        assert other.leftovers() == []
        began = time.monotonic()
        assert mine.clear_leftovers(timeout=0.3) == 1
        assert process.wait() == -signal.SIGKILL
        assert time.monotonic() - began < 5
    assert mine.leftovers() == []
