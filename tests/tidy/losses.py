#!/usr/bin/env python3
"""Keeps the tables of losses in docs/dialects/*.md as the code has them. With --write they are written anew.

A table lists what a dialect's own files and the shared ones that they include may note."""
import re
import sys
from pathlib import Path

DIALECTS = ["anthropic", "openai_chat", "openai_responses", "gemini", "ollama"]
BEGIN = "<!-- losses: made from the code by tests/tidy/losses.py --write -->"
END = "<!-- /losses -->"
CALL = re.compile(r"\bloss(?:es)?_?\.add\(")
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')


def arguments(code, at):
    """The arguments of the call whose opening bracket ends at `at`."""
    depth, found, text, quoted = 0, [], "", False
    while True:
        char = code[at]
        if char == '"' and code[at - 1] != "\\":
            quoted = not quoted
        if not quoted and char in "([{":
            depth += 1
        if not quoted and char in ")]}":
            if depth == 0:
                return found + [text.strip()]
            depth -= 1
        if not quoted and char == "," and depth == 0:
            found.append(text.strip())
            text = ""
        else:
            text += char
        at += 1


def words(expression, code):
    """What the expression may say: its literals, with "…" for what only a run knows."""
    inner = re.fullmatch(r"std::string\((\w+)\)", expression)
    name = inner.group(1) if inner else expression
    if re.fullmatch(r"\w+", name):
        made = re.search(rf"\b{name} = [^;]*\?([^;]*);", code)
        return " or ".join(LITERAL.findall(made.group(1))) if made else "…"
    if "?" in expression and " + " not in expression:
        return " or ".join(LITERAL.findall(expression.split("?", 1)[1]))
    pieces = []
    for part in re.split(r"\s\+\s", re.sub(r'"\s+"', "", expression)):
        literal = LITERAL.fullmatch(part.strip()) or re.fullmatch(r'std::string\("((?:[^"\\]|\\.)*)"\)', part.strip())
        pieces.append(literal.group(1).replace('\\"', '"') if literal else "…")
    return re.sub("…+", "…", "".join(pieces))


def losses_in(path):
    code = path.read_text()
    for call in CALL.finditer(code):
        found = arguments(code, call.end())
        if len(found) == 2:
            what, why = words(found[0], code), words(found[1], code)
            yield what, "a member that the dialect does not have" if why == "…" else why


def table(engine, dialect):
    folder = engine / "dialect" / dialect
    sources = sorted(folder.glob("*.cc"))
    included = set(re.findall(r'#include "(dialect/\w+)\.h"', "".join(path.read_text() for path in folder.glob("*.*"))))
    sources += [engine / f"{name}.cc" for name in sorted(included) if (engine / f"{name}.cc").exists()]
    reasons = {}
    for path in sources:
        for what, why in losses_in(path):
            reasons.setdefault(what, [])
            if why not in reasons[what]:
                reasons[what].append(why)
    rows = [f"| `{what}` | {'; '.join(sorted(why))} |" for what, why in sorted(reasons.items())]
    return "\n".join(["| name | why |", "|---|---|"] + rows)


def main():
    root = Path(sys.argv[1])
    write = "--write" in sys.argv
    problems = []
    for dialect in DIALECTS:
        page = root / "docs" / "dialects" / f"{dialect}.md"
        text = page.read_text()
        made = f"{BEGIN}\n{table(root / 'engine', dialect)}\n{END}"
        if BEGIN not in text or END not in text:
            problems.append(f"docs/dialects/{dialect}.md: no table between '{BEGIN}' and '{END}'")
            continue
        before, rest = text.split(BEGIN, 1)
        wanted = before + made + rest.split(END, 1)[1]
        if write:
            page.write_text(wanted)
        elif wanted != text:
            problems.append(f"docs/dialects/{dialect}.md: its table of losses is not what the code says: run tests/tidy/losses.py . --write")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
