#!/usr/bin/env python3
"""What translating costs: CPU time of `ccrules serve` for every pair of client and provider dialect, as a ratio to plain nginx
passing the same provider's bytes (streams) or the same client's request (requests) in the same run.

usage: tests/bench/pairs.py BINARY [--only streams|requests] [--pair CLIENT,PROVIDER] [--runs N] [--json FILE]

A provider of all five dialects runs here on core 0 together with the clients, the proxy under test on core 1. A stream is 64
deltas, 5 ms apart, 32 of them at a time; a request is a conversation with 24 tools of about 149 KB. CPU time is the run time of
all of a process's threads (/proc/PID/task/*/schedstat). Needs nginx; ratios are medians of N runs (3), each against its neighbour in the same run."""
import argparse
import asyncio
import glob
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "docs"))
from proxy import Proxy, clean_environment  # noqa: E402

DIALECTS = ("anthropic", "openai_chat", "openai_responses", "gemini", "ollama")
DELTAS, GAP, AT_ONCE, STREAMS = 64, 0.005, 32, 64
WORD = "request{:04d} "


def line(value):
    return json.dumps(value, separators=(",", ":"))


def sse(value, name=None):
    return ((f"event: {name}\n" if name else "") + f"data: {line(value)}\n\n").encode()


# --- what a provider says: (beginning, one delta each, end) of a stream

def anthropic_stream():
    start = {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [],
                                                   "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}}}
    begin = sse(start, "message_start") + sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
                                              "content_block_start")
    deltas = [sse({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORD.format(i)}}, "content_block_delta")
              for i in range(DELTAS)]
    end = (sse({"type": "content_block_stop", "index": 0}, "content_block_stop")
           + sse({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 64}},
                 "message_delta") + sse({"type": "message_stop"}, "message_stop"))
    return begin, deltas, end


def chat_stream():
    def chunk(delta, reason=None):
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1795000000, "model": "m-1",
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    usage = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1795000000, "model": "m-1", "choices": [],
             "usage": {"prompt_tokens": 9, "completion_tokens": 64, "total_tokens": 73}}
    return (sse(chunk({"role": "assistant", "content": ""})), [sse(chunk({"content": WORD.format(i)})) for i in range(DELTAS)],
            sse(chunk({}, "stop")) + sse(usage) + b"data: [DONE]\n\n")


def responses_stream():
    def response(status, **more):
        return {"id": "resp_1", "object": "response", "created_at": 1795000000, "model": "m-1", "status": status, "output": [], **more}
    text = "".join(WORD.format(i) for i in range(DELTAS))
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
    part = {"type": "output_text", "text": "", "annotations": []}
    done = {**item, "status": "completed", "content": [{**part, "text": text}]}
    number = iter(range(10_000))

    def event(kind, **members):
        return sse({"type": kind, "sequence_number": next(number), **members}, kind)
    begin = (event("response.created", response=response("in_progress"))
             + event("response.output_item.added", output_index=0, item=item)
             + event("response.content_part.added", item_id="msg_1", output_index=0, content_index=0, part=part))
    deltas = [event("response.output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=WORD.format(i))
              for i in range(DELTAS)]
    usage = {"input_tokens": 9, "output_tokens": 64, "total_tokens": 73}
    end = (event("response.output_text.done", item_id="msg_1", output_index=0, content_index=0, text=text)
           + event("response.content_part.done", item_id="msg_1", output_index=0, content_index=0, part={**part, "text": text})
           + event("response.output_item.done", output_index=0, item=done)
           + event("response.completed", response=response("completed", usage=usage) | {"output": [done]}))
    return begin, deltas, end


def gemini_stream():
    def chunk(text, **more):
        return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}],
                "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 64, "totalTokenCount": 73}, "modelVersion": "m-1",
                "responseId": "r-1"}
    return b"", [sse(chunk(WORD.format(i))) for i in range(DELTAS)], sse(chunk("end", finishReason="STOP"))


def ollama_stream():
    def chunk(text, **more):
        return (line({"model": "m-1", "created_at": "2026-11-21T00:00:00Z", "message": {"role": "assistant", "content": text}, **more}) + "\n").encode()
    return b"", [chunk(WORD.format(i), done=False) for i in range(DELTAS)], chunk("", done=True, done_reason="stop", prompt_eval_count=9, eval_count=64)


REPLIES = {
    "anthropic": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [{"type": "text", "text": "done"}],
                  "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 1}},
    "openai_chat": {"id": "chatcmpl-1", "object": "chat.completion", "created": 1795000000, "model": "m-1",
                    "choices": [{"index": 0, "message": {"role": "assistant", "content": "done"}, "finish_reason": "stop"}],
                    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}},
    "openai_responses": {"id": "resp_1", "object": "response", "created_at": 1795000000, "model": "m-1", "status": "completed",
                         "output": [{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
                                     "content": [{"type": "output_text", "text": "done", "annotations": []}]}],
                         "usage": {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}},
    "gemini": {"candidates": [{"content": {"role": "model", "parts": [{"text": "done"}]}, "index": 0, "finishReason": "STOP"}],
               "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 1, "totalTokenCount": 10}, "modelVersion": "m-1"},
    "ollama": {"model": "m-1", "created_at": "2026-11-21T00:00:00Z", "message": {"role": "assistant", "content": "done"}, "done": True,
               "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 1},
}
SPOKEN = {"anthropic": anthropic_stream, "openai_chat": chat_stream, "openai_responses": responses_stream, "gemini": gemini_stream,
          "ollama": ollama_stream}


def dialect_of(path):
    if "generateContent" in path or "GenerateContent" in path:
        return "gemini"
    ends = {"/chat/completions": "openai_chat", "/responses": "openai_responses", "/api/chat": "ollama"}
    return next((name for end, name in ends.items() if path.endswith(end)), "anthropic")


class Provider(asyncio.Protocol):
    """Answers any number of requests on one connection; all streams share one clock."""
    streams = {name: make() for name, make in SPOKEN.items()}
    replies = {name: line(reply).encode() for name, reply in REPLIES.items()}
    flowing = set()

    def connection_made(self, transport):
        self.transport, self.got, self.at, self.name = transport, b"", 0, ""

    def connection_lost(self, _):
        Provider.flowing.discard(self)

    def data_received(self, data):
        self.got += data
        while True:
            head_end = self.got.find(b"\r\n\r\n")
            if head_end < 0:
                return
            head = self.got[:head_end].lower()
            mark = head.find(b"content-length:")
            length = int(head[mark + 15:].split(b"\r", 1)[0]) if mark >= 0 else 0
            if len(self.got) < head_end + 4 + length:
                return
            body = self.got[head_end + 4:head_end + 4 + length]
            path = self.got.split(b" ", 2)[1].decode().split("?")[0]
            self.got = self.got[head_end + 4 + length:]
            self.answer(dialect_of(path), path, body)

    def answer(self, name, path, body):
        streams = "streamGenerateContent" in path if name == "gemini" else b'"stream":true' in body.replace(b'": t', b'":t')
        if not streams:
            reply = Provider.replies[name]
            self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(reply) + reply)
            return
        media = b"application/x-ndjson" if name == "ollama" else b"text/event-stream"
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-type: " + media + b"\r\ntransfer-encoding: chunked\r\n\r\n")
        self.name, self.at = name, 0
        self.send(Provider.streams[name][0])
        Provider.flowing.add(self)

    def send(self, data):
        if data:
            self.transport.write(b"%x\r\n" % len(data) + data + b"\r\n")

    def step(self):
        _, deltas, end = Provider.streams[self.name]
        if self.at < len(deltas):
            self.send(deltas[self.at])
            self.at += 1
            return
        self.send(end)
        self.transport.write(b"0\r\n\r\n")
        Provider.flowing.discard(self)


async def provide(listener):
    server = await asyncio.get_running_loop().create_server(Provider, sock=listener, backlog=1024)
    due = time.monotonic()
    while server.is_serving():
        due = max(due + GAP, time.monotonic() - GAP)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        for stream in list(Provider.flowing):
            stream.step()


def start_provider():
    """(its port, its process)"""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        process = multiprocessing.get_context("fork").Process(target=lambda: asyncio.run(provide(listener)), daemon=True)
        process.start()
        return listener.getsockname()[1], process


def providers(port):
    """Of a configuration: what listens on `port`, once for each dialect and named after it."""
    base = f"http://127.0.0.1:{port}"
    bases = {"anthropic": base, "openai_chat": base + "/v1", "openai_responses": base + "/v1", "gemini": base + "/v1beta", "ollama": base}
    return {name: {"dialect": name, "base_url": bases[name], "api_key": "k", "models": ["m-*"]} for name in DIALECTS}


# --- what clients ask

def conversation(size):
    """(system, tools, turns) with turns of a text, a call and its result."""
    rnd = random.Random(7)
    words = "the a request rule model provider stream token budget parser config file test error value should return when router cache".split()

    def prose(n):
        text = []
        while sum(map(len, text)) < n:
            text.append(" ".join(rnd.choices(words, k=9)) + ".\n")
        return "".join(text)[:n]
    tools = [{"name": f"tool_{i}", "description": prose(1300),
              "parameters": {"type": "object", "properties": {f"p{k}": {"type": "string", "description": prose(90)} for k in range(5)},
                             "required": ["p0"]}} for i in range(24)]
    turns, bytes_left = [], size - 60_000
    while bytes_left > 0:
        result = "".join(f"{i:5d}\tconst auto {w} = find_{w}(request, \"{w}\");  // the {w} of this {v}\n"
                         for i, (w, v) in enumerate(zip(rnd.choices(words, k=60), rnd.choices(words, k=60))))
        turns.append((prose(250), {"p0": f"/repo/{len(turns)}.cc"}, result))
        bytes_left -= len(result) + 700
    return prose(14_000), tools, turns


def asks(stream, size):
    """The same request in every dialect: {dialect: (path, headers, body as a function of the model)}."""
    system, tools, turns = conversation(size) if size else ("Be brief.", [], [])
    messages = {name: [] for name in DIALECTS}
    messages["openai_chat"].append({"role": "system", "content": system})
    messages["ollama"].append({"role": "system", "content": system})
    for kept in messages.values():
        kept.append({"role": "user", "content": "Say something."})
    messages["gemini"] = [{"role": "user", "parts": [{"text": "Say something."}]}]
    for number, (text, arguments, result) in enumerate(turns):
        call = f"call_{number:08d}"
        messages["anthropic"] += [
            {"role": "assistant", "content": [{"type": "text", "text": text}, {"type": "tool_use", "id": call, "name": "tool_0", "input": arguments}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": [{"type": "text", "text": result}]}]}]
        messages["openai_chat"] += [
            {"role": "assistant", "content": text, "tool_calls": [{"id": call, "type": "function", "function": {"name": "tool_0", "arguments": line(arguments)}}]},
            {"role": "tool", "tool_call_id": call, "content": result}]
        messages["openai_responses"] += [
            {"role": "assistant", "content": text}, {"type": "function_call", "call_id": call, "name": "tool_0", "arguments": line(arguments)},
            {"type": "function_call_output", "call_id": call, "output": result}]
        messages["gemini"] += [
            {"role": "model", "parts": [{"text": text}, {"functionCall": {"name": "tool_0", "args": arguments}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "tool_0", "response": {"output": result}}}]}]
        messages["ollama"] += [
            {"role": "assistant", "content": text, "tool_calls": [{"function": {"name": "tool_0", "arguments": arguments}}]},
            {"role": "tool", "tool_name": "tool_0", "content": result}]
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    functions = [{"type": "function", "function": tool} for tool in tools]
    bodies = {
        "anthropic": {"max_tokens": 1024, "stream": stream, "system": [{"type": "text", "text": system}], "messages": messages["anthropic"],
                      "tools": [{"name": t["name"], "description": t["description"], "input_schema": t["parameters"]} for t in tools]},
        "openai_chat": {"stream": stream, "stream_options": {"include_usage": True}, "messages": messages["openai_chat"], "tools": functions},
        "openai_responses": {"stream": stream, "store": False, "instructions": system, "input": messages["openai_responses"],
                             "tools": [{"type": "function", "strict": False, **tool} for tool in tools]},
        "gemini": {"systemInstruction": {"parts": [{"text": system}]}, "contents": messages["gemini"],
                   "tools": [{"functionDeclarations": tools}] if tools else []},
        "ollama": {"stream": stream, "messages": messages["ollama"], "tools": functions, "options": {"num_ctx": 131072}},
    }
    if not stream:
        del bodies["openai_chat"]["stream_options"]
    for body in bodies.values():
        if not body.get("tools"):
            body.pop("tools", None)
    paths = {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions", "openai_responses": "/v1/responses", "ollama": "/api/chat"}

    def request(name, model):
        body = dict(bodies[name])
        path = paths.get(name) or f"/v1beta/models/{quote(model, safe='')}:{method}"
        if name != "gemini":
            body = {"model": model, **body}
        data = line(body).encode()
        head = (f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\nanthropic-version: 2023-06-01\r\n"
                f"content-length: {len(data)}\r\n\r\n")
        return head.encode() + data
    return request


class Client(asyncio.Protocol):
    """Sends the same request again and again on one connection; counts whole answers."""

    def __init__(self, request, times, tally):
        self.request, self.left, self.tally = request, times, tally
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport, self.got = transport, b""
        transport.write(self.request)

    def connection_lost(self, _):
        if not self.done.done():
            self.done.set_result(None)

    def data_received(self, data):
        self.got += data
        chunked = b"chunked" in self.got[:1500].lower()
        if chunked:
            whole = self.got.endswith(b"0\r\n\r\n")
        else:
            end = self.got.find(b"\r\n\r\n")
            mark = self.got[:end].lower().find(b"content-length:") if end >= 0 else -1
            whole = mark >= 0 and len(self.got) >= end + 4 + int(self.got[mark + 15:end].split(b"\r", 1)[0])
        if not whole:
            return
        if self.is_good():
            self.tally["good"] += 1
            self.tally["deltas"] += self.got.count(b"request00")
        else:
            self.tally["bad"] = self.got[-300:].decode(errors="replace")
        self.got = b""
        self.left -= 1
        if self.left > 0:
            self.transport.write(self.request)
        else:
            self.transport.close()

    def is_good(self):
        return self.got.startswith(b"HTTP/1.1 200") and b'"error":{' not in self.got


async def load(port, request, connections, each, what, kind=Client):
    """Ends the program when an answer is not good."""
    tally = {"good": 0, "deltas": 0, "bad": ""}
    clients = []
    for _ in range(connections):
        _, client = await asyncio.get_running_loop().create_connection(lambda: kind(request, each, tally), "127.0.0.1", port)
        clients.append(client)
    await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), 120)
    if tally["bad"] or tally["good"] != connections * each:
        raise SystemExit(f"{what}: {tally['good']} of {connections * each} answers were good; one ended with {tally['bad']!r}")


def cpu_us(pid):
    pids, total = [pid], 0
    while pids:
        at = pids.pop()
        for task in glob.glob(f"/proc/{at}/task/*"):
            try:
                total += int(Path(task, "schedstat").read_text().split()[0])
                pids += [int(child) for child in Path(task, "children").read_text().split()]
            except OSError:
                pass  # it has just ended
    return total / 1000


def measure(pid, port, request, connections, each, what):
    asyncio.run(load(port, request, min(connections, 4), 1, what))  # warm
    before = cpu_us(pid)
    asyncio.run(load(port, request, connections, each, what))
    time.sleep(0.1)  # the ledger's rows
    return (cpu_us(pid) - before) / (connections * each)


NGINX = """daemon off; worker_processes 1; error_log stderr error; pid {folder}/nginx.pid;
events {{ worker_connections 4096; multi_accept on; }}
http {{
  access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3; uwsgi_temp_path {folder}/4;
  scgi_temp_path {folder}/5; keepalive_requests 1000000; client_max_body_size 64m; client_body_buffer_size 2m; tcp_nodelay on;
  upstream provider {{ server 127.0.0.1:{provider}; keepalive 512; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://provider; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_buffering off; }} }}
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pin(core):
    os.sched_setaffinity(0, {core % os.cpu_count()})


def table(title, ratios):
    print(f"\n{title}\n")
    print("| client \\ provider | " + " | ".join(DIALECTS) + " |")
    print("|---|" + "---:|" * len(DIALECTS))
    for client in DIALECTS:
        print(f"| {client} | " + " | ".join(f"{ratios[client, to]:.2f}" if (client, to) in ratios else "" for to in DIALECTS) + " |")
    print(f"\nmost: {max(ratios.values()):.2f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--only", choices=("streams", "requests"))
    parser.add_argument("--pair", type=lambda pair: tuple(pair.split(",")), help="only this one, of dialects; for a profile")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    if not shutil.which("nginx"):
        raise SystemExit("nginx is not installed: there is nothing to compare with")
    folder = tempfile.mkdtemp()
    pin(0)
    provider_port, provider = start_provider()
    nginx_port = free_port()
    Path(folder, "nginx.conf").write_text(NGINX.format(folder=folder, provider=provider_port, port=nginx_port))
    config = {"workers": 1, "log": {"level": "error"}, "ledger": {"path": f"{folder}/ledger.db"}, "routes": {"default": "anthropic,m-1"},
              "providers": providers(provider_port)}
    Path(folder, "ccrules.json").write_text(json.dumps(config))
    pin(1)
    nginx = subprocess.Popen(["nginx", "-c", f"{folder}/nginx.conf"], stderr=subprocess.DEVNULL)
    proxy = Proxy(options.binary, folder, env=clean_environment(options.binary, folder))
    pin(0)
    kinds = {"streams": (asks(True, 0), AT_ONCE, STREAMS // AT_ONCE), "requests": (asks(False, 149_000), 16, 40)}
    taken, nginx_us = {}, {}
    pairs = [(client, to) for client in DIALECTS for to in DIALECTS if options.pair in (None, (client, to))]
    try:
        for _ in range(options.runs):
            for kind, (request, connections, each) in kinds.items():
                if options.only not in (None, kind):
                    continue
                for client, to in pairs:
                    passed = to if kind == "streams" else client  # whose bytes nginx passes
                    plain = measure(nginx.pid, nginx_port, request(passed, "m-1"), connections, each, f"nginx {passed}")
                    cost = measure(proxy.process.pid, proxy.port, request(client, f"{to},m-1"), connections, each, f"{client} to {to}")
                    nginx_us.setdefault((kind, passed), []).append(plain)
                    taken.setdefault((kind, client, to), []).append(cost / plain)
    finally:
        proxy.stop()
        nginx.send_signal(signal.SIGTERM)
        provider.terminate()
        shutil.rmtree(folder, ignore_errors=True)
    for kind, title in (("streams", "CPU of a paced stream against nginx passing the provider's stream"),
                        ("requests", "CPU of a 149 KB request against nginx passing the client's")):
        if options.only not in (None, kind):
            continue
        ratios = {(client, to): statistics.median(taken[kind, client, to]) for client, to in pairs}
        table(title, ratios)
        print("nginx: " + ", ".join(f"{name} {statistics.median(us):.0f} us" for (of, name), us in nginx_us.items() if of == kind))
    if options.json:
        Path(options.json).write_text(json.dumps({" ".join(key): values for key, values in taken.items()}))


if __name__ == "__main__":
    main()
