"""Private RabbitMQ: the system's package, run as a node of our own with its own epmd, on loopback only."""

import os
import re
import shutil
import signal
from pathlib import Path
from urllib.parse import quote

from common.events import SERVICES

from . import rights
from .programs import Program, ProgramError, plain_environment, run
from .readiness import amqp, exchange
from .state import StateFolder, private_folder, write_private

NAME = "rabbitmq"
EPMD = "epmd"
NODE = "verbatim@localhost"  # the same for every fleet: each has an epmd of its own
USER = "verbatim"
STOP = signal.SIGTERM
_LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1}"


def server_folder() -> Path:
    """The folder with the real `rabbitmq-server`: not /usr/sbin, whose wrapper insists on the system's own account."""
    folders = [Path("/usr/lib/rabbitmq/bin"), *sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"))]
    for folder in (Path(os.environ.get("RABBITMQ_BIN", "/nonexistent")), *folders):
        if (folder / "rabbitmq-server").is_file():
            return folder
    raise ProgramError("RabbitMQ is not installed: on Debian or Ubuntu run `apt-get install rabbitmq-server`.")


def environment(state: StateFolder) -> dict[str, str]:
    """Everything the node and its command-line tools need to find each other and no other node."""
    home = state.path / NAME
    ports = state.ports(EPMD, "rabbitmq-nodes")
    return {
        **plain_environment(home, state.path),  # the cookie lives in HOME
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(ports[EPMD]),
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_CONF_ENV_FILE": str(home / "env.conf"),  # empty: /etc/rabbitmq/rabbitmq-env.conf is not ours
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "config"),
        "RABBITMQ_PID_FILE": str(home / "rabbit.pid"),
        "RABBITMQ_DIST_PORT": str(ports["rabbitmq-nodes"]),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _LOOPBACK_ONLY,
        "RABBITMQ_CTL_ERL_ARGS": _LOOPBACK_ONLY,
    }


def programs(state: StateFolder) -> list[Program]:
    """The two rows of the fleet table: the port mapper, and the broker that needs it."""
    home = state.path / NAME
    env = environment(state)
    ports = state.ports(NAME, EPMD, "rabbitmq-nodes")

    async def prepare() -> None:
        _write_configuration(home, ports[NAME], state.secret("erlang_cookie"))
        passwords = {name: state.secret(_secret(name)) for name in (USER, *SERVICES)}
        write_private(home / "definitions.json", rights.definitions(USER, passwords))

    async def epmd_ready() -> bool:
        return bool(
            await exchange(ports[EPMD], b"\x00\x01n")
        )  # a request for all names: the answer begins with its own port

    return [
        # A child of our own: the broker would otherwise start one that outlives it.
        Program(
            name=EPMD,
            command=("epmd", "-address", "127.0.0.1", "-port", str(ports[EPMD])),
            env=env,
            ports={"epmd": ports[EPMD]},
            ready=epmd_ready,
            echo=False,
        ),
        Program(
            name=NAME,
            command=(str(server_folder() / "rabbitmq-server"),),
            env=env,
            ports={"amqp": ports[NAME], "nodes": ports["rabbitmq-nodes"]},
            needs=(EPMD,),
            prepare=prepare,
            ready=amqp(ports[NAME]),
            stop_seconds=30,
            # The command is a shell script that forwards TERM to the Erlang machine and waits; KILL would orphan it.
            death_signal=STOP,
            stop_signal=STOP,
            echo=False,
        ),
    ]


def url(state: StateFolder, port: int, vhost: str = "/", user: str = USER) -> str:
    """The AMQP URL of a virtual host, for the account of a service or the fleet's own, which may do everything."""
    return f"amqp://{user}:{quote(state.secret(_secret(user)), safe='')}@127.0.0.1:{port}/{quote(vhost, safe='')}"


async def control(state: StateFolder, *arguments: str) -> str:
    """Run `rabbitmqctl` on this node and return what it prints (about a second each)."""
    return await run([str(server_folder() / "rabbitmqctl"), "-n", NODE, *arguments], env=environment(state))


async def contents(state: StateFolder) -> dict[str, int]:
    """The number of messages in each quorum queue of the default virtual host, with unacknowledged ones.

    Asks the queues themselves: the figures of `rabbitmqctl` are up to five seconds old.
    """
    count = "case amqqueue:get_type(Q) of rabbit_quorum_queue -> {ok, {_, N}, _} = "
    count += "ra:leader_query(amqqueue:get_pid(Q), fun rabbit_fifo:query_messages_total/1), N; _ -> 0 end"
    name = "element(4, amqqueue:get_name(Q))"
    answer = await _asked(
        state,
        f'lists:flatten([io_lib:format("~s=~w ", [{name}, {count}]) || Q <- rabbit_amqqueue:list(<<"/">>)]).',
    )
    return {queue: int(number) for queue, number in re.findall(r"([^\s\"=]+)=(\d+)", answer)}


async def delete_queue(state: StateFolder, name: str) -> None:
    """Delete a queue of the default virtual host with everything in it; the broker cancels its consumers."""
    resource = f'rabbit_misc:r(<<"/">>, queue, {_binary(name)})'
    await _asked(
        state,
        f"{{ok, Q}} = rabbit_amqqueue:lookup({resource}), rabbit_amqqueue:delete(Q, false, false, {_binary(USER)}).",
    )


async def end_dead_lettering(state: StateFolder) -> None:
    """Do what RabbitMQ now and then does to itself: no queue dead-letters any more until the broker is restarted."""
    await _evaluate(state, "supervisor:terminate_child(rabbit_sup, rabbit_fifo_dlx_sup).")


async def create_vhost(state: StateFolder, name: str) -> None:
    """Make a virtual host that the fleet's user may do everything in."""
    user, vhost, any_name = _binary(USER), _binary(name), _binary(".*")
    rights = ", ".join([user, vhost, any_name, any_name, any_name, user])
    permit = f"rabbit_auth_backend_internal:set_permissions({rights})"
    await _evaluate(state, f"ok = rabbit_vhost:add({vhost}, {user}), {permit}.")


async def delete_vhost(state: StateFolder, name: str) -> None:
    """Remove a virtual host and everything in it."""
    await _evaluate(state, f"rabbit_vhost:delete({_binary(name)}, {_binary(USER)}).")


async def _evaluate(state: StateFolder, expression: str) -> None:
    answer = await _asked(state, expression)
    if answer != "ok":
        raise ProgramError(f"the broker answered {answer} to {expression}")


async def _asked(state: StateFolder, expression: str) -> str:
    """Run an expression in the node through Erlang's `erl_call`, fifty times faster than `rabbitmqctl`; its value."""
    answer = (await run(["erl_call", "-n", NODE, "-e"], env=environment(state), given=f"{expression}\n")).strip()
    if not answer.startswith("{ok, "):
        raise ProgramError(f"the broker answered {answer} to {expression}")
    return answer.removeprefix("{ok, ").removesuffix("}")


def _secret(user: str) -> str:
    return NAME if user == USER else f"{NAME}_{user}"


def _binary(text: str) -> str:
    return f'<<"{text}">>'


def _write_configuration(home: Path, port: int, cookie: str) -> None:
    for folder in ("mnesia", "log", "config"):
        private_folder(home / folder)
    write_private(home / ".erlang.cookie", cookie)
    write_private(home / "env.conf", "")
    write_private(home / "advanced.config", "[].\n")
    # No plugin: management and streams would double the start, and stop takes 6 s instead of 1 with an HTTP plugin.
    write_private(home / "enabled_plugins", "[].\n")
    write_private(
        home / "rabbitmq.conf",
        f"listeners.tcp.1 = 127.0.0.1:{port}\n"
        # Read at every start, before the first client may connect: a broker that lost everything is whole again.
        f"load_definitions = {home / 'definitions.json'}\n"
        "vm_memory_high_watermark.absolute = 1GB\n"
        "disk_free_limit.absolute = 200MB\n"
        "log.console = true\n"  # into the fleet's log of this program
        "log.console.level = info\n"
        "log.file = false\n",
    )


def installed() -> bool:
    """Whether the broker and Erlang's tools are on this machine."""
    try:
        server_folder()
    except ProgramError:
        return False
    return shutil.which("epmd") is not None
