"""Wrap the paragraphs and list items of Markdown files that have a line of more than 120 columns.

python scripts/wrap_markdown.py [FILE …]   these files, or all Markdown files of the repository

Tables, code, headings, and blocks that programs write (`<!-- name:begin -->` to `<!-- name:end -->`) stay as they are.
`tests/contract/test_documents.py` checks the width.
"""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 120
ITEM = re.compile(r"(\s*)((?:[-*]|\d+\.)\s+)?")
KEPT = ("|", "#", "<!--")
# Spaces where a line must not break: in code, in the text of links, and before what would begin a list or a heading.
UNBREAKABLE = re.compile(r"`[^`]*`|\[[^\]]*\]\(| (?=(?:\d+[.)]|[-*+>]|#+)(?: |$))")


def wrap(block: list[str]) -> list[str]:
    """The lines of one paragraph or list item, wrapped."""
    start = ITEM.match(block[0])
    assert start is not None
    indent, mark = start[1], start[2] or ""
    text = " ".join([block[0][start.end() :].strip(), *(line.strip() for line in block[1:])])
    text = UNBREAKABLE.sub(lambda found: found[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent + mark,
        subsequent_indent=indent + " " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in lines]


def wrapped(text: str) -> str:
    """The text of a whole file, with every block wrapped that has a long line."""
    result: list[str] = []
    block: list[str] = []
    code = generated = False
    for line in [*text.split("\n"), ""]:
        fence = line.lstrip().startswith("```")
        if line.startswith("<!-- ") and line.endswith((":begin -->", ":end -->")):
            generated = line.endswith(":begin -->")
        apart = code or fence or generated or not line.strip() or line.lstrip().startswith(KEPT)
        if block and (apart or re.match(r"\s*(?:[-*]|\d+\.)\s", line)):
            result += wrap(block) if any(len(each) > WIDTH for each in block) else block
            block = []
        if apart:
            result.append(line)
        else:
            block.append(line)
        code ^= fence
    return "\n".join(result[:-1])


def main(arguments: list[str]) -> None:
    """Wrap the files."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in map(Path, arguments or [str(ROOT / name) for name in listed.stdout.splitlines()]):
        before = path.read_text(encoding="utf-8")
        if (after := wrapped(before)) != before:
            path.write_text(after, encoding="utf-8")
            print(f"wrapped {path}")


if __name__ == "__main__":
    main(sys.argv[1:])
