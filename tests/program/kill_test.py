#!/usr/bin/env python3
"""A hard budget holds when the proxy is killed (kill -9) in the middle of many requests and started again: kill_test.py BINARY."""
import http.client
import json
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))
from proxy import Proxy, clean_environment  # noqa: E402

CAP_NANOUSD = 200_000_000  # some 90 answers
SESSION_CAP_NANOUSD = 90_000_000
WORDS = 20
# How many requests come at once, and when the proxy is killed: before, between and behind their answers, which take 0.4 s.
STORMS = ((20, 0.1), (20, 0.3), (40, 0.45), (60, None))


def configuration(upstream):
    """Answers come from the simulator of another proxy, over HTTP: its own are free. $10 and $100 per million tokens."""
    return json.dumps({
        "providers": {"a": {"dialect": "anthropic", "base_url": upstream.base_url, "api_key": "k", "models": ["m-*"]}},
        "prices": {"m-*": {"input": 10, "output": 100}},
        "budgets": [{"scope": "all", "usd": CAP_NANOUSD / 1e9, "per": "total"}, {"scope": "session", "usd": SESSION_CAP_NANOUSD / 1e9, "per": "day"}],
        "retry": {"max_attempts": 1},
        "circuit": {"failures": 0},
        "ledger": {"path": "ledger.db"},
    })


def ask(port, number, answers):
    """One request; notes its status, "cut" when the connection broke."""
    body = json.dumps({
        "model": "m-1", "max_tokens": WORDS, "stream": number % 2 == 0,
        "messages": [{"role": "user", "content": f"[[sim:slow tokens={WORDS} pause_ms=20 input_tokens=8]] {number}"}],
    })
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/messages", body, {"content-type": "application/json", "x-ccrules-session": f"s{number % 3}"})
        answer = connection.getresponse()
        text = answer.read()
        answers.append(str(answer.status) if answer.status != 200 or b"end_turn" in text or b"max_tokens" in text else "cut")
    except (OSError, http.client.HTTPException):
        answers.append("cut")
    finally:
        connection.close()


def storm(proxy, at_once, kill_after_s):
    """Many requests at once; the proxy is killed in their middle, or they may all end."""
    answers = []
    threads = [threading.Thread(target=ask, args=(proxy.port, i, answers)) for i in range(at_once)]
    for thread in threads:
        thread.start()
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        proxy.process.send_signal(signal.SIGKILL)
        proxy.process.wait()
    for thread in threads:
        thread.join()
    return answers


def check_ledger(path):
    """What must be true of it at any time; the number of rows."""
    with sqlite3.connect(path) as ledger:
        one = lambda sql: ledger.execute(sql).fetchone()[0]  # noqa: E731
        assert one("PRAGMA integrity_check") == "ok"
        rows = one("SELECT count(*) FROM requests")
        assert rows == one("SELECT count(DISTINCT id) FROM requests"), "a request has two rows"
        spent = one("SELECT coalesce(sum(cost_nanousd), 0) FROM requests")
        assert spent <= CAP_NANOUSD, f"{spent} nano-USD were spent of {CAP_NANOUSD}"
        sums = one("SELECT coalesce(max(total_nanousd), 0) FROM spend WHERE scope = ''")
        assert sums == spent, f"the sums say {sums}, the rows {spent}"
        for session, cost in ledger.execute("SELECT session, sum(cost_nanousd) FROM requests GROUP BY 1"):
            assert (cost or 0) <= SESSION_CAP_NANOUSD, f"session {session} has spent {cost}"
        return rows, spent


def main():
    binary = str(Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sim").mkdir()
        (folder / "sim" / "ccrules.json").write_text('{"routes": {"default": "sim,any"}}')
        simulator = Proxy(binary, folder / "sim")
        try:
            (folder / "ccrules.json").write_text(configuration(simulator))
            whole = 0
            for at_once, kill_after_s in STORMS:
                proxy = Proxy(binary, folder, env=clean_environment(binary, folder))
                answers = storm(proxy, at_once, kill_after_s)
                whole += answers.count("200")
                if kill_after_s is None:
                    assert "cut" not in answers, proxy.read_log()
                    assert proxy.stop() == 0, proxy.read_log()
                rows, spent = check_ledger(folder / "ledger.db")
                print(f"killed after {kill_after_s} s: {answers.count('200')} answered, {answers.count('429')} refused, "
                      f"{answers.count('cut')} cut; {rows} rows, {spent} nano-USD")
            assert rows >= whole, f"{whole} answers were complete, {rows} rows"
            with sqlite3.connect(folder / "ledger.db") as ledger:
                assert ledger.execute("SELECT count(*) FROM holds").fetchone()[0] == 0, "money is still set aside"
                killed = ledger.execute("SELECT count(*) FROM requests WHERE error LIKE '%was killed%'").fetchone()[0]
                assert killed > 0, "no request was under way when the proxy was killed"
                assert ledger.execute("SELECT count(*) FROM requests WHERE status = 429").fetchone()[0] > 0, "nothing was refused"
        finally:
            simulator.stop()
    print("ok")


if __name__ == "__main__":
    main()
