"""Documents: relative links lead to files, lines are wrapped, decision records have a date, a status and a row."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
DECISIONS = ROOT / "docs" / "decisions"
GENERATED = {"node_modules", ".venv", ".verbatim"}
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not GENERATED & set(path.relative_to(ROOT).parts))
RECORDS = sorted(DECISIONS.glob("[0-9]*.md"))
WIDTH = 120
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
CODE = re.compile(r"`[^`\n]*`")
HEADING = re.compile(r"#+ (.+)")
HEAD = re.compile(r"# (\d{4}): (.+)\n\nDate: (\d{4}-\d\d-\d\d)\. Status: (accepted|superseded)\b")


def named(path: Path) -> str:
    """The path from the root, as the name of a test case."""
    return str(path.relative_to(ROOT))


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines outside of code and of blocks that programs write."""
    code = generated = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("<!-- ") and line.endswith((":begin -->", ":end -->")):
            generated = line.endswith(":begin -->")
        if line.lstrip().startswith("```"):
            code = not code
        elif not code and not generated:
            yield number, line


def anchors(path: Path) -> set[str]:
    """The names under which the headings of a page can be linked."""
    headings = [found[1] for _, line in prose(path) if (found := HEADING.match(line))]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_relative_links_lead_to_files_and_headings(document: Path) -> None:
    text = "\n".join(line for _, line in prose(document))
    broken = []
    for link in LINK.findall(CODE.sub("", text)):
        if "://" in link or link.startswith("mailto:"):
            continue
        target, _, anchor = unquote(link).partition("#")
        path = (document.parent / target).resolve() if target else document
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_lines_are_wrapped(document: Path) -> None:
    """Tables, code, and words that cannot be wrapped (links) are exempt."""
    long = [
        number
        for number, line in prose(document)
        if len(line) > WIDTH and not line.lstrip().startswith("|") and " " in line.lstrip("-*> ").strip()[:WIDTH]
    ]
    assert not long, f"longer than {WIDTH} columns: lines {long}"


@pytest.mark.parametrize("record", RECORDS, ids=named)
def test_decision_record_has_date_and_status_and_stands_in_the_index(record: Path) -> None:
    head = HEAD.match(record.read_text(encoding="utf-8"))
    assert head, "it begins with '# NNNN: title', an empty line, and 'Date: YYYY-MM-DD. Status: accepted…'"
    number, title, date, _ = head.groups()
    assert record.name.startswith(f"{number}-")
    row = f"| [{number}]({record.name}) | {title} | {date} |"
    assert row in (DECISIONS / "README.md").read_text(encoding="utf-8"), f"the index lacks: {row}"


def test_numbers_of_decisions_are_used_once() -> None:
    numbers = [record.name[:4] for record in RECORDS]
    assert len(numbers) == len(set(numbers))


def test_files_that_the_life_of_a_job_names_exist() -> None:
    """`jobs/states.py` is `services/jobs/src/jobs/states.py`, likewise of `common` and `models`."""
    page = (ROOT / "docs" / "life-of-a-job.md").read_text(encoding="utf-8")
    homes = [ROOT, *(ROOT / "services").glob("*/src"), ROOT / "libs/common/src", ROOT / "models/src"]
    missing = [
        name
        for name in re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", page)
        if not any((home / name).exists() for home in homes)
    ]
    assert not missing
