"""Starts the built program for a test: a scratch home, a free port, no keys in the environment."""
import atexit
import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path


def clean_environment(binary, scratch):
    """What a new user has: no keys, no configuration, a home of its own; `ccrules` is on the path."""
    commands = Path(scratch) / ".bin"
    commands.mkdir(exist_ok=True)
    link = commands / "ccrules"
    if not link.exists():
        link.symlink_to(Path(binary).resolve())
    home = Path(scratch) / ".home"
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("LANG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS") if name in os.environ}
    return {"PATH": f"{commands}:{os.environ['PATH']}", "HOME": str(home), "NO_COLOR": "1", "TERM": "dumb",
            "NO_PROXY": "127.0.0.1,localhost", **kept}


class Proxy:
    """`ccrules serve` on a free port, in `folder`."""

    def __init__(self, binary, folder, *flags, env=None):
        env = env or clean_environment(binary, folder)
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([str(Path(binary).resolve()), "serve", "--port", "0", "--json", *flags], cwd=folder, env=env,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        atexit.register(self.kill)  # a test that fails leaves nothing running
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the proxy did not start (exit code {self.process.wait()}):\n{self.read_log()}")
        self.hello = json.loads(line)
        self.base_url = self.hello["base_url"]
        self.port = int(self.base_url.rsplit(":", 1)[1])

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def read_log(self):
        # The offset is the child's too: to seek would let it write over what it has written.
        return os.pread(self.log.fileno(), 1 << 26, 0).decode(errors="replace")

    def stop(self, seconds=30):
        """SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"the proxy did not stop within {seconds} s of SIGTERM:\n{self.read_log()}") from None
