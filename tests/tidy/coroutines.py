#!/usr/bin/env python3
"""Fails on what g++ 12.2 miscompiles: braces, a capturing lambda or a statement expression inside a co_await expression."""
import re
import sys
from pathlib import Path


def without_comments_and_strings(text):
    """Same length and lines; comments, strings and character literals become blanks."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def expression_after(text, start):
    """Text of the expression that begins at `start`: up to the ; , or closing bracket that ends it."""
    depth = 0
    for i in range(start, len(text)):
        c = text[i]
        if c in "([{":
            if c == "{" and depth == 0:
                return text[start:i]  # the body of an `if (co_await x) {`
            depth += 1
        elif c in ")]}":
            if depth == 0:
                return text[start:i]
            depth -= 1
        elif c in ";," and depth == 0:
            return text[start:i]
    return text[start:]


def main():
    source = Path(sys.argv[1])
    problems = []
    files = [p for folder in ("engine", "tests") for suffix in ("*.cc", "*.h") for p in (source / folder).rglob(suffix)]
    for path in sorted(files):
        name = path.relative_to(source).as_posix()
        if name == "tests/unit/async/compiler_quirks_test.cc":
            continue  # holds the miscompiled forms on purpose
        text = without_comments_and_strings(path.read_text())
        for found in re.finditer(r"\bco_await\b", text):
            line = text.count("\n", 0, found.start()) + 1
            expression = expression_after(text, found.end())
            if re.search(r"\[[^\]]+\]\s*(\([^)]*\)\s*)?(mutable\s*)?(noexcept\s*)?(->[^{]*)?\{", expression):
                problems.append(f"{name}:{line}: a capturing lambda inside co_await: name it first (g++ 12 frees it twice)")
            elif re.search(r"\(\{", expression):
                problems.append(f"{name}:{line}: braces inside co_await: name the object first (g++ 12 frees it twice)")
            elif "{" in expression:
                problems.append(f"{name}:{line}: braces inside co_await: name the object first (g++ 12 frees it twice)")
        for found in re.finditer(r"\(\{(?:(?!\}\)).)*?\bco_await\b", text, re.S):
            line = text.count("\n", 0, found.start()) + 1
            if not re.search(r"[=,(]\s*\(\{", text[max(0, found.start() - 3):found.start() + 2]):
                continue
            problems.append(f"{name}:{line}: co_await inside a statement expression (g++ 12 crashes)")
        # A lambda that is a coroutine and captures: its captures die with the lambda, before the frame. (Tests keep their
        # handlers alive in a world that outlives every frame.)
        for found in [] if name.startswith("tests/") else re.finditer(r"\[([^\]\n]+)\]\s*\([^)]*\)\s*(?:mutable\s*)?->\s*(?:ccrules::)?Task<", text):
            line = text.count("\n", 0, found.start()) + 1
            problems.append(f"{name}:{line}: a coroutine lambda captures [{found.group(1)}]: pass parameters instead")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
