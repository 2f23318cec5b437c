"""Make this checkout ready: virtual environment, locked packages, our own members, and the message broker.

python3 scripts/setup.py        what running the platform needs
python3 scripts/setup.py --dev  also the tests, the linters, torch and openai-whisper

Standard library only, and safe to repeat: a stamp in .venv records what is done, so that a second run takes no time.
"""

from __future__ import annotations  # an old Python must be able to print our message about it

import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "verbatim-setup.json"
LOCK = ROOT / "requirements.lock"
OLDEST_PYTHON = (3, 11)
# Not in the lock: its CPU and CUDA builds differ, and the machine's package settings select one.
TORCH = "torch==2.13.0"
OLDEST_NODE = 20


def main() -> None:
    """Do every step that is not done yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="also what the tests and linters need")
    dev = parser.parse_args().dev
    if sys.version_info[:2] < OLDEST_PYTHON:
        fail(
            "Verbatim needs Python {}.{} or newer, and this is {}.{}: install one (Debian and Ubuntu: apt-get install "
            "python3.11 python3.11-venv) and name it with PYTHON=python3.11".format(
                *OLDEST_PYTHON, *sys.version_info[:2]
            )
        )
    began = time.monotonic()
    stamp = read_stamp()
    state = fingerprint()
    packages_done = stamp.get("dev" if dev else "runtime") == state and PYTHON.exists()
    with ThreadPoolExecutor(1) as beside:
        page = beside.submit(build_page, dev)
        if not packages_done:
            make_environment()
            install_packages(dev)
            write_stamp({"runtime": state, "dev": state if dev else stamp.get("dev", "")})
        install_broker()
        if dev:
            install_walk_tools()
        page.result()
    if time.monotonic() - began > 1.0:
        say(f"Ready after {time.monotonic() - began:.0f} s.")


# -- Python ------------------------------------------------------------------------------------------------------------


def make_environment() -> None:
    """Create .venv, unless a working one is there."""
    works = [str(PYTHON), "-c", f"import pip, sys; sys.exit(sys.version_info[:2] < {OLDEST_PYTHON!r})"]
    if PYTHON.exists() and quiet(works) == 0:
        return
    if importlib.util.find_spec("ensurepip") is None:  # Debian and Ubuntu ship it separately
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        if not apt_install([package]):
            fail(f"Python cannot make virtual environments here: install {package} and run this again")
    say("Making .venv …")
    shutil.rmtree(VENV, ignore_errors=True)
    run([sys.executable, "-m", "venv", str(VENV)])


def install_packages(dev: bool) -> None:
    """Install the lock's sections, torch where the tests need it, and the members themselves."""
    say("Installing the locked packages …")
    with ThreadPoolExecutor(1) as beside:
        if dev:
            say(f"Installing {TORCH} (as this machine's package settings choose it) …")
            torch = beside.submit(pip, "install", "--no-deps", TORCH)
        pip_locked("runtime", *(["dev"] if dev else []))
        if dev:
            torch.result()
            pip("install", TORCH)  # and what this build of it needs that the lock does not have
            pip_locked("whisper", "--no-build-isolation")  # a source package: it is built with the locked setuptools
    members = [str(path.parent) for path in pyprojects()]
    # pip would compile on one core, and our own members not at all.
    sources = [str(VENV / "lib"), *(str(Path(member) / "src") for member in members)]
    quiet([str(PYTHON), "-m", "compileall", "-qq", "-j", "0", *sources])
    say("Installing our own members …")
    pip("install", "--no-deps", "--no-build-isolation", *(part for member in members for part in ("-e", member)))


def pip_locked(*selection: str) -> None:
    """Install sections of the lock (and pass options on), each file checked against its hash.

    Without dependencies: the lock is complete, and what pip would add could not be checked.
    """
    names = [part for part in selection if not part.startswith("-")]
    options = [part for part in selection if part.startswith("-")]
    chosen = VENV / "locked-{}.txt".format("-".join(names))
    chosen.write_text("\n".join(section(name) for name in names))
    pip("install", "--no-deps", "--require-hashes", *options, "-r", str(chosen))


def section(name: str) -> str:
    """The requirements of one section of the lock."""
    _, _, rest = LOCK.read_text().partition(f"\n# [{name}]\n")
    return rest.partition("\n# [")[0]


def pip(command: str, *arguments: str) -> None:
    """Run the environment's pip."""
    options = ["--disable-pip-version-check", "--no-input", command, "-qq", "--no-compile"]
    run([str(PYTHON), "-m", "pip", *options, *arguments])


def pyprojects() -> list[Path]:
    """The members' pyproject.toml files."""
    patterns = ("libs/*", "services/*", "models", "deploy/native")
    return sorted(path for pattern in patterns for path in ROOT.glob(f"{pattern}/pyproject.toml"))


# -- the message broker ------------------------------------------------------------------------------------------------


def install_broker() -> None:
    """Install RabbitMQ from the system's packages when it is missing and this is allowed."""
    if broker_is_here():
        return
    say("Installing the message broker (rabbitmq-server) …")
    if not apt_install(["rabbitmq-server"]):
        fail(
            "RabbitMQ is missing and cannot be installed from here: install the package rabbitmq-server "
            "(Debian and Ubuntu: sudo apt-get install --no-install-recommends rabbitmq-server) and run this again"
        )
    # The package arranges a start at the next boot. Ours is a node of its own; the system's stays unstarted.
    if shutil.which("systemctl"):
        quiet([*(as_root() or []), "systemctl", "disable", "rabbitmq-server.service"])


def install_walk_tools() -> None:
    """Install the programs of docs/api-walkthrough.sh, which the tests execute."""
    missing = [tool for tool in ("curl", "jq") if shutil.which(tool) is None]
    if missing and not apt_install(missing):
        fail(
            "The tests need {} and may not install it: apt-get install {}".format(
                " and ".join(missing), " ".join(missing)
            )
        )


def broker_is_here() -> bool:
    """Whether a RabbitMQ is installed, or named by the person."""
    return "RABBITMQ_BIN" in os.environ or any(Path("/usr/lib/rabbitmq").glob("**/rabbitmq-server"))


# Packages may start the services that they install. policy-rc.d is Debian's way to forbid it; a policy that forbids it
# already is kept, and one that allows it is restored afterwards.
APT_SCRIPT = r"""
set -e
policy=/usr/sbin/policy-rc.d
saved=$policy.verbatim
restore() { rm -f "$policy"; if [ -e "$saved" ]; then mv "$saved" "$policy"; fi; }
if [ -x "$policy" ] && { "$policy" rabbitmq-server start >/dev/null 2>&1; [ $? -eq 101 ]; }; then :; else
    trap restore EXIT
    if [ -e "$policy" ]; then mv "$policy" "$saved"; fi
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || true
apt-get install -y -qq --no-install-recommends "$@"
"""


def apt_install(packages: Sequence[str]) -> bool:
    """Install system packages without starting any service; False when there is no apt or no permission."""
    prefix = as_root()
    if shutil.which("apt-get") is None or prefix is None:
        return False
    command = [*prefix, "sh", "-c", APT_SCRIPT, "sh", *packages]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode(errors="replace")[-2000:])
    return done.returncode == 0


def as_root() -> list[str] | None:
    """The prefix of a command that needs root; None when this user cannot become root without a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and quiet(["sudo", "-n", "true"]) == 0:
        return ["sudo", "-n"]
    return None


# -- the web page ------------------------------------------------------------------------------------------------------


def build_page(dev: bool) -> None:
    """Build the web page when Node.js is here and the page's sources changed; without it the API serves alone.

    A page that cannot be built is an error where the tests are set up, and costs the page elsewhere.
    """
    web = ROOT / "web"
    if not (web / "package-lock.json").exists():
        return
    state = digest(path for path in web.rglob("*") if path.is_file() and not {"node_modules", "dist"} & set(path.parts))
    stamp = web / "dist" / ".built-from"
    if stamp.exists() and stamp.read_text() == state:
        return
    if not has_node():
        say(f"No Node.js {OLDEST_NODE} here: the web page is not built, the API serves alone.")
        return
    say("Building the web page …")
    for command in (["npm", "ci", "--no-audit", "--no-fund", "--silent"], ["npm", "run", "build", "--silent"]):
        done = subprocess.run(command, cwd=web, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            sys.stderr.write(done.stdout.decode(errors="replace")[-2000:])
            if dev:
                fail(f"the web page cannot be built: `{' '.join(command)}` in {web} failed, see above")
            say("The web page could not be built; the API serves alone.")
            return
    stamp.write_text(state)


def has_node() -> bool:
    """Whether npm and a recent enough Node.js are here."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        return False
    version = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    return int(version.lstrip("v").split(".")[0]) >= OLDEST_NODE


# -- what is done already ----------------------------------------------------------------------------------------------


def fingerprint() -> str:
    """Changes whenever the packages must be installed again."""
    return digest([LOCK, Path(__file__).resolve(), *pyprojects()])


def digest(paths: Iterable[Path]) -> str:
    """One hash over names and contents."""
    total = hashlib.sha256("{}.{}".format(*sys.version_info[:2]).encode())
    for path in sorted(paths):
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def read_stamp() -> dict[str, str]:
    """What earlier runs did."""
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads(STAMP.read_text()))
    return {}


def write_stamp(content: dict[str, str]) -> None:
    """Remember what this run did."""
    STAMP.write_text(json.dumps(content))


# -- output ------------------------------------------------------------------------------------------------------------


def run(command: Sequence[str]) -> None:
    """Run a command and show its output; exit with a message when it fails."""
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        fail("this command failed: {}".format(" ".join(command[:6])))


def quiet(command: Sequence[str]) -> int:
    """The exit status of a command whose output is discarded."""
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode


def say(text: str) -> None:
    """Print one line."""
    print(text, flush=True)


def fail(sentence: str) -> NoReturn:
    """End with one sentence and exit status 1."""
    sys.exit(f"setup: {sentence}.")


if __name__ == "__main__":
    main()
