// Drives Claude Code in a throw-away home through A (rules) to B (the simulator) and reads A's ledger.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import http from 'node:http';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanEnvironment, forget, home, Proxy } from '../lib/proxy.mjs';

const project = join(home, 'project');
mkdirSync(join(project, '.claude', 'agents'), { recursive: true });
writeFileSync(join(project, '.claude', 'agents', 'reviewer.md'),
  '---\nname: reviewer\ndescription: Reviews a change and reports.\n---\n\nYou are the careful reviewer of this little test project. You read and report.\n');
writeFileSync(join(project, 'note.txt'), 'the note says forty-two\n');

const b = await Proxy.start('b', { providers: { sim: { dialect: 'sim', models: ['*'] } } });

// Between A and B: fails as a test says, once, and passes everything else on.
const failures = [];
const asked = [];
const between = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const body = Buffer.concat(pieces);
    const parsed = JSON.parse(body.toString() || '{}');
    asked.push(parsed);
    const at = failures.findIndex((failure) => failure.when(parsed, request));
    if (at >= 0) return failures.splice(at, 1)[0].answer(response);
    const onward = http.request(`${b.url}${request.url}`, { method: request.method, headers: { ...request.headers, host: new URL(b.url).host } },
      (reply) => { response.writeHead(reply.statusCode, reply.headers); reply.pipe(response); });
    onward.on('error', () => response.destroy());
    onward.end(body);
  });
});
await new Promise((done) => between.listen(0, '127.0.0.1', done));

const a = await Proxy.start('a', {
  retry: { max_attempts: 1 },   // the client's own recovery is what is looked at
  circuit: { failures: 0 },
  providers: {
    simF: { dialect: 'anthropic', base_url: `http://127.0.0.1:${between.address().port}`, api_key: 'key-of-f', max_retries: 0 },
    simA: { dialect: 'anthropic', base_url: b.url, api_key: 'key-of-a' },
    simO: { dialect: 'openai_chat', base_url: `${b.url}/v1`, api_key: 'key-of-o' },
  },
  routes: { default: 'simA,default-model' },
  agents: { reviewer: 'simO,reviewer-model' },
  thresholds: { longContext: 1000000 },
});

/** One `claude -p` run; the parsed JSON it prints. */
async function claude(prompt, ...more) {
  const variables = typeof more.at(-1) === 'object' ? more.pop() : {};
  const args = ['-p', prompt, '--output-format', 'json', '--allowedTools', 'Bash(echo:*),Read,Agent,Task', ...more];
  const child = spawn(process.env.CLAUDE_CODE, args, {
    cwd: project,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: cleanEnvironment({
      ANTHROPIC_BASE_URL: a.url,
      ANTHROPIC_AUTH_TOKEN: 'fake-key-for-a-test',
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
      DISABLE_AUTOUPDATER: '1',
      DISABLE_TELEMETRY: '1',
      DISABLE_ERROR_REPORTING: '1',
      CLAUDE_CODE_MAX_RETRIES: '3',
      ...variables,
      ...(process.env.HINTS ? { CLAUDE_CODE_GATEWAY_HINT_HEADERS: '1' } : {}),
    }),
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (bytes) => { out += bytes; });
  child.stderr.on('data', (bytes) => { err += bytes; });
  const late = setTimeout(() => child.kill('SIGKILL'), 90000);
  const code = await new Promise((done) => child.on('exit', done));
  clearTimeout(late);
  try {
    return { code, ...JSON.parse(out) };
  } catch {
    throw new Error(`claude printed no JSON (exit ${code})\nstdout: ${out}\nstderr: ${err}`);
  }
}

const tests = [];
const test = (name, body) => tests.push({ name, body });

for (const provider of ['simA', 'simO']) {
  test(`a Bash call runs and its result comes back (${provider})`, async () => {
    const done = await claude('[[sim:script text:"I run it." + tool:Bash{"command":"echo tool-$((40+2))","description":"Print"} ; text:"It printed {result}"]]',
      '--model', `${provider},claude-sim`);
    assert.equal(done.code, 0, JSON.stringify(done));
    assert.equal(done.is_error, false, JSON.stringify(done));
    assert.match(done.result, /It printed tool-42/);
  });

  test(`a file is read, after thinking (${provider})`, async () => {
    const done = await claude(`[[sim:script thinking:"I must look." + tool:Read{"file_path":"${join(project, 'note.txt')}"} ; text:"It says: {result}"]]`,
      '--model', `${provider},claude-sim`);
    assert.equal(done.is_error, false, JSON.stringify(done));
    assert.match(done.result, /forty-two/);
  });
}

test('a subagent answers and goes to the model its override names', async () => {
  const before = a.rows().length;
  const done = await claude(
    '[[sim:script tool:Agent|Task{"description":"Review","subagent_type":"reviewer","run_in_background":false,"prompt":"[[sim:text say=\\"the review is done\\"]]"} ; text:"The agent said: {result}"]]',
    '--model', 'claude-sonnet-5-5');
  assert.equal(done.is_error, false, JSON.stringify(done));
  assert.match(done.result, /the review is done/);
  const rows = (await a.rowsSoon(before + 3)).slice(before);
  const agents = rows.filter((row) => row.agent === 'reviewer');
  assert.ok(agents.length >= 1, `no row names the agent: ${JSON.stringify(rows, null, 1)}`);
  for (const row of agents) {
    assert.equal(row.provider, 'simO');
    assert.equal(row.model, 'reviewer-model');
    assert.equal(row.status, 200);
    assert.equal(row.requested_model, 'claude-sonnet-5-5');
  }
  const parents = rows.filter((row) => row.model === 'default-model');
  assert.ok(parents.length >= 2, 'the parent went to the default model before and after');
});

const main = (body) => body.stream === true && (body.tools?.length ?? 0) > 0;
const failure = (status, type, message, headers = {}) => ({
  when: main,
  answer: (response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify({ type: 'error', error: { type, message } }));
  },
});

for (const [status, type] of [[429, 'rate_limit_error'], [529, 'overloaded_error'], [500, 'api_error']]) {
  test(`a ${status} is recovered from by the client`, async () => {
    const before = a.rows().length;
    failures.push(failure(status, type, 'not now', status === 429 ? { 'retry-after': '1' } : {}));
    const done = await claude('[[sim:echo]] after all', '--model', 'simF,claude-sim');
    assert.equal(done.is_error, false, JSON.stringify(done));
    assert.match(done.result, /after all/);
    assert.equal(failures.length, 0);
    const rows = (await a.rowsSoon(before + 2)).slice(before);
    assert.ok(rows.some((row) => row.status === status), JSON.stringify(rows.map((row) => row.status)));
  });
}

test('an error in the middle of a stream is recovered from', async () => {
  failures.push({
    when: main,
    answer: (response) => {
      const event = (type, data) => response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      event('message_start', { message: { id: 'msg_x', type: 'message', role: 'assistant', model: 'claude-sim', content: [], stop_reason: null,
        stop_sequence: null, usage: { input_tokens: 5, output_tokens: 1, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 } } });
      event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } });
      event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'half an ans' } });
      setTimeout(() => { event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } }); response.end(); }, 200);
    },
  });
  const done = await claude('[[sim:echo]] the whole answer', '--model', 'simF,claude-sim');
  assert.equal(failures.length, 0);
  assert.equal(done.is_error, false, JSON.stringify(done));
  assert.match(done.result, /the whole answer/);
});

test('a prompt that is too long is compacted by the client, which then goes on', async () => {
  const from = asked.length;
  failures.push({ ...failure(400, 'invalid_request_error', 'prompt is too long: 210000 tokens > 200000 maximum'),
    when: (body) => main(body) && JSON.stringify(body.messages).includes('tool_result') });
  const done = await claude('[[sim:script text:"I run it." + tool:Bash{"command":"echo tool-$((40+2))","description":"Print"} ; text:"It printed {result}"]]',
    '--model', 'simF,claude-sim');
  assert.equal(failures.length, 0, 'the overflow was never asked for');
  const later = asked.slice(from);
  const summaries = later.filter((body) => JSON.stringify(body.messages.at(-1)).includes('summary'));
  assert.equal(done.is_error, false, JSON.stringify(done).slice(0, 800));
  assert.ok(summaries.length >= 1, `no request asks for a summary: ${later.length} requests; ${JSON.stringify(done).slice(0, 800)}`);
});

test('tools are found by search: deferred ones and their references pass', async () => {
  const from = asked.length;
  const done = await claude('[[sim:echo]] searched', '--model', 'simF,claude-sim', { ENABLE_TOOL_SEARCH: 'true' });
  assert.equal(done.is_error, false, JSON.stringify(done));
  const names = asked.slice(from).flatMap((body) => (body.tools ?? []).map((tool) => tool.name));
  assert.ok(names.includes('ToolSearch'), names.join(' '));
});

test('every request of these runs has one row, a session and, but for the failures that were asked for, status 200', async () => {
  const rows = a.rows(`provider != 'simF'`);
  assert.ok(rows.length > 0);
  for (const row of rows) {
    assert.equal(row.status, 200, JSON.stringify(row));
    assert.ok(row.session, JSON.stringify(row));
  }
});

let failed = 0;
for (const { name, body } of tests) {
  const from = Date.now();
  try {
    await body();
    console.log(`ok      ${String(Date.now() - from).padStart(6)} ms  claude code: ${name}`);
  } catch (error) {
    ++failed;
    console.log(`FAILED  ${String(Date.now() - from).padStart(6)} ms  claude code: ${name}`);
    console.log(String(error?.stack ?? error).replace(/^/gm, '        '));
  }
}
between.close();
between.closeAllConnections();
for (const proxy of [a, b]) {
  const how = await proxy.stop();
  if (how.code !== 0) {
    ++failed;
    console.log(`FAILED  ${proxy.name} ended with ${JSON.stringify(how)} after SIGTERM`);
  }
  if (failed) console.log(`--- output of ${proxy.name}\n${proxy.output.slice(-4000)}`);
}
forget();
console.log(`${tests.length - failed} of ${tests.length} Claude Code tests passed`);
process.exit(failed ? 1 : 0);
