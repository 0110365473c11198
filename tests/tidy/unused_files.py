#!/usr/bin/env python3
"""Fails on a header nobody includes and on a source file no build target takes."""
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def main():
    source = Path(sys.argv[1])
    engine, tests = source / "engine", source / "tests"
    files = [p for folder in (engine, tests) for suffix in ("*.cc", "*.h") for p in folder.rglob(suffix)
             if "node_modules" not in p.parts]
    included = {}
    for path in files:
        for header in INCLUDE.findall(path.read_text()):
            included.setdefault(header, set()).add(path)
    problems = []
    modules = set(re.findall(r"^ccr_module\((\w+)", (engine / "CMakeLists.txt").read_text(), re.M))
    test_lists = (tests / "CMakeLists.txt").read_text()
    for path in sorted(files):
        name = path.relative_to(source).as_posix()
        if path.suffix == ".h":
            known_as = path.relative_to(engine if name.startswith("engine/") else tests).as_posix()
            users = included.get(known_as, set()) | (included.get(path.name, set()) if name.startswith("tests/") else set())
            if not users - {path}:
                problems.append(f"{name}:1: no file includes this header")
            continue
        parts = path.relative_to(source).parts
        if parts[0] == "engine":
            used = name == "engine/main.cc" or parts[1] in modules
        else:
            folder = "/".join(parts[1:-1])
            used = (folder.startswith("unit/") and len(parts) == 4) or re.search(rf"\b{re.escape(folder)}\b", test_lists)
        if not used:
            problems.append(f"{name}:1: no build target takes this file")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
