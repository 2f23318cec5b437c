"""What each service may do at the broker and in the object store: what its code does there, and nothing else.

The broker's rights follow from the catalogue of messages. A right to configure is a right to declare and to delete, so
the fleet declares the exchanges and all queues that are there from the start, and a service only the queues from which
it consumes: it brings them back when they are lost.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from common.events import ALL, COMMAND_CONSUMERS, SENDERS, SERVICES, SUBSCRIBERS, keys
from common.messaging import topology
from common.storage import CHECKED

NOTHING = "^$"
VHOST = "/"
# The catalogue names who takes commands; this service publishes them.
DISPATCHER = "jobs"
KEEPER = "jobs"  # of logs and dead letters
# The exchanges that a service consumes besides the control exchange, which all services consume.
CONSUMES = MappingProxyType({"gateway": ("archive",)})

# Actions of the object store's accounts; a star stands for any characters, a slash as well.
STORE = MappingProxyType(
    {
        "gateway": (
            *(f"{action}:{{bucket}}/{keys.UPLOADS}*" for action in ("Read", "Write")),
            *(f"{action}:{{bucket}}/{keys.RESUMABLE}*" for action in ("Read", "Write", "List")),
            f"Read:{{bucket}}/{keys.TRANSCRIPTS}*",
            f"Read:{{bucket}}/{keys.JOBS}*/chunks/*",
        ),
        "transcriber": (
            f"Read:{{bucket}}/{keys.UPLOADS}*",
            *(f"{action}:{{bucket}}/{keys.JOBS}*" for action in ("Read", "Write")),
            f"Write:{{bucket}}/{keys.TRANSCRIPTS}*",
        ),
        "metadata": (
            f"Read:{{bucket}}/{keys.TRANSCRIPTS}*",
            f"Write:{{bucket}}/{keys.TRANSCRIPTS}*/metadata.json",
        ),
        "cleanup": ("Read:{bucket}", "Write:{bucket}", "List:{bucket}"),
    }
)


@dataclass(frozen=True)
class BrokerRights:
    """Regular expressions as RabbitMQ takes them: of names, and for each topic exchange of routing keys."""

    configure: str
    write: str
    read: str
    topics: Mapping[str, tuple[str, str]]  # exchange → keys to write with, keys to read with


def broker_rights(service: str) -> BrokerRights:
    """What a service may do at the broker."""
    name = re.escape(service)
    published = [event.routing_key for event in ALL if event.__module__.rpartition(".")[2] == service]
    subscribed = [event.routing_key for event, services in SUBSCRIBERS.items() if service in services]
    notices = [notice.name for notice, senders in SENDERS.items() if service in senders]
    takes_work, gives_work = service in COMMAND_CONSUMERS.values(), service == DISPATCHER
    consumed = [*CONSUMES.get(service, ()), "control"]

    own = [rf"{name}\.({'|'.join(consumed)})\.[0-9a-f]+"]
    writes, reads = [topology.LOGS, topology.CONTROL], [topology.LISTENED[each] for each in consumed]
    dead_lettered: list[str] = []
    gathered = NOTHING  # the keys of logs and dead letters to bind a queue with
    if subscribed:
        own += [rf"{name}\.events", rf"{name}\.witness"]
        writes.append(topology.own_exchange(service))
        reads += [topology.EVENTS, topology.own_exchange(service)]
        dead_lettered += [*map(re.escape, subscribed), rf"{name}\.events"]
    if published:
        writes.append(topology.EVENTS)
    if takes_work:
        own.append(r"work\..+")
        dead_lettered.append(r"work\..+")
    if gives_work:
        own.append(r"work\.(chunk|verify)\..+")  # there may be no transcriber for the model yet
    if gives_work or takes_work:
        writes.append(topology.WORK)
        reads.append(topology.WORK)
    if dead_lettered or gives_work:
        writes.append(topology.DEAD)  # also to declare a queue that dead-letters there
    if service == KEEPER:
        own += [topology.JOBS_LOGS.name, topology.DEAD_LETTERS.name]
        reads += [topology.LOGS, topology.DEAD]
        gathered = "^#$"
        # It puts dead letters that an administrator replays straight into the queue where they died.
        writes += [topology.ARCHIVE, *map(topology.own_exchange, topology.SUBSCRIBED)]
    return BrokerRights(
        configure=_any_of(own),
        write=_any_of([*own, *map(re.escape, writes)]),
        read=_any_of([*own, *map(re.escape, reads)]),
        topics={
            topology.EVENTS: (_any_of(map(re.escape, published)), _any_of(map(re.escape, subscribed))),
            topology.LOGS: (rf"^{name}\.", gathered),
            topology.CONTROL: (_any_of(map(re.escape, notices)), ".*"),
            topology.DEAD: (_any_of(dead_lettered), gathered),
        },
    )


def definitions(owner: str, passwords: Mapping[str, str]) -> str:
    """The broker's definitions (JSON): accounts with their rights, and all exchanges and queues that services share.

    `passwords` are by account: the owner's, who may do everything, and each service's.
    """
    all_rights = BrokerRights(".*", ".*", ".*", {})
    rights = {owner: all_rights} | {service: broker_rights(service) for service in SERVICES}
    queues = list(topology.standing_queues())
    content: dict[str, Any] = {
        "vhosts": [{"name": VHOST}],
        "users": [_user(name, password, is_owner=name == owner) for name, password in passwords.items()],
        "permissions": [
            {"user": name, "vhost": VHOST, "configure": of.configure, "write": of.write, "read": of.read}
            for name, of in rights.items()
        ],
        "topic_permissions": [
            {"user": name, "vhost": VHOST, "exchange": exchange, "write": write, "read": read}
            for name, of in rights.items()
            for exchange, (write, read) in of.topics.items()
        ],
        "exchanges": [
            {"name": name, "vhost": VHOST, "type": kind, "arguments": {}}
            | {"durable": True, "auto_delete": False, "internal": False}
            for name, kind in topology.EXCHANGES.items()
        ],
        "queues": [
            {"name": spec.name, "vhost": VHOST, "durable": True, "auto_delete": False, "arguments": spec.arguments}
            for spec in queues
        ],
        "bindings": [
            {"source": exchange, "vhost": VHOST, "destination": spec.name, "destination_type": "queue"}
            | {"routing_key": key, "arguments": {}}
            for spec in queues
            for exchange, key in spec.bindings
        ],
    }
    return json.dumps(content, indent=2)


def store_actions(service: str, bucket: str) -> list[str]:
    """What a service may do in the object store, as SeaweedFS names it; the readiness check lists an empty prefix."""
    actions = [action.format(bucket=bucket) for action in STORE[service]]
    return actions if f"List:{bucket}" in actions else [*actions, f"List:{bucket}/{CHECKED}*"]


def _user(name: str, password: str, *, is_owner: bool) -> dict[str, str]:
    # The salt need not be random: passwords are generated, and the hashes stay in the folder that holds them as well.
    salt = hashlib.sha256(name.encode()).digest()[:4]
    digest = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    tags = "administrator" if is_owner else ""
    return {"name": name, "password_hash": digest, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": tags}


def _any_of(patterns: Iterable[str]) -> str:
    """A regular expression that matches whole names; none of them when there are no patterns."""
    alternatives = "|".join(dict.fromkeys(patterns))
    return f"^({alternatives})$" if alternatives else NOTHING
