#!/usr/bin/env python3
"""Runs every command and snippet of the documentation against the built program: run.py BINARY [PAGE...].

Each page is a story told in one scratch folder. What a fenced block's first line asks for:

  ```sh                     runs (bash, exit code 0 or exit=N); `serve` keeps it running as the page's proxy;
                            `soon` asks again until it is so: rows are written a moment later;
                            `skip="why"` for what a test cannot do
  ```text                   right after sh: these lines stand in its output, in order; … stands for anything
  ```lua                    loads as a rule file of its own; file=PATH writes it to the scratch folder instead
  ```json, ```jsonc         is JSON (with comments); file=PATH writes it; `config` also passes `ccrules check`

The address 127.0.0.1:3456 becomes the test's own port. --write puts the current reference into docs/commands.md."""
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from proxy import Proxy, clean_environment

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```\s*$", re.M | re.S)
ATTRIBUTE = re.compile(r'(\w+)(?:=("[^"]*"|\S+))?')
CHECKED_ONLY = {"", "text", "console", "mermaid", "cpp", "sql", "http", "diff", "yaml", "ini"}


class Failure(Exception):
    pass


def without_comments(text):
    """JSON with comments and trailing commas as plain JSON."""
    token = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.S)
    text = token.sub(lambda m: m.group() if m.group().startswith('"') else " ", text)
    return re.sub(r",(\s*[}\]])", r"\1", text)


def blocks_of(page):
    text = page.read_text()
    for found in FENCE.finditer(text):
        words = found["info"].strip().split(None, 1)
        language = words[0] if words else ""
        attributes = {}
        if len(words) > 1:
            for name, value in ATTRIBUTE.findall(words[1]):
                attributes[name] = value.strip('"')
        line = text.count("\n", 0, found.start()) + 1
        body = re.sub(rf"^{found['indent']}", "", found["body"], flags=re.M)
        yield line, language, attributes, body


class Page:
    def __init__(self, binary, path, folder):
        self.binary, self.path, self.folder = binary, path, Path(folder)
        self.env = clean_environment(binary, folder)
        self.proxy = None
        self.output = None

    def own(self, text):
        if self.proxy is None:
            return text
        return re.sub(r"(127\.0\.0\.1|localhost):3456", rf"\1:{self.proxy.port}", text)

    def command(self, *words):
        return subprocess.run([self.binary, *words], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def shell(self, attributes, body):
        if "skip" in attributes:
            if attributes["skip"] in ("", "true"):
                raise Failure('skip needs a reason: skip="why"')
            self.output = None
            return
        if "serve" in attributes:
            if self.proxy is not None:
                self.proxy.stop()
            self.proxy = Proxy(self.binary, self.folder, env=self.env)
            self.output = None
            return
        wanted = int(attributes.get("exit", 0))
        # `soon`: what it asks for is written a moment later, so it is asked again.
        until = time.monotonic() + (60 if "soon" in attributes else 0)
        while True:
            ran = subprocess.run(["bash", "-euo", "pipefail", "-c", self.own(body)], cwd=self.folder, env=self.env, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=120, check=False)
            if ran.returncode == wanted or time.monotonic() > until:
                break
            time.sleep(0.2)
        self.output = ran.stdout
        if ran.returncode != wanted:
            raise Failure(f"exit code {ran.returncode}, not {wanted}:\n{ran.stdout}")

    def expect(self, body):
        """Each line of `body` in the last output, in order; … matches anything, blanks count as one."""
        rest = [" ".join(line.split()) for line in self.output.splitlines()]
        for line in self.own(body).splitlines():
            line = " ".join(line.split())
            if line in ("", "…"):
                continue
            pattern = re.compile(".*".join(re.escape(part) for part in line.split("…")))
            while rest and not pattern.fullmatch(rest[0]):
                rest.pop(0)
            if not rest:
                raise Failure(f"the output has no line (in this order) like\n  {line}\nit is\n{self.output}")
            rest.pop(0)

    def write(self, name, body):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)

    def check_config(self, name):
        checked = self.command("check", "--config", name)
        if checked.returncode != 0:
            raise Failure(f"ccrules check: exit code {checked.returncode}\n{checked.stdout}{checked.stderr}")

    def block(self, language, attributes, body):
        if language in ("sh", "bash"):
            self.shell(attributes, body)
            return
        if language == "text" and self.output is not None:
            self.expect(body)
            self.output = None
            return
        self.output = None
        if language in ("json", "jsonc"):
            try:
                json.loads(without_comments(body))
            except ValueError as error:
                raise Failure(f"not JSON: {error}") from None
        if "file" in attributes:
            self.write(attributes["file"], body)
            return
        if language == "lua":
            self.write("snippet/snippet.lua", body)
            self.write("snippet/ccrules.json", '{ "providers": { "anthropic": {}, "openrouter": {} }, "rules": ["snippet.lua"] }\n')
            self.check_config("snippet/ccrules.json")
        elif language in ("json", "jsonc") and "config" in attributes:
            self.write("snippet/config.json", body)
            self.check_config("snippet/config.json")
        elif language not in CHECKED_ONLY and language not in ("json", "jsonc"):
            raise Failure(f"no test for a block in '{language}'")

    def run(self):
        """Number of blocks; raises Failure with the place."""
        count = 0
        try:
            for line, language, attributes, body in blocks_of(self.path):
                count += 1
                try:
                    self.block(language, attributes, body)
                except (Failure, RuntimeError, subprocess.TimeoutExpired) as failure:
                    log = "\nthe proxy's log:\n" + self.proxy.read_log()[-3000:] if self.proxy else ""
                    raise Failure(f"{self.path.relative_to(ROOT)}:{line}: {failure}{log}") from None
        finally:
            if self.proxy is not None:
                self.proxy.stop()
        return count


def check_links(page):
    """Relative links name files that exist."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
            raise Failure(f"{page.relative_to(ROOT)}: the link to {target} leads nowhere")


def check_reference(binary, write):
    """docs/commands.md ends with what the program says about itself."""
    says = subprocess.run([binary, "help", "--markdown"], capture_output=True, text=True, check=True).stdout
    page = ROOT / "docs/commands.md"
    text = page.read_text()
    wanted = text[:text.index("## Flags of every command")] + says.rstrip() + "\n"
    if write:
        page.write_text(wanted)
    elif text != wanted:
        raise Failure("docs/commands.md: the reference is not what `ccrules help --markdown` prints; run.py BINARY --write puts it there")


def main():
    binary = str(Path(sys.argv[1]).resolve())
    write = "--write" in sys.argv[2:]
    pages = [Path(name).resolve() for name in sys.argv[2:] if name != "--write"]
    if not pages:
        pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]
    failed = 0
    for page in pages:
        try:
            check_links(page)
            with tempfile.TemporaryDirectory() as folder:
                count = Page(binary, page, folder).run()
            print(f"ok      {page.relative_to(ROOT)}: {count} blocks")
        except Failure as failure:
            failed += 1
            print(f"FAILED  {failure}")
    if len(sys.argv) == 2 or write:
        try:
            check_reference(binary, write)
        except Failure as failure:
            failed += 1
            print(f"FAILED  {failure}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
