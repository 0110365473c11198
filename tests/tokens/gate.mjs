// Texts of all kinds with npm tiktoken's answers, for the program token_gate (gate.cc), on stdout:
//   node gate.mjs TIKTOKEN_FOLDER MEGABYTES [FOLDER...]
// Deterministic but for the files found below the folders, which give code, JSON and Markdown.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

const [tiktoken, megabytes, ...folders] = process.argv.slice(2);
const { get_encoding } = createRequire(path.resolve(tiktoken) + '/')('./tiktoken.cjs');
const encoders = [get_encoding('o200k_base'), get_encoding('cl100k_base')];
const wanted = Number(megabytes) * 1e6;
let written = 0;

function fnv(ids) {
  let hash = 2166136261;
  for (const id of ids) hash = Math.imul(hash ^ id, 16777619);
  return hash >>> 0;
}

function put(text) {
  // Lone surrogates become U+FFFD on both sides.
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length === 0) return;
  const head = Buffer.alloc(20);
  head.writeUInt32LE(bytes.length, 0);
  encoders.forEach((encoder, i) => {
    const ids = encoder.encode_ordinary(text);
    head.writeUInt32LE(ids.length, 4 + 8 * i);
    head.writeUInt32LE(fnv(ids), 8 + 8 * i);
  });
  for (const part of [head, bytes]) for (let at = 0; at < part.length; ) at += fs.writeSync(1, part, at);
  written += bytes.length;
}

let state = 20261121;
function random(below) {  // xorshift, the same everywhere
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
}
const pick = (list) => list[random(list.length)];
function many(count, make) {
  let text = '';
  for (let i = 0; i < count; ++i) text += make(i);
  return text;
}
function codePoint() {
  for (;;) {
    const point = random(4) ? random(0x3000) : random(0x110000);
    if (point < 0xd800 || point > 0xdfff) return String.fromCodePoint(point);
  }
}

const SPECIALS = ['<|endoftext|>', '<|fim_prefix|>', '<|fim_middle|>', '<|fim_suffix|>', '<|endofprompt|>', '<|im_start|>',
  '<|start|>', '<|channel|>', '<|end'];
const SCRIPTS = [[0x41, 26], [0x61, 26], [0xc0, 63], [0x100, 128], [0x180, 208], [0x250, 96], [0x300, 112], [0x370, 144], [0x400, 256],
  [0x530, 90], [0x590, 112], [0x600, 256], [0x700, 80], [0x780, 64], [0x7c0, 64], [0x840, 32], [0x8a0, 96], [0x900, 128], [0x980, 128],
  [0xa00, 128], [0xa80, 128], [0xb00, 128], [0xb80, 128], [0xc00, 128], [0xc80, 128], [0xd00, 128], [0xd80, 128], [0xe00, 128],
  [0xe80, 128], [0xf00, 256], [0x1000, 160], [0x10a0, 96], [0x1100, 256], [0x1200, 384], [0x13a0, 96], [0x1400, 640], [0x1680, 128],
  [0x1780, 128], [0x1800, 176], [0x1900, 80], [0x1a00, 160], [0x1b00, 128], [0x1c00, 80], [0x1c80, 48], [0x1d00, 256], [0x1e00, 256],
  [0x1f00, 256], [0x2000, 112], [0x2070, 144], [0x2100, 336], [0x2300, 512], [0x2460, 160], [0x2c00, 128], [0x2d00, 256], [0x3000, 64],
  [0x3040, 192], [0x3100, 256], [0x4e00, 20900], [0xa000, 1200], [0xa500, 300], [0xa640, 448], [0xa840, 700], [0xac00, 11172],
  [0xf900, 512], [0xfb00, 80], [0xfe20, 16], [0xff00, 240], [0x10000, 256], [0x10300, 512], [0x10a00, 256], [0x11000, 3000],
  [0x12000, 1024], [0x16800, 640], [0x1b000, 300], [0x1d400, 1024], [0x1e000, 2000], [0x1f000, 3000], [0x20000, 4000]];
const WHITE = [' ', ' ', ' ', '  ', '\t', '\n', '\r\n', '\r', '\v', '\f', '\u0085', '\u00a0', '\u1680', '\u2003', '\u2028', '\u2029',
  '\u202f', '\u3000', '\u200b', '\ufeff', '\u180e'];
const ODD = ["'s", "'S", "'\u017f", "'re", "'LL", "'Ve", "'d", "'", "''", '/', '//', '\u0301', '\u02b0', '\u01c5', '1', '٣', '½', '२', '_', '-',
  '!', '…', '—', '\u00ad', '\u200d', '❤️', '👩‍👩‍👧', 'ß', 'İ', 'ı', 'ſ', 'K', 'ª', 'ᏸ', 'ⓐ', '㎏', '\ufffd', '\u0000', '\u007f', 'a', 'B', 'é',
  'Ж', 'ж', '漢', 'ー', 'ا', 'ְ', 'क', '्'];
const letter = () => String.fromCharCode(97 + random(26));

// All of them in five surroundings; a small run leaves out most of the unassigned and private ones.
function everyCodePoint(all) {
  for (let begin = 0; begin < 0x110000; begin += 0x400) {
    if (begin >= 0xd800 && begin < 0xe000) continue;
    if (!all && begin >= 0x32400 && begin % 0x8000 !== 0) continue;
    const points = Array.from({ length: 0x400 }, (_, i) => String.fromCodePoint(begin + i));
    put(points.join(''));
    put(points.map((c) => ' ' + c).join(''));
    put(points.map((c) => 'a' + c + 'B' + c + '1' + c + '\n' + c).join(''));
    put(points.map((c) => c + "'s!" + c + c + '.').join(''));
    put(points.map((c) => 'É' + c + 'é ' + c + '\u0301').join(''));
  }
}

function files() {
  const found = [];
  const walk = (folder, depth) => {
    let entries = [];
    try {
      entries = fs.readdirSync(folder, { withFileTypes: true });
    } catch {
      return;
    }
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const full = path.join(folder, entry.name);
      if (entry.isDirectory() && depth < 12 && entry.name !== '.git') walk(full, depth + 1);
      if (entry.isFile() && /\.(cc|h|c|py|js|mjs|cjs|ts|json|md|lua|sh|txt|html|css|yml|yaml|rs|go|java|xml|map)$/.test(entry.name))
        found.push(full);
    }
  };
  for (const folder of folders) walk(folder, 0);
  return found;
}

function longRuns(size) {
  for (const unit of ['a', 'Z', ' ', '\n', '\r\n', '\t', '!', '=', '-', '_', '0', 'é', '漢', '😀', '\u0301', 'ab', 'aA', ' \n', '. ', "'", '/', '\u0000',
    '\u3000', 'ʰ', 'ha', '한', '<|', '--', '*-'])
    for (const before of ['', 'x', ' ', 'yz1 '])
      put(before + unit.repeat(Math.ceil(size / Buffer.byteLength(unit)) + random(40)));
  put(many(size, letter));
  put(many(size, () => letter().toUpperCase()));
  put(many(size, () => pick(['a', 'b'])));
  put(many(size, () => (random(60) ? 'a' : letter())));
  put(many(size, () => pick(['!', '=', '-', '#', '.', '*', ';'])));
  put(many(size / 3, () => String.fromCodePoint(0x4e00 + random(20000))));
  put(many(size / 2, () => String.fromCodePoint(0x430 + random(32))));
  put(many(size / 4, () => String.fromCodePoint(0x1f300 + random(0x400))));
  put(many(size / 10, () => pick(['function', 'return', 'Value', 'get', 'the', 'ing'])));
}

function round(size) {
  const pieces = Math.ceil(size / 6);
  put(many(pieces, codePoint));
  put(Buffer.from(Array.from({ length: size }, () => random(256))).toString('utf8'));
  put(Buffer.from(Array.from({ length: size }, () => random(256))).toString('latin1'));
  put(Buffer.from(Array.from({ length: size }, () => random(256))).toString('base64'));
  put(Buffer.from(Array.from({ length: size }, () => random(256))).toString('hex'));
  put(many(pieces, () => pick(WHITE) + (random(3) ? '' : pick(ODD))));
  put(many(pieces, () => pick(ODD) + (random(4) ? '' : pick(WHITE))));
  put(many(pieces, () => pick(SPECIALS) + (random(2) ? pick(ODD) : many(random(6), letter))));
  put(many(pieces, () => many(1 + random(12), letter) + pick(WHITE)));
  put(many(pieces, () => String(random(10 ** (1 + random(9)))) + pick(['.', ',', ' ', ':', '\n'])));
  put(many(pieces, () => pick([' ', '\t', '\n']) + many(random(5), () => String.fromCharCode(33 + random(94)))));
  for (let i = 0; i < 8; ++i) {  // words of one script
    const [begin, count] = pick(SCRIPTS);
    put(many(pieces / 4, () => many(1 + random(9), () => String.fromCodePoint(begin + random(count))) + pick(WHITE) + (random(9) ? '' : pick(ODD))));
  }
  put(many(pieces, () => many(random(4), () => { const [begin, count] = pick(SCRIPTS); return String.fromCodePoint(begin + random(count)); }) + pick(WHITE)));
  put(JSON.stringify(Array.from({ length: size / 60 }, (_, i) => ({ id: i, name: many(random(9), letter), value: random(1e9) / 1e3, ok: random(2) > 0 })), null, random(4)));
}

everyCodePoint(wanted > 20e6);
longRuns(wanted > 20e6 ? 40000 : 4000);
for (let size = 1; size < 700; size += wanted > 20e6 ? 1 : 13) {  // around the windows of the merge
  put('a'.repeat(size));
  put(many(size, letter));
  put(many(size, () => pick(['a', 'e', 'n', 't', 's'])));
}
let texts = 0;
const before = written;
for (const file of files()) {
  if (written - before > wanted * 0.4) break;
  const text = fs.readFileSync(file, 'utf8');
  if (text.length > 2e6) continue;
  put(text);
  ++texts;
}
let rounds = 0;
while (written < wanted || rounds++ < 3) round(wanted > 20e6 ? 20000 : 3000);
process.stderr.write(`${texts} files among ${(written / 1e6).toFixed(1)} MB\n`);
