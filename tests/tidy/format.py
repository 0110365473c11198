#!/usr/bin/env python3
"""Fails on tabs, blanks at line ends, a missing last newline and over-long lines: what is cheap to check everywhere.

Layout is clang-format's business: scripts/format mends it."""
import re
import subprocess
import sys
from pathlib import Path

LONGEST = {".cc": 140, ".h": 140, ".lua": 140, ".py": 140, ".cmake": 170}
LONG_TEXT = re.compile(r'"[^"]{50,}"|R"\w*\(.{50,}')
TABS_ALLOWED = {".S"}


def tracked(source):
    listed = subprocess.run(["git", "-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=False)
    if listed.returncode == 0:
        return [source / name for name in listed.stdout.decode().split("\0") if name]
    return [p for p in source.rglob("*") if p.is_file() and not {"build", "node_modules", ".git"} & set(p.parts)]


def main():
    source = Path(sys.argv[1])
    problems = []
    for path in sorted(tracked(source)):
        name = path.relative_to(source).as_posix()
        code = path.suffix in LONGEST or name.startswith(("scripts/", ".ci/"))
        if not code or not path.is_file() or name.startswith(("tests/golden/", "tests/fuzz/corpus/")):
            continue
        text = path.read_text(errors="replace")
        longest = 200 if name.startswith("tests/") else LONGEST.get(path.suffix, 160)  # tests hold other languages in strings
        if text and not text.endswith("\n"):
            problems.append(f"{name}:{text.count(chr(10)) + 1}: the last line has no newline")
        for number, line in enumerate(text.split("\n"), 1):
            if "\t" in line and path.suffix not in TABS_ALLOWED:
                problems.append(f"{name}:{number}: a tab")
            if line != line.rstrip():
                problems.append(f"{name}:{number}: blanks at the end of the line")
            if len(line) > longest and not LONG_TEXT.search(line):  # a text need not be cut
                problems.append(f"{name}:{number}: {len(line)} columns, at most {longest}")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
