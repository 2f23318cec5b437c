"""The supervisor with tiny real children: order, restarts, and an end that leaves nothing behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.testing import eventually, eventually_blocking
from common.web.server import EXIT_RESTART, EXIT_SHUTDOWN
from native.programs import Program, ProgramError
from native.state import StateFolder
from native.supervisor import ENDED_FOR_GOOD, ENDED_TO_RESTART, Phase, Supervisor

from .native_children import child, notes


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFolder]:
    folder = StateFolder(tmp_path / "state")
    yield folder
    assert not folder.leftovers()


@asynccontextmanager
async def running(state: StateFolder, *programs: Program, said: list[str] | None = None) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(
        state, programs, lambda name, text: (said if said is not None else []).append(f"{name} {text}")
    )
    try:
        await supervisor.start()
        yield supervisor
    finally:
        await supervisor.stop()


async def test_programs_start_after_what_they_need_and_stop_before_it(state: StateFolder) -> None:
    rows = [child(state, "top", needs=("middle",)), child(state, "middle", needs=("base",)), child(state, "base")]
    async with running(state, *rows):
        assert notes(state) == ["base started", "middle started", "top started"]
    assert notes(state)[3:] == ["top stopped", "middle stopped", "base stopped"]


async def test_a_program_does_not_wait_for_what_it_merely_asks_but_stops_before_it(state: StateFolder) -> None:
    slow = child(state, "slow", "time.sleep(0.5); stay()")
    async with running(state, slow, child(state, "door", asks=("slow",))):
        assert notes(state) == ["door started", "slow started"]
    assert notes(state)[2:] == ["door stopped", "slow stopped"]


async def test_a_task_must_succeed_before_its_dependents_start(state: StateFolder) -> None:
    task = child(state, "task", "note('worked')", ready=None)
    async with running(state, child(state, "server", needs=("task",)), task) as supervisor:
        assert notes(state) == ["task worked", "server started"]
        assert supervisor.run_of("task").phase is Phase.DONE


async def test_a_failing_task_ends_the_start_and_shows_its_last_output(state: StateFolder) -> None:
    task = child(state, "task", "sys.exit('the schema is odd')", ready=None)
    with pytest.raises(ProgramError, match=r"task ended with status 1 while starting\. .*the schema is odd"):
        async with running(state, task, child(state, "server", needs=("task",))):
            pass
    assert notes(state) == []


async def test_refused_settings_are_not_tried_again(state: StateFolder) -> None:
    with pytest.raises(ProgramError, match="SECRET_KEY is required"):
        async with running(state, child(state, "auth", "note('tried'); print('SECRET_KEY is required'); sys.exit(2)")):
            pass
    assert notes(state) == ["auth tried"]


async def test_a_program_that_never_becomes_ready_is_given_up(state: StateFolder) -> None:
    async def symptom() -> str:
        return "failing: broker"

    with pytest.raises(ProgramError, match=r"mute was not ready after 0\.3 s \(failing: broker\)"):
        async with running(state, child(state, "mute", "time.sleep(60)", start_seconds=0.3, symptom=symptom)):
            pass


async def test_a_killed_program_is_started_again(state: StateFolder) -> None:
    said: list[str] = []
    async with running(state, child(state, "worker"), said=said) as supervisor:
        first = supervisor.run_of("worker").pid
        await supervisor.kill("worker", signal.SIGKILL, hold=False)
        await supervisor.wait_ready("worker")
        assert supervisor.run_of("worker").pid != first
        assert supervisor.run_of("worker").restarts == 1
    assert "worker was ended by SIGKILL; starting it again in 0.5 s" in said


async def test_a_held_program_stays_down_until_it_is_started(state: StateFolder) -> None:
    async with running(state, child(state, "worker")) as supervisor:
        await supervisor.kill("worker", signal.SIGKILL, hold=True)
        await eventually(lambda: supervisor.run_of("worker").phase is Phase.HELD)
        await supervisor.start_one("worker")
        assert supervisor.run_of("worker").phase is Phase.READY
        await supervisor.stop_one("worker")
        assert notes(state)[-1] == "worker stopped"
        assert supervisor.run_of("worker").pid is None


async def test_a_kill_reaches_the_children_of_a_wrapper(state: StateFolder) -> None:
    script = "import subprocess; subprocess.Popen(['sleep', '600']); stay()"
    async with running(state, child(state, "wrapper", script)) as supervisor:
        assert len(state.leftovers()) == 2
        await supervisor.kill("wrapper", signal.SIGKILL, hold=True)
        await eventually(lambda: not state.leftovers())


async def test_a_program_that_ignores_the_signal_is_killed_after_its_time(state: StateFolder) -> None:
    script = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(600)"
    said: list[str] = []
    async with running(state, child(state, "stubborn", script, stop_seconds=0.3), said=said):
        pass
    assert "stubborn did not stop within 0.3 s, killed" in said


async def test_provisioning_is_repeated_until_it_works(state: StateFolder) -> None:
    tries: list[int] = []

    async def provision() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("not yet")

    async with running(state, child(state, "database", provision=provision)):
        assert len(tries) == 3


async def test_stopping_in_the_middle_of_the_start_leaves_nothing(state: StateFolder) -> None:
    supervisor = Supervisor(state, [child(state, "slow", "time.sleep(60)")], lambda *_: None)
    starting = asyncio.create_task(supervisor.start())
    await eventually(lambda: supervisor.run_of("slow").pid is not None)
    starting.cancel()
    await asyncio.wait([starting])
    await supervisor.stop()


async def test_a_port_taken_by_another_program_is_named(state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("native.supervisor.PORT_RELEASE_SECONDS", 0.2)
    foreign = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = foreign.sockets[0].getsockname()[1]
    async with foreign:
        with pytest.raises(ProgramError, match=f"port {port} is used by another program"):
            async with running(state, child(state, "web", ports={"http": port})):
                pass


def test_a_cycle_of_needs_is_refused(state: StateFolder) -> None:
    rows = [child(state, "hen", needs=("egg",)), child(state, "egg", needs=("hen",))]
    with pytest.raises(ProgramError, match="circle"):
        Supervisor(state, rows, lambda *_: None)


def test_a_need_without_a_row_is_refused(state: StateFolder) -> None:
    with pytest.raises(ProgramError, match="web needs cache: no such row"):
        Supervisor(state, [child(state, "web", needs=("cache",))], lambda *_: None)


def test_nothing_survives_the_supervisor_being_killed(state: StateFolder) -> None:
    script = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from native_children import child
from native.state import StateFolder
from native.supervisor import Supervisor
async def main():
    state = StateFolder(__import__("pathlib").Path({str(state.path)!r}))
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(600)"
    await Supervisor(state, [child(state, "one"), child(state, "deaf", deaf)], lambda *_: None).start()
    print("ready", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == b"ready\n"
        assert len(state.leftovers()) == 2
        os.kill(supervisor.pid, signal.SIGKILL)
    eventually_blocking(lambda: not state.leftovers())


async def test_a_task_with_nothing_to_do_is_not_started(state: StateFolder) -> None:
    async def settled() -> bool:
        return True

    task = child(state, "task", "note('worked')", ready=None, settled=settled)
    async with running(state, task, child(state, "server", needs=("task",))):
        assert notes(state) == ["server started"]


async def test_a_service_that_requests_a_restart_starts_at_once_and_one_ended_on_request_stays_down(
    state: StateFolder,
) -> None:
    again = "ready(); note('up'); time.sleep(0.3); sys.exit(75) if not os.path.exists(MARK) else time.sleep(600)"
    mark = state.folder("children") / "second-life"
    again = again.replace("sys.exit(75) if", f"(open({str(mark)!r}, 'a').write('x'), sys.exit(75)) if").replace(
        "MARK", repr(str(mark))
    )
    rows = [
        child(state, "server"),
        child(state, "restarts", again, obeys=True),
        child(state, "ends", "ready(); time.sleep(0.5); sys.exit(0)", obeys=True),
    ]
    async with running(state, *rows) as supervisor:
        await eventually(lambda: supervisor.run_of("ends").phase is Phase.STOPPED)
        await eventually(lambda: supervisor.run_of("restarts").restarts == 1)
        await supervisor.wait_ready("restarts")
        assert notes(state).count("restarts up") == 2


async def test_the_watch_ends_when_all_services_ended_on_request(state: StateFolder) -> None:
    rows = [child(state, "server"), child(state, "ends", "ready(); time.sleep(0.3); sys.exit(0)", obeys=True)]
    async with running(state, *rows) as supervisor:
        await asyncio.wait_for(supervisor.watch(), 10)
        assert supervisor.run_of("server").phase is Phase.READY


async def test_a_service_that_the_supervisor_itself_signalled_starts_again(state: StateFolder) -> None:
    async with running(state, child(state, "service", obeys=True)) as supervisor:
        await supervisor.kill("service", signal.SIGTERM, hold=False)
        await eventually(lambda: notes(state).count("service started") == 2)


def test_the_exit_statuses_are_the_ones_that_services_end_with() -> None:
    assert (ENDED_FOR_GOOD, ENDED_TO_RESTART) == (EXIT_SHUTDOWN, EXIT_RESTART)
