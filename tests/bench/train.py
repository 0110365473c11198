#!/usr/bin/env python3
"""The load that `scripts/package --trained` trains the release with: train.py BINARY

Every pair of client and provider dialect with small requests, conversations of about 149 KB and streams; then cache, budgets, rate
limits, rules and token counts; then tool calls, thinking and errors, which a second proxy with the simulator behind it answers
in each dialect. The numbers are chosen so that small requests weigh about as much as large ones. Ends
with an error when an answer is not what it should be, or when a proxy does not end by SIGTERM: only then is the profile complete."""
import argparse
import asyncio
import json
import shutil
import tempfile
import time
from pathlib import Path

import pairs
from cache import Asker, SETTINGS
from proxy import Proxy, clean_environment  # pairs has made the path

RULES = """
rule "long prompts" { when = { tokens = { gt = 1000000 } }, to = "gemini,m-1" }
rule "reviewer" { when = { agent = "code-reviewer" }, to = "anthropic,m-1" }
"""
COUNTED = {"anthropic": (b"/v1/messages ", b"/v1/messages/count_tokens "), "openai_responses": (b"/v1/responses ", b"/v1/responses/input_tokens "),
           "gemini": (b":generateContent ", b":countTokens ")}
SIMULATED = ("[[sim:tool]]", "[[sim:tools count=2]]", "[[sim:thinking]]", "[[sim:long tokens=300]]")
REFUSED = ("[[sim:error status=400 type=invalid_request_error]]", "[[sim:overflow]]")


class Refused(pairs.Client):
    """For requests that have to end with an error."""

    def is_good(self):
        return self.got.startswith(b"HTTP/1.1 4")


class Training:
    def __init__(self, binary, folder):
        self.binary, self.folder, self.proxies = binary, folder, []
        self.answers = 0

    def serve(self, name, providers, **settings):
        home = Path(self.folder, name)
        home.mkdir()
        (home / "rules.lua").write_text(RULES)
        config = {"workers": 1, "log": {"level": "error"}, "ledger": {"path": f"{home}/ledger.db"}, "routes": {"default": "anthropic,m-1"},
                  "prices": {"m-*": {"input": 3, "output": 15}}, "providers": providers}
        (home / "ccrules.json").write_text(json.dumps(config | settings))
        proxy = Proxy(self.binary, home, env=clean_environment(self.binary, str(home)))
        self.proxies.append(proxy)
        return proxy.port

    def ask(self, port, request, connections, each, what, kind=pairs.Client):
        asyncio.run(pairs.load(port, request, connections, each, what, kind))
        self.answers += connections * each

    def every_pair(self, port):
        small, large, streams = pairs.asks(False, 0), pairs.asks(False, 149_000), pairs.asks(True, 0)
        for client in pairs.DIALECTS:
            for to in pairs.DIALECTS:
                self.ask(port, small(client, f"{to},m-1"), 16, 50, f"{client} to {to}, small")
                self.ask(port, large(client, f"{to},m-1"), 8, 3, f"{client} to {to}, large")
                self.ask(port, streams(client, f"{to},m-1"), 64, 1, f"{client} to {to}, stream")

    def with_everything(self, port):
        for size, each in ((0, 60), (149_000, 5)):
            asks = pairs.asks(False, size)
            for client in ("anthropic", "openai_chat"):
                request = asks(client, f"{client},m-1")
                self.ask(port, request, 8, each, f"{client}, new each time", Asker)
                self.ask(port, request, 8, each, f"{client}, from the cache")
            for client, (path, count) in COUNTED.items():
                self.ask(port, asks(client, "openai_chat,m-1").replace(path, count, 1), 1, each, f"{client}, counted")

    def simulated(self, port):
        for stream in (True, False):
            asks = pairs.asks(stream, 60_000)  # with tools, before the first call
            for client in pairs.DIALECTS:
                for to in pairs.DIALECTS:
                    request = asks(client, f"{to},m-1")
                    for marker in SIMULATED + REFUSED:
                        self.ask(port, marked(request, marker), 4, 2, f"{client} to {to}, {marker}",
                                 Refused if marker in REFUSED else pairs.Client)

    def stop(self):
        for proxy in reversed(self.proxies):
            code = proxy.stop()
            if code != 0:
                raise SystemExit(f"a proxy ended with exit code {code}:\n{proxy.read_log()}")


def marked(request, marker):
    """The request with `marker` as what the user says."""
    head, body = request.split(b"\r\n\r\n", 1)
    body = body.replace(b"Say something.", marker.encode(), 1)
    head = head[:head.index(b"content-length:")] + b"content-length: %d" % len(body)
    return head + b"\r\n\r\n" + body


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    options = parser.parse_args()
    began = time.monotonic()
    folder = tempfile.mkdtemp()
    port, provider = pairs.start_provider()
    training = Training(options.binary, folder)
    try:
        training.every_pair(training.serve("plain", pairs.providers(port)))
        training.with_everything(training.serve("everything", pairs.providers(port), rules=["rules.lua"], **SETTINGS["on"]))
        simulator = training.serve("simulator", {}, routes={"default": "sim,any"})
        training.simulated(training.serve("simulated", pairs.providers(simulator)))
        training.stop()
    finally:
        for proxy in training.proxies:
            proxy.process.kill()
        provider.terminate()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{training.answers} answers in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
