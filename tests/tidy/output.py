#!/usr/bin/env python3
"""Fails on output that does not go through core/log or a command's Io."""
import re
import sys
from pathlib import Path

STDOUT = re.compile(r"std::cout|\bputs\s*\(|(?<![a-z_])printf\s*\(|fprintf\s*\(\s*stdout")
STDERR = re.compile(r"std::cerr|std::clog|fprintf\s*\(\s*stderr|\bperror\s*\(")
# Before the log exists, and after the program is known to be broken.
STDERR_ALLOWED = {"core/assert.cc", "core/log.cc"}


def main():
    engine = Path(sys.argv[1]) / "engine"
    problems = []
    for path in sorted(list(engine.rglob("*.cc")) + list(engine.rglob("*.h"))):
        name = path.relative_to(engine).as_posix()
        if name.startswith("cli/") or "/generate/" in name:  # a program that runs while building
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.split("//")[0]
            if STDOUT.search(code):
                problems.append(f"engine/{name}:{number}: only cli/ writes to stdout")
            if STDERR.search(code) and name not in STDERR_ALLOWED:
                problems.append(f"engine/{name}:{number}: write to core/log.h instead of stderr")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
