#!/usr/bin/env python3
"""SIGTERM ends the proxy although the system's resolver hangs, and its ledger has every request that had ended: lookup_test.py BINARY."""
import gzip
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))
from proxy import Proxy, clean_environment  # noqa: E402

RESOLVER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  while (node != 0 && strcmp(node, "hangs.test") == 0) pause();
  int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
  return next(node, service, hints, found);
}
"""
CONFIG = {
    "providers": {"a": {"dialect": "anthropic", "base_url": "http://hangs.test", "api_key": "k", "models": ["m-*"], "timeouts": {"connect": "1s"}}},
    "retry": {"max_attempts": 1},
    "circuit": {"failures": 0},
    "ledger": {"path": "ledger.db"},
}


def ask(proxy, model, text="hi", encode=False):
    """The status, "cut" when the connection broke."""
    body = json.dumps({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": text}]}).encode()
    headers = {"content-type": "application/json", **({"content-encoding": "gzip"} if encode else {})}
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    try:
        connection.request("POST", "/v1/messages", gzip.compress(body) if encode else body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return "cut"
    finally:
        connection.close()


def rows(path):
    with sqlite3.connect(path) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return ledger.execute("SELECT count(DISTINCT id) FROM requests").fetchone()[0]


def main():
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ccrules.json").write_text(json.dumps(CONFIG))
        (folder / "resolver.c").write_text(RESOLVER)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", "resolver.so", "resolver.c", "-ldl"], cwd=folder, check=True)
        env = {**clean_environment(binary, folder), "LD_PRELOAD": str(folder / "resolver.so")}
        env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"

        proxy = Proxy(binary, folder, env=env)
        assert ask(proxy, "m-1") >= 500
        assert ask(proxy, "sim,x") == 200
        began = time.monotonic()
        assert proxy.stop(30) == 0, proxy.read_log()
        print(f"nothing under way: ended {time.monotonic() - began:.1f} s after SIGTERM")
        assert rows(folder / "ledger.db") == 2

        # One thread in the pool, and the lookup has it: what is to be unpacked waits for ever.
        proxy = Proxy(binary, folder, env={**env, "UV_THREADPOOL_SIZE": "1"})
        assert ask(proxy, "m-1") >= 500
        assert ask(proxy, "sim,x") == 200
        answers = []
        client = threading.Thread(target=lambda: answers.append(ask(proxy, "sim,x", os.urandom(300_000).hex(), encode=True)))
        client.start()
        time.sleep(1)
        assert not answers, "the pool was not blocked"
        proxy.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        began = time.monotonic()
        assert proxy.stop(30) == 0, proxy.read_log()
        client.join()
        print(f"a request hangs on the pool: ended {time.monotonic() - began:.1f} s after the second SIGTERM")
        assert answers == ["cut"], answers
        assert "did not end when they were cut" in proxy.read_log(), proxy.read_log()
        assert rows(folder / "ledger.db") == 4
    print("ok")


if __name__ == "__main__":
    main()
