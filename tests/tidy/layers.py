#!/usr/bin/env python3
"""Fails on an #include that engine/LAYERS does not allow, and on a library's header outside the one place that may know it."""
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# header pattern -> places (below engine/) that may include it
LIBRARIES = [
    (re.compile(r"^(uv\.h|uv/)"), ["async/"]),
    (re.compile(r"^openssl/"), ["async/", "core/digest.cc", "core/ed25519.cc", "core/hmac.cc"]),
    (re.compile(r"^simdjson"), ["core/json_index.cc"]),
    (re.compile(r"^sqlite3"), ["ledger/"]),
    (re.compile(r"^(lua|lauxlib|lualib|luajit)"), ["rules/"]),
    (re.compile(r"^spdlog/"), ["core/log.cc"]),
    (re.compile(r"^xxh"), ["core/digest.cc"]),
    (re.compile(r"^llhttp"), ["http/"]),
    (re.compile(r"^archive"), ["packs/archive.cc"]),
]


def read_layers(path):
    layers = {}
    for line in path.read_text().splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        module, _, allowed = line.partition(":")
        layers[module.strip()] = set(allowed.split()) | {module.strip(), "core"}
    return layers


def main():
    source = Path(sys.argv[1])
    engine = source / "engine"
    layers = read_layers(engine / "LAYERS")
    problems = []
    for module, allowed in layers.items():
        for used in allowed - set(layers):
            problems.append(f"engine/LAYERS: {module} may include {used}, which is no module")
    for path in sorted(list(engine.rglob("*.cc")) + list(engine.rglob("*.h"))):
        name = path.relative_to(engine).as_posix()
        module = name.split("/")[0] if "/" in name else None
        if module is not None and module not in layers:
            problems.append(f"engine/{name}:1: the folder '{module}' is not in engine/LAYERS")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            kind, header = found.groups()
            place = f"engine/{name}:{number}"
            for pattern, places in LIBRARIES:
                if pattern.match(header) and not any(name == p or (p.endswith("/") and name.startswith(p)) for p in places):
                    problems.append(f"{place}: <{header}> may only be included in {', '.join(places)}")
            if kind == "<":
                continue
            if not (engine / header).is_file():
                problems.append(f'{place}: "{header}" is not a path below engine/')
                continue
            used = header.split("/")[0]
            if module is not None and used not in layers[module]:
                problems.append(f"{place}: {module} may not include {used} (engine/LAYERS)")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
