#!/usr/bin/env python3
"""`ccrules test --watch` runs again when anything changed that it saw, and ends with Ctrl-C: watch_test.py BINARY."""
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))
from proxy import clean_environment  # noqa: E402

PATIENCE_S = 60
RULE = 'rule "short" { when = { tokens = { lt = %d } }, to = "sim,short" }\n'
CASE = 'case "%s" { given = { tokens = 50 }, expect = { by = "short" } }\n'


class Watched:
    """The running command; what it prints comes line by line."""

    def __init__(self, binary, folder):
        self.process = subprocess.Popen([binary, "test", "--watch"], cwd=folder, env=clean_environment(binary, folder),
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = queue.Queue()
        self.said = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)

    def wait_for(self, *texts):
        """Until all of them were said in one run, which ends with "watching"."""
        deadline = time.monotonic() + PATIENCE_S
        run = ""
        while time.monotonic() < deadline:
            try:
                line = self.lines.get(timeout=1)
            except queue.Empty:
                continue
            self.said.append(line)
            run += line
            if not line.startswith("watching"):
                continue
            if all(text in run for text in texts):
                return
            run = ""
        raise AssertionError(f"{texts} was never said:\n{''.join(self.said)}")


def main():
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = '{ "routes": { "default": "sim,hello" }, "rules": ["rules.lua"] }'
        (folder / "ccrules.json").write_text(config)
        (folder / "rules.lua").write_text(RULE % 100)
        (folder / "my_test.lua").write_text(CASE % "fifty tokens")
        watched = Watched(binary, folder)
        try:
            watched.wait_for("1 passed")
            (folder / "rules.lua").write_text(RULE % 10)
            watched.wait_for("0 passed, 1 failed", "tokens < 10")
            (folder / "rules.lua").write_text("rule {")
            watched.wait_for("rules.lua:1")
            (folder / "rules.lua").unlink()
            watched.wait_for("rules.lua")
            (folder / "rules.lua").write_text(RULE % 100)
            watched.wait_for("1 passed")
            (folder / "ccrules.json").write_text("{")
            watched.wait_for("ccrules.json:1")
            # An editor that replaces the file.
            (folder / "new.json").write_text(config)
            os.replace(folder / "new.json", folder / "ccrules.json")
            watched.wait_for("1 passed")
            (folder / "deeper").mkdir()
            (folder / "deeper" / "more_test.lua").write_text(CASE % "fifty more")
            watched.wait_for("2 passed", "fifty more")
            watched.process.send_signal(signal.SIGINT)
            code = watched.process.wait(PATIENCE_S)
            assert code == -signal.SIGINT, f"exit code {code}"
        finally:
            watched.process.kill()


if __name__ == "__main__":
    main()
