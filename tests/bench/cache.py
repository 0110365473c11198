#!/usr/bin/env python3
"""What the response cache, budgets and rate limits cost: CPU time of `ccrules serve` for each request.

usage: tests/bench/cache.py BINARY [--runs N] [--json FILE]

Prints a cache hit as a ratio to plain nginx proxying the same request; requests of which no two are the same, with everything
switched on (cache, two hard budgets, three rate limits), with all of that but the cache, and with nothing of it, as ratios to the latter;
and what a full cache holds while it is asked for one new thing after the other. Clients and a provider run on core 0, the
proxy under test on core 1. CPU time is the run time of all of a process's threads; ratios are medians of N runs (5), each against its
neighbour in the same run. Needs nginx."""
import argparse
import asyncio
import itertools
import json
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pairs
from proxy import Proxy, clean_environment  # pairs has made the path

CONNECTIONS, EACH = 16, 60
CHURN_BYTES, CHURN_REQUESTS = 20_000_000, 1000
BUDGETS = {
    "budgets": [{"scope": "all", "usd": 1e6, "per": "total"}, {"scope": "session", "usd": 1e6, "per": "day"}],
    "rate_limits": [{"scope": "session", "requests": 1_000_000_000, "per": "1m"}, {"scope": "all", "tokens": 1_000_000_000_000, "per": "1m"},
                    {"scope": "all", "concurrent": 100_000}],
}
SETTINGS = {
    "off": {},
    "budgets": BUDGETS,
    "on": {**BUDGETS, "cache": {"enabled": True, "max_bytes": CHURN_BYTES}},
    "hit": {"cache": {"enabled": True}},
}


class Asker(pairs.Client):
    """Sends requests that differ in nine digits."""
    numbers = itertools.count(1)

    @property
    def request(self):
        return self.before + b"Say %09d." % next(Asker.numbers) + self.after  # as long as it was

    @request.setter
    def request(self, request):
        self.before, self.after = request.split(b"Say something.", 1)


def measure(pid, port, request, fresh):
    """CPU time of one request in microseconds."""
    before = pairs.cpu_us(pid)
    asyncio.run(pairs.load(port, request, CONNECTIONS, EACH, "requests", Asker if fresh else pairs.Client))
    time.sleep(0.15)  # the ledger's rows
    return (pairs.cpu_us(pid) - before) / (CONNECTIONS * EACH)


def churn(proxy, request):
    """Held bytes and memory of the process while one new thing after the other is kept."""
    asyncio.run(pairs.load(proxy.port, request, CONNECTIONS, CHURN_REQUESTS // CONNECTIONS, "new requests", Asker))
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.port}/api/cache/stats", timeout=10) as answer:
        stats = json.load(answer)
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    resident_mb = int(status.split("VmRSS:")[1].split()[0]) / 1024
    print(f"\n{CHURN_REQUESTS} distinct requests of {len(request) / 1000:.0f} KB into a cache of {stats['maxSize']:.0f} MB: it holds "
          f"{stats['size']:.1f} MB in {stats['entries']} answers, {stats['rejected'] + stats['evicted']} went; the process has {resident_mb:.0f} MB")
    if stats["size"] > stats["maxSize"]:
        raise SystemExit("the cache holds more than it may")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    if not shutil.which("nginx"):
        raise SystemExit("nginx is not installed: there is nothing to compare with")
    folder = tempfile.mkdtemp()
    pairs.pin(0)
    provider_port, provider = pairs.start_provider()
    nginx_port = pairs.free_port()
    Path(folder, "nginx.conf").write_text(pairs.NGINX.format(folder=folder, provider=provider_port, port=nginx_port))
    pairs.pin(1)
    nginx = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf"], stderr=subprocess.DEVNULL)
    proxies = {}
    for name, settings in SETTINGS.items():
        home = Path(folder, name)
        home.mkdir()
        config = {"workers": 1, "log": {"level": "error"}, "ledger": {"path": f"{home}/ledger.db"}, "routes": {"default": "a,m-1"},
                  "prices": {"m-*": {"input": 3, "output": 15}},
                  "providers": {"a": {"dialect": "anthropic", "base_url": f"http://127.0.0.1:{provider_port}", "api_key": "k", "models": ["m-*"]}}}
        (home / "ccrules.json").write_text(json.dumps(config | settings))
        proxies[name] = Proxy(options.binary, home, env=clean_environment(options.binary, str(home)))
    pairs.pin(0)
    taken = {}
    try:
        for size in (0, 149_000):
            request = pairs.asks(False, size)("anthropic", "m-1")
            kind = f"{len(request) / 1000:.1f} KB"
            for run in range(options.runs + 1):  # the first one warms up
                times = {"nginx": measure(nginx.pid, nginx_port, request, False)}
                for name, proxy in proxies.items():
                    times[name] = measure(proxy.process.pid, proxy.port, request, name != "hit")
                for name, took in times.items():
                    if run > 0:
                        taken.setdefault((kind, name), []).append(took)
        print("CPU of one request, as a ratio\n\n| request | hit to nginx | budgets to nothing | everything to nothing | nginx, us | nothing, us |")
        print("|---|---:|---:|---:|---:|---:|")
        for kind in dict.fromkeys(kind for kind, _ in taken):
            def ratio(one, other, kind=kind):
                return statistics.median(a / b for a, b in zip(taken[kind, one], taken[kind, other]))
            plain = [statistics.median(taken[kind, name]) for name in ("nginx", "off")]
            print(f"| {kind} | {ratio('hit', 'nginx'):.2f} | {ratio('budgets', 'off'):.2f} | {ratio('on', 'off'):.2f} "
                  f"| {plain[0]:.0f} | {plain[1]:.0f} |")
        churn(proxies["on"], pairs.asks(False, 149_000)("anthropic", "m-1"))
    finally:
        for proxy in proxies.values():
            proxy.stop()
        nginx.send_signal(signal.SIGTERM)
        provider.terminate()
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        Path(options.json).write_text(json.dumps({" ".join(key): values for key, values in taken.items()}))


if __name__ == "__main__":
    main()
