"""Byte ranges (RFC 9110)."""

import pytest

from gateway.files.ranges import RangeNotSatisfiable, Span, span_of

SIZE = 100


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-", Span(0, 100)),
        ("bytes=99-", Span(99, 1)),
        ("bytes=10-19", Span(10, 10)),
        ("bytes=90-1000", Span(90, 10)),
        ("bytes=-1", Span(99, 1)),
        ("bytes=-1000", Span(0, 100)),
        ("Bytes = 5-6", Span(5, 2)),
    ],
)
def test_range_is_limited_to_the_file(header: str, span: Span) -> None:
    assert span_of(header, SIZE) == span


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=5-4",
        "items=0-1",
        "bytes=0-1,5-6",
        "bytes=" + "9" * 30,
    ],
)
def test_several_and_invalid_ranges_return_the_whole_file(header: str | None) -> None:
    assert span_of(header, SIZE) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=200-300", "bytes=-0"])
def test_range_after_the_end_is_refused_with_the_size(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as refused:
        span_of(header, SIZE)
    assert refused.value.headers["Content-Range"] == "bytes */100"


def test_an_empty_file_has_no_ranges() -> None:
    with pytest.raises(RangeNotSatisfiable):
        span_of("bytes=0-", 0)
    assert span_of(None, 0) is None
