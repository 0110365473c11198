// Drives Codex in a throw-away home through A (rules) to B (the simulator) and reads A's ledger.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanEnvironment, forget, home, Proxy } from '../lib/proxy.mjs';

const project = join(home, 'project');
mkdirSync(project, { recursive: true });

const b = await Proxy.start('b', { providers: { sim: { dialect: 'sim', models: ['*'] } } });
const a = await Proxy.start('a', {
  providers: {
    simA: { dialect: 'anthropic', base_url: b.url, api_key: 'key-of-a', models: ['a-*'] },
    simO: { dialect: 'openai_chat', base_url: `${b.url}/v1`, api_key: 'key-of-o', models: ['o-*'] },
    simR: { dialect: 'openai_responses', base_url: `${b.url}/v1`, api_key: 'key-of-r', models: ['r-*'] },
    simG: { dialect: 'gemini', base_url: b.url, api_key: 'key-of-g', models: ['g-*'] },
    simL: { dialect: 'ollama', base_url: b.url, models: ['l-*'] },
  },
  circuit: { failures: 0 },
});

mkdirSync(join(home, '.codex'), { recursive: true });
writeFileSync(join(home, '.codex', 'config.toml'), `
model_provider = "ccrules"
[model_providers.ccrules]
name = "ccrules"
base_url = "${a.url}/v1"
env_key = "FAKE_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
`);

/** One `codex exec` run: the events it prints, one JSON object a line. */
async function codex(prompt, model) {
  const args = ['exec', '--json', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', '-m', model, prompt];
  const child = spawn(process.execPath, [process.env.CODEX, ...args], {
    cwd: project, stdio: ['ignore', 'pipe', 'pipe'], env: cleanEnvironment({ FAKE_KEY: 'fake-key-for-a-test', CODEX_HOME: join(home, '.codex') }),
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (bytes) => { out += bytes; });
  child.stderr.on('data', (bytes) => { err += bytes; });
  const late = setTimeout(() => child.kill('SIGKILL'), 60000);
  const code = await new Promise((done) => child.on('exit', done));
  clearTimeout(late);
  const events = out.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const items = events.filter((event) => event.type === 'item.completed').map((event) => event.item);
  return { code, out, err, items, said: items.filter((item) => item.type === 'agent_message').map((item) => item.text).join('\n') };
}

const tests = [];
const test = (name, body) => tests.push({ name, body });

const lanes = [['simR', 'r-model'], ['simA', 'a-model'], ['simO', 'o-model'], ['simG', 'g-model'], ['simL', 'l-model']];
for (const [provider, model] of lanes) {
  test(`an answer comes whole (${provider})`, async () => {
    const done = await codex('[[sim:echo]] plain words, üñí 世界', model);
    assert.equal(done.code, 0, done.out + done.err);
    assert.match(done.said, /plain words, üñí 世界/);
  });

  test(`a command runs and its result goes back (${provider})`, async () => {
    const done = await codex(
      '[[sim:script text:"I run it." + tool:exec_command|shell_command|shell{"cmd":"echo tool-$((40+2))","command":"echo tool-$((40+2))"} ; text:"It printed {result}"]]', model);
    assert.equal(done.code, 0, done.out + done.err);
    assert.match(done.said, /tool-42/, done.out + done.err);
  });

  test(`an overloaded provider is told as an error (${provider})`, async () => {
    const done = await codex('[[sim:error status=529]]', model);
    assert.notEqual(done.code, 0, done.out);
  });
}

test('every request of these runs has its row', async () => {
  const least = 3 * lanes.length;
  const rows = await a.rowsSoon(least);
  assert.ok(rows.length >= least, String(rows.length));
  for (const row of rows) assert.equal(row.dialect, 'openai_responses');
});

let failed = 0;
for (const { name, body } of tests) {
  const from = Date.now();
  try {
    await body();
    console.log(`ok      ${String(Date.now() - from).padStart(6)} ms  codex: ${name}`);
  } catch (error) {
    ++failed;
    console.log(`FAILED  ${String(Date.now() - from).padStart(6)} ms  codex: ${name}`);
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
console.log(`${tests.length - failed} of ${tests.length} Codex tests passed`);
process.exit(failed ? 1 : 0);
