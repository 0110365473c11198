#!/usr/bin/env python3
"""Answers of the response cache survive a restart and kill -9 where `cache.persist` names a file; a broken file begins empty, and no
request fails for it: cache_file_test.py BINARY."""
import contextlib
import http.client
import json
import signal
import sqlite3
import stat
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))
from proxy import Proxy, clean_environment  # noqa: E402

CONFIG = {"routes": {"default": "sim,hello"}, "rules": ["rules.lua"], "listen": {"api_key": "client-s3cret"},
          "cache": {"enabled": True, "persist": "answers.db"}}
RULES = 'rule "header" { headers = { ["x-upstream-token"] = "header-s3cret" }, cache = { keep = { "tool_use" } } }\n'
PATIENCE_S = 60


def ask(port, text, stream=False):
    """A question: whether the cache answered, and the answer."""
    body = json.dumps({"model": "claude-x", "max_tokens": 50, "stream": stream, "messages": [{"role": "user", "content": text}]})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/messages", body, {"content-type": "application/json", "x-api-key": "client-s3cret"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status == 200, text
    return answer.headers["x-ccrules-cache"], text


def entries(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/api/cache/stats", headers={"x-api-key": "client-s3cret"})
    return json.loads(connection.getresponse().read())["entries"]


def wait_for(what, condition):
    """The file is read and written beside the requests: soon."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def rows(folder):
    """The answers that a kill can no longer take: what the file's text shows may be of a transaction that is not over."""
    with contextlib.closing(sqlite3.connect(f"file:{folder}/answers.db?mode=ro", uri=True)) as file:
        return file.execute("SELECT count(*) FROM answers").fetchone()[0]


def written(folder, text):
    return any(text.encode() in file.read_bytes() for file in folder.glob("answers.db*"))


def main():
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ccrules.json").write_text(json.dumps(CONFIG))
        (folder / "rules.lua").write_text(RULES)
        environment = clean_environment(binary, folder)

        proxy = Proxy(binary, folder, env=environment)
        first = ask(proxy.port, "keep me")
        assert first[0] == "miss"
        assert ask(proxy.port, "[[sim:tool name=look input={}]] at this", stream=True)[0] == "miss"
        wait_for("both answers are written", lambda: rows(folder) == 2)
        proxy.process.send_signal(signal.SIGKILL)
        proxy.process.wait()

        files = list(folder.glob("answers.db*"))
        assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files), files
        assert written(folder, "keep me"), "the answers are not where credentials are looked for"
        assert not written(folder, "s3cret"), "a credential is in the file"

        proxy = Proxy(binary, folder, env=environment)
        wait_for("the answers are read", lambda: entries(proxy.port) == 2)
        again = ask(proxy.port, "keep me")
        assert again[0] == "hit" and json.loads(again[1])["content"] == json.loads(first[1])["content"], again
        assert ask(proxy.port, "[[sim:tool name=look input={}]] at this")[0] == "hit"
        assert proxy.stop() == 0, proxy.read_log()

        for damage in (b"no database at all", b"SQLite format 3\0" + b"\xff" * 8000):
            (folder / "answers.db").write_bytes(damage)
            proxy = Proxy(binary, folder, env=environment)
            assert [ask(proxy.port, "keep me")[0] for _ in range(2)] == ["miss", "hit"]
            assert proxy.stop() == 0, proxy.read_log()
            assert "answers.db is broken and now lies at" in proxy.read_log(), proxy.read_log()
            assert (folder / "answers.db.broken").read_bytes() == damage
            (folder / "answers.db.broken").unlink()

        (folder / "answers.db").unlink()
        (folder / "answers.db").mkdir()
        proxy = Proxy(binary, folder, env=environment)
        assert [ask(proxy.port, "keep me")[0] for _ in range(2)] == ["miss", "hit"]
        assert proxy.stop() == 0, proxy.read_log()
        assert "answers are kept in memory only" in proxy.read_log(), proxy.read_log()
    print("ok")


if __name__ == "__main__":
    main()
