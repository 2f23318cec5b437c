"""The services' rights follow the catalogue: publishers, subscribers, senders and takers, and no others."""

import json
import re
from collections.abc import Iterable

import pytest

from common.events import ALL, NOTICES, SENDERS, SERVICES, SUBSCRIBERS, Event, Notice
from common.messaging import topology
from native import rights


def who(pattern_of: str, name: str) -> set[str]:
    """The services whose right (configure, write, read) covers a name."""
    return {each for each in SERVICES if re.search(getattr(rights.broker_rights(each), pattern_of), name)}


def who_sends(exchange: str, key: str) -> set[str]:
    """The services that may write to a topic exchange with a key."""
    return {each for each in who("write", exchange) if re.search(rights.broker_rights(each).topics[exchange][0], key)}


@pytest.mark.parametrize("event", ALL, ids=lambda event: event.routing_key)
def test_an_event_is_published_by_its_owner_and_dead_lettered_by_its_subscribers(event: type[Event]) -> None:
    assert who_sends(topology.EVENTS, event.routing_key) == {event.__module__.rpartition(".")[2]}
    assert who_sends(topology.DEAD, event.routing_key) == set(SUBSCRIBERS[event])


@pytest.mark.parametrize("notice", NOTICES, ids=lambda notice: notice.name)
def test_a_notice_is_sent_by_its_senders_and_received_by_all(notice: type[Notice]) -> None:
    assert who_sends(topology.CONTROL, notice.name) == set(SENDERS[notice])
    assert who("read", topology.CONTROL) == set(SERVICES)


def test_a_queue_is_read_and_declared_by_one_service_and_an_exchange_by_none() -> None:
    for spec in topology.standing_queues():
        reader = "transcriber" if spec.name.startswith("work.") else spec.name.partition(".")[0]
        for right in ("read", "configure", "write"):
            assert who(right, spec.name) == {"jobs" if spec is topology.DEAD_LETTERS else reader}
    for exchange in topology.EXCHANGES:
        assert who("configure", exchange) == set()


def test_work_is_between_jobs_and_the_transcriber() -> None:
    for name in (topology.WORK, "work.chunk.large-v3", "work.verify.base"):
        assert who("write", name) == who("read", name) == {"jobs", "transcriber"}
    assert who_sends(topology.DEAD, "work.chunk.base") == {"transcriber"}


def test_no_service_may_use_the_default_exchange_or_a_name_that_only_contains_its_own() -> None:
    for name in ("amq.default", "amq.topic", "eventsx", "xlogs", "control", "jobs.events.more", "my-jobs.events"):
        for right in ("configure", "write", "read"):
            assert who(right, name) == set()


def test_every_topic_exchange_has_a_rule_for_every_service() -> None:
    topics = {name for name, kind in topology.EXCHANGES.items() if kind == "topic"}
    for service in SERVICES:
        assert set(rights.broker_rights(service).topics) == topics  # without one the broker allows every key


def test_the_definitions_hold_no_password_and_the_whole_topology() -> None:
    passwords = {name: f"the password of {name}" for name in ("owner", *SERVICES)}
    text = rights.definitions("owner", passwords)
    content = json.loads(text)
    assert not [password for password in passwords.values() if password in text]
    assert {user["name"]: user["tags"] for user in content["users"]} == {
        "owner": "administrator",
        **dict.fromkeys(SERVICES, ""),
    }
    declared: Iterable[str] = (queue["name"] for queue in content["queues"])
    assert set(declared) == {spec.name for spec in topology.standing_queues()}
    bound = {(binding["source"], binding["destination"], binding["routing_key"]) for binding in content["bindings"]}
    assert bound == {
        (*binding[:1], spec.name, binding[1]) for spec in topology.standing_queues() for binding in spec.bindings
    }


def test_services_without_objects_have_no_account_in_the_store() -> None:
    assert set(rights.STORE) == {"gateway", "transcriber", "metadata", "cleanup"}
    for service in rights.STORE:
        assert all("verbatim" in action for action in rights.store_actions(service, "verbatim"))
        assert "Admin" not in " ".join(rights.store_actions(service, "verbatim"))
