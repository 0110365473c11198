// Drives Claude Code in a throw-away home through A (rules) to B (the simulator) and reads A's ledger.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanEnvironment, forget, home, Proxy } from '../lib/proxy.mjs';

const project = join(home, 'project');
mkdirSync(join(project, '.claude', 'agents'), { recursive: true });
writeFileSync(join(project, '.claude', 'agents', 'reviewer.md'),
  '---\nname: reviewer\ndescription: Reviews a change and reports.\n---\n\nYou are the careful reviewer of this little test project. You read and report.\n');
writeFileSync(join(project, 'note.txt'), 'the note says forty-two\n');

const b = await Proxy.start('b', { providers: { sim: { dialect: 'sim', models: ['*'] } } });
const a = await Proxy.start('a', {
  providers: {
    simA: { dialect: 'anthropic', base_url: b.url, api_key: 'key-of-a' },
    simO: { dialect: 'openai_chat', base_url: `${b.url}/v1`, api_key: 'key-of-o' },
  },
  routes: { default: 'simA,default-model' },
  agents: { reviewer: 'simO,reviewer-model' },
  thresholds: { longContext: 1000000 },
});

/** One `claude -p` run; the parsed JSON it prints. */
async function claude(prompt, ...more) {
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
      CLAUDE_CODE_MAX_RETRIES: '1',
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

test('every request of these runs has one row, a session and status 200', async () => {
  const rows = a.rows();
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
