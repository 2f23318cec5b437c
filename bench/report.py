"""Write results into docs/performance.md, each benchmark between its markers, with plots."""

import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"

_WIDTH, _LABEL, _BAR, _VALUE = 760, 300, 22, 90
_COLOURS = ("#4263a6", "#d98032", "#3f8f62", "#8a5aa8")


def write_section(name: str, markdown: str, *, page: Path = PAGE) -> None:
    """Replace the text between `<!-- name:begin -->` and `<!-- name:end -->`; append a new section.

    The rest of the page does not change, so that it can contain results of different machines.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    section = f"{begin}\n{markdown.strip()}\n{end}"
    text = page.read_text(encoding="utf-8") if page.is_file() else "# Performance\n"
    if begin in text:
        head, _, rest = text.partition(begin)
        text = head + section + rest.partition(end)[2]
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; every column but the first is aligned to the right."""
    rule = ["---", *["---:"] * (len(headers) - 1)]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in [headers, rule, *rows])


def provenance(command: str, packages: Sequence[str] = (), *, note: str = "") -> str:
    """Return the lines under a table: time, machine, versions, command and `BENCH_` variables."""
    load = os.getloadavg()[0]
    versions = ", ".join(f"{package} {_version(package)}" for package in packages)
    given = {name: value for name, value in sorted(os.environ.items()) if name.startswith("BENCH_")}
    # Without paths, which are of no use on other machines.
    chosen = [
        f"{name}={shlex.quote(value)}"
        for name, value in given.items()
        if "/" not in value and f"{name}=" not in command
    ]
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC at revision {_revision()} on {machine()}.",
        f"Load average at the end {load:.1f}.",
        f"Python {platform.python_version()}{', ' + versions if versions else ''}.",
        *([note] if note else []),
        f"Command: `{' '.join([*chosen, command])}`",
    ]
    return "\n".join(lines)


def machine() -> str:
    """Return the processor, its cores that this process may use, and the memory."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    names = re.findall(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = set(next(iter(re.findall(r"^flags\s*:\s*(.+)$", text, re.MULTILINE)), "").split())
    extras = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if flag in flags]
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{names[0] if names else platform.processor()} ({cores} cores, {' '.join(extras)}), {gigabytes:.0f} GiB"


def bars(name: str, title: str, unit: str, rows: Sequence[tuple[str, Sequence[float]]], series: Sequence[str]) -> str:
    """Draw horizontal bars (one per series in each row) to docs/performance/NAME.svg; return Markdown showing it.

    Plain SVG written here: a plotting library is not worth a dependency for bars.
    """
    top = 60 if len(series) > 1 else 40
    highest = max((value for _, values in rows for value in values), default=1.0) or 1.0
    scale = (_WIDTH - _LABEL - _VALUE) / highest
    row_height = _BAR * len(series) + 10
    height = top + row_height * len(rows) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="24" font-size="16" fill="#222222">{escape(title)}</text>',
    ]
    for index, label in enumerate(series if len(series) > 1 else ()):
        x = 10 + index * 240
        parts.append(f'<rect x="{x}" y="36" width="12" height="12" fill="{_COLOURS[index % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{x + 18}" y="47" font-size="12" fill="#222222">{escape(label)}</text>')
    for position, (label, values) in enumerate(rows):
        y = top + position * row_height
        middle = y + _BAR * len(series) / 2 + 4
        parts.append(f'<text x="10" y="{middle:.0f}" font-size="13" fill="#222222">{escape(label)}</text>')
        for index, value in enumerate(values):
            colour, width, bar = _COLOURS[index % len(_COLOURS)], value * scale, y + index * _BAR
            parts.append(f'<rect x="{_LABEL}" y="{bar}" width="{width:.1f}" height="{_BAR - 4}" fill="{colour}"/>')
            parts.append(
                f'<text x="{_LABEL + width + 6:.1f}" y="{bar + 14}" font-size="12" fill="#222222">'
                f"{value:.4g} {escape(unit)}</text>"
            )
    parts.append("</svg>\n")
    PLOTS.mkdir(parents=True, exist_ok=True)
    (PLOTS / f"{name}.svg").write_text("\n".join(parts), encoding="utf-8")
    return f"![{title}](performance/{name}.svg)"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _revision() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
