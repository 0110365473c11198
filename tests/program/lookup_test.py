#!/usr/bin/env python3
"""SIGTERM ends the proxy although the system's resolver hangs, and its ledger has every request that had ended: lookup_test.py BINARY."""
import gzip
import http.client
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
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


def message(model, text):
    return json.dumps({"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": text}]}).encode()


def ask(proxy, model):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    try:
        connection.request("POST", "/v1/messages", message(model, "hi"), {"content-type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def begin_packed(proxy):
    """A request whose body is to be unpacked, of which the proxy has the head for certain: its connection."""
    body = gzip.compress(message("sim,x", os.urandom(300_000).hex()))
    connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=60)
    connection.sendall(f"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
                       f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    assert connection.recv(4096).startswith(b"HTTP/1.1 100")
    connection.sendall(body)
    return connection


def wait_for(what):
    until = time.monotonic() + 60
    while not what() and time.monotonic() < until:
        time.sleep(0.02)
    assert what()


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
        client = begin_packed(proxy)
        assert not select.select([client], [], [], 0.5)[0], "the pool was not blocked"
        proxy.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "running requests" in proxy.read_log())
        began = time.monotonic()
        assert proxy.stop(30) == 0, proxy.read_log()
        try:
            answer = client.recv(4096)
        except ConnectionError:
            answer = b""
        print(f"a request hangs on the pool: ended {time.monotonic() - began:.1f} s after the second SIGTERM")
        assert answer == b"", answer
        assert "did not end when they were cut" in proxy.read_log(), proxy.read_log()
        assert rows(folder / "ledger.db") == 4
    print("ok")


if __name__ == "__main__":
    main()
