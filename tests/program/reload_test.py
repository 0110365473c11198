#!/usr/bin/env python3
"""Rules are changed again and again while clients send 10 000 requests: each gets its whole answer, by the rules before or after
a reload, and its row in the ledger. reload_test.py BINARY [REQUESTS]"""
import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))
from proxy import Proxy, clean_environment  # noqa: E402

CLIENTS = 8
STREAMED = 10  # every tenth request
CONFIG = """{ "routes": { "default": "sim,hello" }, "rules": ["rules.lua"], "log": { "level": "warn" },
  "reload": { "tests": true, "max_change_percent": 100, "watch": false } }"""
RULES = """for i = 1, 20 do rule("lua " .. i) { when = function(req) return req.tokens > 1e6 + i end, to = "sim,long" } end
rule "edition %d" { to = "sim,hello", tag = { edition = "%d" } }
"""
BROKEN = 'rule "no" { whenn = {} }\n'
TEST = 'case "goes to the simulator" { expect = { to = "sim,hello" } }\n'


class Client(threading.Thread):
    """Sends requests on one connection until there are no more numbers."""

    def __init__(self, port, numbers):
        super().__init__()
        self.port, self.numbers = port, numbers
        self.failures, self.rules, self.answered, self.connections = [], Counter(), 0, 0

    def run(self):
        connection = None
        for number in self.numbers:
            stream = number % STREAMED == 0
            body = json.dumps({"model": "claude-x", "max_tokens": 50, "stream": stream,
                               "messages": [{"role": "user", "content": f"hello {number}"}]})
            try:
                if connection is None:
                    self.connections += 1
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                connection.request("POST", "/v1/messages", body, {"content-type": "application/json"})
                reply = connection.getresponse()
                text = reply.read().decode()
                whole = text.rstrip().endswith('{"type":"message_stop"}') if stream else json.loads(text)["type"] == "message"
                if reply.status != 200 or not whole:
                    self.failures.append(f"{number}: {reply.status} {text[-200:]}")
                else:
                    self.answered += 1
                self.rules[reply.headers["x-ccrules-rule"]] += 1
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.failures.append(f"{number}: {error!r}")
                connection = None


def put(path, text):
    """As editors do: nobody reads half of it."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    os.replace(beside, path)


def ask(port, method, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, "{}" if method == "POST" else None, {"content-type": "application/json"})
    return json.loads(connection.getresponse().read())


def main():
    binary = str(Path(sys.argv[1]).resolve())
    requests = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ccrules.json").write_text(CONFIG)
        (folder / "rules_test.lua").write_text(TEST)
        (folder / "rules.lua").write_text(RULES % (0, 0))
        env = clean_environment(binary, folder)
        proxy = Proxy(binary, folder, "--workers", "2", env=env)
        outcomes = Counter()
        try:
            numbers = iter(range(requests))  # shared: next() of a range's iterator is atomic
            clients = [Client(proxy.port, numbers) for _ in range(CLIENTS)]
            began = time.monotonic()
            for client in clients:
                client.start()
            for edition in itertools.count(1):
                if not any(client.is_alive() for client in clients):
                    break
                put(folder / "rules.lua", BROKEN if edition % 5 == 4 else RULES % (edition, edition))
                if edition % 7 == 0:
                    os.kill(proxy.process.pid, signal.SIGHUP)
                    time.sleep(0.05)
                    outcomes["signalled"] += 1
                else:
                    outcomes[ask(proxy.port, "POST", "/reload")["outcome"]] += 1
                time.sleep(0.02)
            for client in clients:
                client.join()
            took = time.monotonic() - began
            status = ask(proxy.port, "GET", "/status")
        finally:
            code = proxy.stop()
        failures = [failure for client in clients for failure in client.failures]
        answered = sum(client.answered for client in clients)
        rules = sum((client.rules for client in clients), Counter())
        listed = subprocess.run([binary, "stats", "--json", "--since", "all"], env=env, cwd=folder, capture_output=True, text=True, check=True)
        rows = json.loads(listed.stdout)["total"]["requests"]
        print(f"{requests} requests in {took:.1f} s, {answered} answered by {len(rules)} editions of the rules; "
              f"reloads: {dict(outcomes)}; {rows} rows")
        assert not failures, f"{len(failures)} were lost:\n" + "\n".join(failures[:10]) + proxy.read_log()[-4000:]
        assert code == 0, f"exit code {code}:\n{proxy.read_log()}"
        assert answered == requests, answered
        assert rows == requests, rows
        assert all(rule.startswith("edition ") for rule in rules), rules
        assert len(rules) > 2 and outcomes["live"] > 2 and outcomes["refused"] > 0, (rules, outcomes)
        assert sum(client.connections for client in clients) == CLIENTS, "a connection was closed"
        assert not status["rules"]["troubled"], status


if __name__ == "__main__":
    main()
