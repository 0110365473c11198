// A provider that speaks HTTP/2 (node's own server), behind TLS, reached directly and through a CONNECT proxy.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer as createProxy } from 'node:http';
import { constants, createSecureServer } from 'node:http2';
import { connect } from 'node:net';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { home, Proxy } from './lib/proxy.mjs';

const listening = (server) => new Promise((done) => server.listen(0, '127.0.0.1', () => done(server.address().port)));

function certificate() {
  const key = join(home, 'h2.key');
  const cert = join(home, 'h2.pem');
  const made = spawnSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
    '-keyout', key, '-out', cert, '-days', '1', '-subj', '/CN=test', '-addext', 'subjectAltName=IP:127.0.0.1'], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`openssl: ${made.stderr || made.error}`);
  return { file: cert, key: readFileSync(key), cert: readFileSync(cert) };
}

const whole = (text) => JSON.stringify({
  id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 },
});
const piece = (text, finish = null) => `data: ${JSON.stringify({
  id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'm',
  choices: [{ index: 0, delta: { content: text }, finish_reason: finish }],
})}\n\n`;

let count = 0;
/** Starts the provider, the CONNECT proxy and a ccrules that uses both; stops them after `body`. */
async function withUpstream(body) {
  const keys = certificate();
  const seen = { sessions: [], versions: [], cancelled: 0, connects: [], held: [] };
  const server = createSecureServer({ key: keys.key, cert: keys.cert, allowHTTP1: true }, async (request, response) => {
    let text = '';
    for await (const bytes of request) text += bytes;
    const asked = JSON.parse(text);
    const last = asked.messages.at(-1).content;
    seen.versions.push(request.httpVersion);
    seen.accepted = request.headers['accept-encoding'];
    const stream = response.stream;
    stream?.on('close', () => { if (stream.rstCode === constants.NGHTTP2_CANCEL) ++seen.cancelled; });
    if (asked.stream) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(piece('first '));
      if (last === 'hold') return seen.held.push(response);
      setTimeout(() => response.end(piece(last) + piece('', 'stop') + 'data: [DONE]\n\n'), 50);
    } else if (last === 'gzip' || last === 'br') {
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': last });
      response.end(last === 'gzip' ? gzipSync(whole('packed')) : brotliCompressSync(whole('packed')));
    } else {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(whole(`${last.length}`));
    }
  });
  server.on('session', (session) => seen.sessions.push(session));
  const port = await listening(server);

  const tunnels = createProxy((request, response) => { response.writeHead(405); response.end(); });
  tunnels.on('connect', (request, client) => {
    seen.connects.push(request.headers['proxy-authorization'] ?? '');
    if (request.headers['proxy-authorization'] !== `Basic ${btoa('me:s3cret')}`) return client.end('HTTP/1.1 407 Who\r\n\r\n');
    const [host, number] = request.url.split(':');
    const far = connect(Number(number), host, () => { client.write('HTTP/1.1 200 OK\r\n\r\n'); client.pipe(far); far.pipe(client); });
    for (const one of [client, far]) one.on('error', () => { client.destroy(); far.destroy(); });
  });
  const door = await listening(tunnels);

  const provider = { dialect: 'openai_chat', base_url: `https://127.0.0.1:${port}/v1`, ca_file: keys.file, compression: 'on' };
  const proxy = await Proxy.start(`h${++count}`, {
    providers: {
      two: { ...provider, models: ['two'] },
      one: { ...provider, models: ['one'], http2: 'off' },
      door: { ...provider, models: ['door'], proxy: `http://me:s3cret@127.0.0.1:${door}` },
      shut: { ...provider, models: ['shut'], proxy: `http://me:wr0ng@127.0.0.1:${door}` },
    },
    retry: { max_attempts: 1 },
  });
  const ask = (model, content, more = {}) => fetch(`${proxy.url}/v1/chat/completions`, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content }], ...more.body }), signal: more.signal,
  });
  try {
    await body({ ask, seen, proxy, server });
  } finally {
    const how = await proxy.stop();
    for (const session of seen.sessions) session.destroy();
    server.close();
    tunnels.closeAllConnections();
    tunnels.close();
    assert.equal(how.code, 0, proxy.output);
    assert.doesNotMatch(proxy.output, /s3cret|wr0ng|Sanitizer|runtime error|ASSERT/);
  }
}

test('HTTP/2: many streams share one connection, large bodies pass, a client that leaves resets its stream only', () =>
  withUpstream(async ({ ask, seen }) => {
    await (await ask('two', 'hello')).json();
    const texts = await Promise.all(Array.from({ length: 30 }, async (_, i) =>
      (await ask('two', `text-${i}`, { body: { stream: true } })).text()));
    texts.forEach((text, i) => assert.match(text, new RegExp(`first .*text-${i}".*\\[DONE\\]`, 's')));
    const large = 'x'.repeat(3_000_000);
    assert.equal((await (await ask('two', large)).json()).choices[0].message.content, '3000000');

    const leaves = new AbortController();
    const held = await ask('two', 'hold', { body: { stream: true }, signal: leaves.signal });
    await held.body.getReader().read();
    const cancelled = seen.cancelled;
    leaves.abort();
    for (let i = 0; i < 1500 && seen.cancelled === cancelled; ++i) await new Promise((done) => setTimeout(done, 20));
    assert.equal(seen.cancelled, cancelled + 1);
    assert.equal((await (await ask('two', 'four')).json()).choices[0].message.content, '4');
    assert.deepEqual([...new Set(seen.versions)], ['2.0']);
    assert.equal(seen.sessions.length, 1);
  }));

test('HTTP/2: a GOAWAY lets running streams finish and moves the next ones; a lost connection is an error event', () =>
  withUpstream(async ({ ask, seen }) => {
    const held = await ask('two', 'hold', { body: { stream: true } });
    const reader = held.body.getReader();
    await reader.read();
    seen.sessions[0].goaway(constants.NGHTTP2_NO_ERROR, 1);  // the held one is the last that it serves
    assert.equal((await (await ask('two', 'four')).json()).choices[0].message.content, '4');
    assert.equal(seen.sessions.length, 2);
    seen.held[0].end(piece('to the end') + piece('', 'stop') + 'data: [DONE]\n\n');
    let rest = '';
    for (let got = await reader.read(); !got.done; got = await reader.read()) rest += new TextDecoder().decode(got.value);
    assert.match(rest, /to the end.*\[DONE\]/s);

    const cut = await ask('two', 'hold', { body: { stream: true } });
    const cutReader = cut.body.getReader();
    await cutReader.read();
    seen.sessions[1].destroy();
    rest = '';
    for (let got = await cutReader.read(); !got.done; got = await cutReader.read()) rest += new TextDecoder().decode(got.value);
    assert.match(rest, /"error"/);
    assert.match(rest, /provider 'two'/);
  }));

test('HTTP/2: http2 off speaks HTTP/1.1 to the same server; compressed answers arrive plain', () =>
  withUpstream(async ({ ask, seen, proxy }) => {
    assert.equal((await (await ask('one', 'hello')).json()).choices[0].message.content, '5');
    assert.deepEqual(seen.versions, ['1.1']);
    for (const model of ['one', 'two']) {
      for (const coding of ['gzip', 'br']) {
        assert.equal((await (await ask(model, coding)).json()).choices[0].message.content, 'packed');
        assert.equal(seen.accepted, 'zstd, br, gzip');
      }
    }
    const rows = await proxy.rowsSoon(5, '1');
    for (const row of rows) assert.equal(row.output_tokens, 7);
  }));

test('CONNECT proxy: HTTP/2 inside of the tunnel, its password where it belongs, a refusal in one sentence', () =>
  withUpstream(async ({ ask, seen }) => {
    assert.equal((await (await ask('door', 'hello')).json()).choices[0].message.content, '5');
    assert.equal((await (await ask('door', 'hello!')).json()).choices[0].message.content, '6');
    assert.deepEqual(seen.versions, ['2.0', '2.0']);
    assert.equal(seen.connects.length, 1);
    const refused = await ask('shut', 'hello');
    assert.equal(refused.status, 502);
    assert.match((await refused.json()).error.message, /the proxy 127\.0\.0\.1:\d+ does not accept the user name and password/);
  }));
