#!/usr/bin/env python3
"""`ccrules cache` shows what the running proxy's cache did and empties it, for people and for scripts, and says in one sentence what is
wrong otherwise: cache_test.py BINARY."""
import http.client
import http.server
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))
from proxy import Proxy, clean_environment  # noqa: E402

CONFIG = {"routes": {"default": "sim,hello"}, "cache": {"enabled": True, "max_bytes": "8MB"},
          "listen": {"api_key": "client-key", "admin_key": "operator-key"},
          "reload": {"watch": False}}  # what a test writes for the command is not the proxy's
USAGE, AUTH, UNREACHABLE = 2, 4, 5


class Stranger(http.server.BaseHTTPRequestHandler):
    """Something else that answers where a proxy should be."""

    def do_GET(self):
        text = b'{"hello": "you"}' if self.path.endswith("stats") else b"<html>hello</html>"
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Scene:
    """A folder with a configuration, and the command in it."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.environment = clean_environment(binary, folder)
        self.configure(CONFIG)

    def configure(self, config):
        (self.folder / "ccrules.json").write_text(json.dumps(config))

    def cache(self, *words, exit_code=0):
        """What it prints: on stdout when it succeeds, else on stderr, one line."""
        run = subprocess.run([self.binary, "cache", *words], cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120)
        assert run.returncode == exit_code, (words, run)
        if exit_code == 0:
            assert run.stderr == "", run
            return run.stdout
        assert run.stdout == "", run
        return run.stderr


def ask(port, text):
    """A question; whether the cache answered."""
    body = json.dumps({"model": "claude-x", "max_tokens": 50, "messages": [{"role": "user", "content": text}]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/messages", body, {"content-type": "application/json", "x-api-key": "client-key"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    connection.close()
    return answer.headers["x-ccrules-cache"]


def check_use(scene, proxy):
    where = ("--url", proxy.base_url)
    assert scene.cache("top", *where) == "no answer was given twice yet\n"
    assert [ask(proxy.port, text) for text in ("one", "one", "one", "two")] == ["miss", "hit", "hit", "miss"]
    shown = scene.cache(*where)
    assert shown == scene.cache("stats", *where)
    assert "hits      2, misses 2, rate 0.5\n" in shown, shown
    assert "answers   2\n" in shown and " of 8 MB\n" in shown, shown
    stats = json.loads(scene.cache("stats", "--json", *where))
    assert (stats["hits"], stats["misses"], stats["entries"], stats["maxSize"]) == (2, 2, 2, 8), stats
    top = json.loads(scene.cache("top", "--json", *where))
    assert [row["hits"] for row in top] == [2] and top[0]["preview"] == "", top
    assert f"{top[0]['hash']}  2 hits" in scene.cache("top", *where)
    assert scene.cache("clear", *where).startswith("2 answers forgotten, ")
    assert json.loads(scene.cache("clear", "--json", *where))["cleared"] == 0
    assert ask(proxy.port, "one") == "miss"


def check_errors(scene, proxy):
    where = ("--url", proxy.base_url)
    assert "stats, clear, top" in scene.cache("empty", exit_code=USAGE)
    scene.cache("stats", "top", exit_code=USAGE)
    scene.configure({**CONFIG, "listen": {"api_key": "client-key", "admin_key": "another"}})
    assert "401" in scene.cache("clear", *where, exit_code=AUTH)
    scene.cache("stats", *where)  # takes the client's key
    scene.configure({**CONFIG, "listen": {"api_key": "another"}})
    said = scene.cache("stats", *where, exit_code=AUTH)
    assert "401" in said and "client-key" not in said and "another" not in said, said
    scene.configure({**CONFIG, "cache": {"max_bytes": "lots"}})
    assert "cache.max_bytes" in scene.cache("stats", *where, exit_code=USAGE)
    scene.configure(CONFIG)
    stranger = http.server.HTTPServer(("127.0.0.1", 0), Stranger)
    threading.Thread(target=stranger.serve_forever, daemon=True).start()
    elsewhere = ("--url", f"http://127.0.0.1:{stranger.server_port}")
    for words in (("stats",), ("top",), ("clear",)):
        assert "no proxy whose cache this could be" in scene.cache(*words, *elsewhere, exit_code=UNREACHABLE), words
    stranger.shutdown()
    stranger.server_close()
    assert "no proxy whose cache this could be" in scene.cache("stats", *elsewhere, exit_code=UNREACHABLE)


def main():
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as name:
        scene = Scene(binary, Path(name))
        proxy = Proxy(binary, scene.folder, env=scene.environment)
        try:
            check_use(scene, proxy)
            check_errors(scene, proxy)
        finally:
            code = proxy.stop()
        assert code == 0, proxy.read_log()
        scene.cache("stats", "--url", proxy.base_url, exit_code=UNREACHABLE)
    print("ok")


if __name__ == "__main__":
    main()
