// Starts ccrules with a configuration of its own in a throw-away home, and stops it.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const binary = process.env.CCRULES;

export const home = mkdtempSync(join(tmpdir(), 'ccrules-clients-'));
export function forget() {
  if (process.env.KEEP) console.error(`kept ${home}`);
  else rmSync(home, { recursive: true, force: true });
}

/** Nothing of the caller's environment but what a program needs: no keys, no proxies. */
export function cleanEnvironment(more = {}) {
  return { PATH: process.env.PATH, HOME: home, LANG: 'C.UTF-8', TMPDIR: home, ...more };
}

export class Proxy {
  static async start(name, config) {
    const proxy = new Proxy();
    proxy.name = name;
    proxy.ledger = join(home, `${name}.db`);
    proxy.logFile = join(home, `${name}.log`);
    const file = join(home, `${name}.json`);
    const whole = { workers: 1, ledger: { path: proxy.ledger }, ...config };
    writeFileSync(file, JSON.stringify(whole, null, 2));
    proxy.output = '';
    let told = '';
    proxy.child = spawn(binary, ['serve', '--config', file, '--port', '0', '--json'], { env: cleanEnvironment(), cwd: home });
    const keep = (bytes) => { proxy.output += bytes; };
    proxy.child.stdout.on('data', (bytes) => {
      keep(bytes);
      told += bytes;
      if (!proxy.url && told.includes('\n')) proxy.url = JSON.parse(told.slice(0, told.indexOf('\n'))).base_url;
    });
    proxy.child.stderr.on('data', keep);
    proxy.exit = new Promise((done) => proxy.child.on('exit', (code, signal) => done({ code, signal })));
    proxy.exit.then((how) => { proxy.exited = how; });
    await proxy.answers();
    return proxy;
  }

  async answers() {
    const until = Date.now() + 60000;
    while (Date.now() < until) {
      if (this.exited) throw new Error(`${this.name} ended at once: ${JSON.stringify(this.exited)}\n${this.output}`);
      try {
        if (this.url && (await fetch(`${this.url}/health`)).ok) return;
      } catch { /* not yet */ }
      await new Promise((done) => setTimeout(done, 20));
    }
    throw new Error(`${this.name} does not answer /health after 60 s\n${this.output}`);
  }

  /** SIGTERM; the exit must be clean. */
  async stop() {
    if (!this.exited) this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), 60000);
    const how = await this.exit;
    clearTimeout(late);
    return how;
  }

  /** Rows of the ledger as objects, oldest first. */
  rows(where = '1') {
    const query = `select * from requests where ${where} order by rowid`;
    const asked = spawnSync('sqlite3', ['-readonly', '-json', this.ledger, query], { encoding: 'utf8' });
    if (asked.status !== 0) throw new Error(`sqlite3: ${asked.stderr || asked.error}`);
    return asked.stdout.trim() === '' ? [] : JSON.parse(asked.stdout);
  }

  /** Waits until the ledger's writer thread has stored `count` rows that match. */
  async rowsSoon(count, where) {
    const until = Date.now() + 30000;
    let rows = [];
    while (Date.now() < until) {
      rows = this.rows(where);
      if (rows.length >= count) return rows;
      await new Promise((done) => setTimeout(done, 30));
    }
    return rows;
  }
}
