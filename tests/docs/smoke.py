#!/usr/bin/env python3
"""Starts a built program, sends the simulator one request, reads it in the ledger, stops it: smoke.py BINARY."""
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from proxy import Proxy, clean_environment


def main():
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        env = clean_environment(binary, folder)
        began = time.monotonic()
        proxy = Proxy(binary, folder, env=env)
        try:
            body = {"model": "sim,hello", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
            request = urllib.request.Request(proxy.base_url + "/v1/messages", json.dumps(body).encode(),
                                             {"content-type": "application/json", "anthropic-version": "2023-06-01"})
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as reply:
                answer = json.load(reply)
            first_answer_ms = (time.monotonic() - began) * 1000
            assert answer["type"] == "message" and answer["content"][0]["text"], answer
            second = subprocess.run([binary, "serve", "--port", str(proxy.port)], env=env, cwd=folder, capture_output=True,
                                    text=True, timeout=30, check=False)
            assert second.returncode == 6 and "in use" in second.stderr, f"a port in use: {second.returncode} {second.stderr}"
        finally:
            code = proxy.stop()
        assert code == 0, f"exit code {code}:\n{proxy.read_log()}"
        listed = subprocess.run([binary, "stats", "--json"], env=env, cwd=folder, capture_output=True, text=True, check=True)
        requests = json.loads(listed.stdout)["total"]["requests"]
        assert requests == 1, f"the ledger has {requests} rows, not 1"
    print(f"start to first answer: {first_answer_ms:.0f} ms")


if __name__ == "__main__":
    main()
