#!/usr/bin/env python3
"""Fails on a credential, on a path of the machine the file was written on, and on top-level files that do not belong there."""
import re
import subprocess
import sys
from pathlib import Path

SECRETS = re.compile(
    r"sk-ant-[A-Za-z0-9_-]{24,}|sk-proj-[A-Za-z0-9_-]{24,}|sk-[A-Za-z0-9]{40,}|AIza[0-9A-Za-z_-]{35}|gsk_[A-Za-z0-9]{40,}"
    r"|ghp_[A-Za-z0-9]{36}|AKIA[0-9A-Z]{16}|-----BEGIN (RSA |EC |OPENSSH |)PRIVATE KEY-----")
# Absolute paths of one developer's machine.
MACHINE = re.compile(r"(?<![\w./])/(work|root)/")
TOP_LEVEL = {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md", "engine", "scripts", "rules", "config", "tests",
             "examples", "docs"}


def tracked(source):
    listed = subprocess.run(["git", "-C", str(source), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=False)
    if listed.returncode == 0:
        return [source / name for name in listed.stdout.decode().split("\0") if name]
    return [p for p in source.rglob("*") if p.is_file() and not {"build", "node_modules", ".git"} & set(p.parts)]


def main():
    source = Path(sys.argv[1])
    me = Path(__file__).resolve()
    problems = []
    for path in sorted(tracked(source)):
        name = path.relative_to(source).as_posix()
        top = name.split("/")[0]
        if top not in TOP_LEVEL and not top.startswith("."):
            problems.append(f"{name}:1: nothing but the agreed folders stands at the top level")
        if not path.is_file() or path.resolve() == me:
            continue
        recorded = name.startswith(("tests/golden/", "tests/fuzz/corpus/", "tests/fixtures/"))
        for number, line in enumerate(path.read_bytes().decode("utf-8", "replace").split("\n"), 1):
            test_key = "PRIVATE KEY" in line and name.startswith("tests/")
            if SECRETS.search(line) and not test_key:
                problems.append(f"{name}:{number}: looks like a credential")
            if MACHINE.search(line) and not recorded:
                problems.append(f"{name}:{number}: a path of one machine")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
