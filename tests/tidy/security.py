#!/usr/bin/env python3
"""Fails on a promise of docs/security.md without a test, and on a test that it names and that is not there (any more)."""
import re
import sys
from pathlib import Path

PROMISES = 34
CASE = re.compile(r'TEST_CASE\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)')
PIECE = re.compile(r'"((?:[^"\\]|\\.)*)"')
PROMISE = re.compile(r"^(\d+)\. ")
NAMED = re.compile(r"^\s*- `(\w+)`: (.+)$")
FILE = re.compile(r"^\s*- `([\w/]+\.\w+)`$")


def cases(tests):
    """What each test program has: tests/unit/http -> unit_http, tests/story -> story."""
    found = {}
    for path in tests.rglob("*.cc"):
        program = "_".join(path.relative_to(tests).parts[:-1])
        for text in CASE.findall(path.read_text()):
            found.setdefault(program, set()).add("".join(PIECE.findall(text)).replace('\\"', '"'))
    return found


def main():
    source = Path(sys.argv[1])
    found = cases(source / "tests")
    problems, proofs, promise = [], {}, 0
    for number, line in enumerate((source / "docs/security.md").read_text().splitlines(), 1):
        where = f"docs/security.md:{number}"
        if line.startswith("#"):
            promise = 0
        if match := PROMISE.match(line):
            promise = int(match.group(1))
            proofs.setdefault(promise, 0)
        if match := NAMED.match(line):
            program, name = match.groups()
            if name not in found.get(program, set()):
                problems.append(f"{where}: {program} has no test '{name}'")
        elif match := FILE.match(line):
            if not (source / match.group(1)).is_file():
                problems.append(f"{where}: there is no {match.group(1)}")
        else:
            if re.match(r"^\s+- ", line):
                problems.append(f"{where}: write - `program`: name of the test, or - `path/of/a/test.py`")
            continue
        if promise:
            proofs[promise] += 1
    for promise in range(1, PROMISES + 1):
        if not proofs.get(promise):
            problems.append(f"docs/security.md:1: promise {promise} names no test that shows it")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
