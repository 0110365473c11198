#!/usr/bin/env python3
"""Fails on a note-to-self without an issue number, and on a test that is switched off without a reason."""
import re
import sys
from pathlib import Path

NOTE = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")
SKIPPED = re.compile(r"\[!hide\]|\[\.\]|\[!mayfail\]|\bit\.skip\b|@unittest\.skip\b")
FOLDERS = ["engine", "tests", "rules", "config", "scripts", "examples", "docs"]
SUFFIXES = {".cc", ".h", ".lua", ".py", ".js", ".mjs", ".ts", ".sh", ".cmake", ".txt", ".md", ".sql", ""}


def main():
    source = Path(sys.argv[1])
    me = Path(__file__).resolve()
    problems = []
    for folder in FOLDERS:
        for path in sorted((source / folder).rglob("*")):
            if not path.is_file() or path.suffix not in SUFFIXES or "node_modules" in path.parts or path.resolve() == me:
                continue
            if path.suffix == "" and folder != "scripts":
                continue
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                where = f"{path.relative_to(source).as_posix()}:{number}"
                if NOTE.search(line):
                    problems.append(f"{where}: a note needs an issue number: TODO(#12)")
                if folder == "tests" and SKIPPED.search(line):
                    problems.append(f"{where}: a test that is switched off tests nothing")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
