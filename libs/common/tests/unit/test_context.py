"""The context of a piece of work: bound for a block, inherited by tasks and threads, tame."""

import asyncio
import re
from uuid import uuid4

import pytest

from common import context

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_nothing_is_bound_outside() -> None:
    assert (context.correlation_id(), context.traceparent(), context.job_id()) == (None, None, None)


def test_values_are_bound_for_the_block_and_restored_after_it() -> None:
    job = uuid4()
    with context.bound(correlation_id="outer", traceparent=PARENT):
        with context.bound(correlation_id="inner", job_id=job):
            assert (context.correlation_id(), context.traceparent()) == ("inner", PARENT)
            assert context.job_id() == str(job)
        assert (context.correlation_id(), context.job_id()) == ("outer", None)
    assert context.correlation_id() is None


def test_a_missing_correlation_id_is_generated_once() -> None:
    with context.bound(job_id="j"):
        generated = context.correlation_id()
        assert generated is not None
        assert re.fullmatch("[0-9a-f]{32}", generated)
        with context.bound():
            assert context.correlation_id() == generated


def test_values_are_restored_when_the_block_raises() -> None:
    with pytest.raises(KeyError), context.bound(job_id="j"):
        raise KeyError
    assert context.job_id() is None


async def test_tasks_and_threads_inherit_and_neighbours_do_not_mix() -> None:
    async def work(name: str) -> tuple[str | None, str | None]:
        with context.bound(job_id=name):
            await asyncio.sleep(0)
            return context.job_id(), await asyncio.to_thread(context.job_id)

    first, second = await asyncio.gather(work("a"), work("b"))
    assert first == ("a", "a")
    assert second == ("b", "b")


def test_a_child_stays_in_the_trace_with_a_span_of_its_own() -> None:
    child = context.child_traceparent(PARENT)
    assert re.fullmatch("00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01", child)
    assert child != PARENT
    assert context.child_traceparent(PARENT) != child


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        "nonsense",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        PARENT + "-extra",
        PARENT + "\n",
    ],
)
def test_without_a_valid_parent_a_new_trace_begins(parent: str | None) -> None:
    assert context.trace_id(parent) is None
    child = context.child_traceparent(parent)
    assert context.trace_id(child) is not None
    assert context.trace_id(child) != context.trace_id(context.child_traceparent(parent))


def test_a_parent_of_a_later_version_is_continued() -> None:
    assert context.trace_id("01-" + PARENT[3:] + "-what.the-future-brings") == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize("value", ["a", "3fd0c1c2-2c07-4f4e-a1a9-1c2d3e4f5a6b", "Root=1-678/ab:c_d.e+f", "x" * 128])
def test_tame_ids_are_taken_over(value: str) -> None:
    assert context.sane_id(value) == value


@pytest.mark.parametrize("value", [None, "", "x" * 129, "a b", "a\n", "ä", "<script>", "a\x00"])
def test_wild_ids_are_not(value: str | None) -> None:
    assert context.sane_id(value) is None
