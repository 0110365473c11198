// Runs every *.test.mjs of this folder against one pair of proxies. Optional argument: part of a test's name.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { close, open, world } from './lib/world.mjs';
import { forget } from './lib/proxy.mjs';

const folder = fileURLToPath(new URL('.', import.meta.url));
const wanted = process.argv[2] ?? '';

const tests = [];
globalThis.test = (name, body) => tests.push({ name, body });

const began = Date.now();
let failed = 0;
let ran = 0;
try {
  await open();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.test.mjs')).sort()) await import(`./${file}`);
  for (const { name, body } of tests) {
    if (!name.includes(wanted)) continue;
    ++ran;
    const from = Date.now();
    let late;
    try {
      const limit = new Promise((_, fail) => { late = setTimeout(() => fail(new Error('took longer than 2 minutes')), 120000); });
      await Promise.race([body(), limit]);
      console.log(`ok      ${String(Date.now() - from).padStart(6)} ms  ${name}`);
    } catch (error) {
      ++failed;
      console.log(`FAILED  ${String(Date.now() - from).padStart(6)} ms  ${name}`);
      console.log(String(error?.stack ?? error).replace(/^/gm, '        '));
    } finally {
      clearTimeout(late);
    }
    if (world.a.exited || world.b.exited) throw new Error('a proxy has ended');
  }
} catch (error) {
  ++failed;
  console.log(`FAILED  ${error?.stack ?? error}`);
} finally {
  for (const { proxy, how } of await close()) {
    if (how.code !== 0) {
      ++failed;
      console.log(`FAILED  ${proxy.name} ended with ${JSON.stringify(how)} after SIGTERM`);
    }
    if (failed || /Sanitizer|runtime error|ASSERT/.test(proxy.output)) {
      if (!failed) ++failed;
      console.log(`--- output of ${proxy.name}\n${proxy.output.slice(-6000)}`);
    }
  }
  forget();
}
console.log(`${ran - failed < 0 ? 0 : ran - failed} of ${ran} client tests passed in ${((Date.now() - began) / 1000).toFixed(1)} s`);
process.exit(failed || ran === 0 ? 1 : 0);
