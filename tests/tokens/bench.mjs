// The speed of npm's token counters on the texts of tests/bench/tokens.cc: node bench.mjs FOLDER_WITH_NODE_MODULES FOLDER...
// Each counts a text whole, three times; the best time stands. Hard texts are short: some counters are quadratic there.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [packages, ...folders] = process.argv.slice(2);
const require = createRequire(path.resolve(packages) + '/');
const load = (name) => import(pathToFileURL(require.resolve(name)).href);

function files(endings) {
  const paths = [];
  const walk = (folder) => {
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const at = path.join(folder, entry.name);
      if (entry.isDirectory()) walk(at);
      else if (entry.isFile() && endings.includes(path.extname(at))) paths.push(at);
    }
  };
  folders.filter((folder) => fs.existsSync(folder)).forEach(walk);
  let all = '';
  for (const at of paths.sort()) {
    all += fs.readFileSync(at, 'utf8');
    if (Buffer.byteLength(all) > 4e6) break;
  }
  return all;
}

async function counters() {
  const { get_encoding } = require('tiktoken');
  const tiktoken = get_encoding('o200k_base');
  const gpt = await load('gpt-tokenizer/encoding/o200k_base');
  const { default: aiPackage } = await load('ai-tokenizer');
  const Ai = aiPackage.default ?? aiPackage;
  const encodings = await load('ai-tokenizer/encoding');
  const ai = new Ai(encodings.o200k_base);
  return [
    ['tiktoken (WebAssembly)', (text) => tiktoken.encode_ordinary(text).length],
    ['gpt-tokenizer', (text) => gpt.countTokens(text, { disallowedSpecial: new Set() })],
    ['ai-tokenizer', (text) => ai.encode(text, 'all').length],
  ];
}

const texts = [['code', files(['.cc', '.h', '.lua'])], ['JSON', files(['.json'])], ['Markdown', files(['.md'])],
  ['one letter', 'a'.repeat(2e4)], ['spaces', ' '.repeat(2e4)]];
for (const [name, count] of await counters()) {
  for (const [kind, text] of texts) {
    if (text.length === 0) continue;
    const megabytes = Buffer.byteLength(text) / 1e6;
    let best = Infinity;
    let tokens = 0;
    for (let round = 0; round < 3 && (round === 0 || best < 5); ++round) {
      const start = process.hrtime.bigint();
      tokens = count(text);
      best = Math.min(best, Number(process.hrtime.bigint() - start) / 1e9);
    }
    console.log(`  ${name.padEnd(24)} ${kind.padEnd(12)} ${megabytes.toFixed(2).padStart(6)} MB ${(megabytes / best).toFixed(2).padStart(9)} MB/s ${tokens} tokens`);
  }
}
