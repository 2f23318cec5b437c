"""The contract between services: the catalogue is complete, its documents are current, and everybody keeps to it."""

import importlib
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.events import (
    ALL,
    BY_ROUTING_KEY,
    COMMAND_CONSUMERS,
    COMMANDS,
    NOTICES,
    SUBSCRIBERS,
    Command,
    Event,
    Message,
    Notice,
)

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("auth", "cleanup", "gateway", "jobs", "metadata", "transcriber")

contracts = runpy.run_path(str(ROOT / "scripts" / "contracts.py"))
documents: dict[Path, str] = contracts["documents"]()


def concrete(base: type[Message]) -> Iterator[type[Message]]:
    """Every class below `base` that is itself a message: it says its own name."""
    for subclass in base.__subclasses__():
        if "routing_key" in vars(subclass) or "name" in vars(subclass):
            yield subclass
        yield from concrete(subclass)


def subscriptions(service: str) -> set[str]:
    """Names of the events and commands that a service's consumers say they react to; nothing if it has none.

    Each service is imported in a process of its own, as in life: two services may give a metric the same name.
    """
    folder = Path(str(importlib.import_module(service).__file__)).parent
    if not (folder / "consumers.py").exists() and not (folder / "consumers").exists():
        return set()
    room = f"{service}.consumers.events" if (folder / "consumers").is_dir() else f"{service}.consumers"
    program = f"from {room} import SUBSCRIPTIONS; print(*(m.type_name() for m in SUBSCRIPTIONS))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(("base", "listed"), [(Event, ALL), (Command, COMMANDS), (Notice, NOTICES)])
def test_every_message_is_in_the_catalogue_exactly_once(base: type[Message], listed: tuple[type[Message], ...]) -> None:
    assert sorted(listed, key=repr) == sorted(concrete(base), key=repr)


def test_no_two_messages_have_the_same_name() -> None:
    names = [message.type_name() for message in (*ALL, *COMMANDS, *NOTICES)]
    assert len(set(names)) == len(names)
    assert set(BY_ROUTING_KEY) == {event.routing_key for event in ALL}


def test_the_table_of_subscribers_covers_all_events_and_names_real_services() -> None:
    assert set(SUBSCRIBERS) == set(ALL)
    assert {service for services in SUBSCRIBERS.values() for service in services} <= set(SERVICES)


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.routing_key)
def test_a_routing_key_is_a_noun_a_past_participle_and_a_version(event: type[Event]) -> None:
    noun, verb, version = event.routing_key.split(".")
    assert noun.isalpha()
    assert verb.endswith(("ed", "ready"))
    assert version[0] == "v"
    assert version[1:].isdigit()


@pytest.mark.parametrize("path", documents, ids=str)
def test_generated_documents_are_current(path: Path) -> None:
    assert (ROOT / path).read_text() == documents[path], "run python scripts/contracts.py and review the difference"


def test_there_is_no_schema_of_a_message_that_no_longer_exists() -> None:
    golden = {path.name for path in (ROOT / "tests" / "contract" / "schemas").glob("*.json")}
    assert golden == {f"{message.type_name()}.json" for message in (*ALL, *COMMANDS, *NOTICES)}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_listens_to_what_the_catalogue_says(service: str) -> None:
    events = {event.routing_key for event, services in SUBSCRIBERS.items() if service in services}
    commands = {command.name for command, taker in COMMAND_CONSUMERS.items() if taker == service}
    assert subscriptions(service) == events | commands


def test_the_check_names_a_document_that_drifted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    drifting = runpy.run_path(str(ROOT / "scripts" / "contracts.py"))
    drifting["main"].__globals__["ROOT"] = tmp_path
    assert drifting["main"](["events"]) == 0
    golden = tmp_path / "tests" / "contract" / "schemas" / "job.created.v1.json"
    golden.write_text(golden.read_text().replace("owner_id", "user_id"))
    (golden.parent / "job.forgotten.v1.json").write_text("{}")
    capsys.readouterr()
    assert drifting["main"](["events", "--check"]) == 1
    said = capsys.readouterr().out
    assert "job.created.v1.json" in said
    assert "job.forgotten.v1.json" in said
    assert "job.failed.v1.json" not in said
