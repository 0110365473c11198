// Two proxies: B answers with the simulator, A sends to B in every provider dialect.
import Anthropic from '@anthropic-ai/sdk';
import { GoogleGenAI } from '@google/genai';
import OpenAI from 'openai';
import { Proxy } from './proxy.mjs';

export const world = {};

export async function open() {
  world.b = await Proxy.start('b', { providers: { sim: { dialect: 'sim', models: ['*'] } } });
  world.a = await Proxy.start('a', {
    providers: {
      simA: { dialect: 'anthropic', base_url: world.b.url, api_key: 'key-of-a', models: ['a-*'], max_retries: 0 },
      simO: { dialect: 'openai_chat', base_url: `${world.b.url}/v1`, api_key: 'key-of-o', models: ['o-*'], max_retries: 0 },
      simR: { dialect: 'openai_responses', base_url: `${world.b.url}/v1`, api_key: 'key-of-r', models: ['r-*'], max_retries: 0 },
      simG: { dialect: 'gemini', base_url: world.b.url, api_key: 'key-of-g', models: ['g-*'], max_retries: 0 },
      simL: { dialect: 'ollama', base_url: world.b.url, auth: 'none', models: ['l-*'], max_retries: 0 },
    },
    retry: { max_attempts: 1 },
    circuit: { failures: 0 },  // the simulator fails when it is told to
    agents: { reviewer: 'simA,reviewer-model' },
  });
  // A session of its own per test lets each find its ledger rows.
  world.anthropic = (session = 'none', more = {}) =>
    new Anthropic({
      baseURL: world.a.url, apiKey: 'client-key', maxRetries: 0,
      defaultHeaders: { 'x-claude-code-session-id': session }, ...more,
    });
  world.openai = (session = 'none', more = {}) =>
    new OpenAI({
      baseURL: `${world.a.url}/v1`, apiKey: 'client-key', maxRetries: 0,
      defaultHeaders: { 'x-claude-code-session-id': session }, ...more,
    });
  world.google = (session = 'none') =>
    new GoogleGenAI({ apiKey: 'client-key', httpOptions: { baseUrl: world.a.url, headers: { 'x-claude-code-session-id': session } } });
}

export async function close() {
  const ends = [];
  for (const proxy of [world.a, world.b]) if (proxy) ends.push({ proxy, how: await proxy.stop() });
  return ends;
}

/** The ways a request can take: the model each is reached by, and whether its dialect can force a tool call, take words to stop
 *  at, and forbid calls in parallel. */
export const lanes = [
  { lane: 'anthropic provider', provider: 'simA', dialect: 'anthropic', model: 'a-model', forces: true, stops: true, serial: true },
  { lane: 'openai_chat provider', provider: 'simO', dialect: 'openai_chat', model: 'o-model', forces: true, stops: true, serial: true },
  { lane: 'openai_responses provider', provider: 'simR', dialect: 'openai_responses', model: 'r-model', forces: true, stops: false, serial: true },
  { lane: 'gemini provider', provider: 'simG', dialect: 'gemini', model: 'g-model', forces: true, stops: true, serial: false },
  { lane: 'ollama provider', provider: 'simL', dialect: 'ollama', model: 'l-model', forces: false, stops: true, serial: false },
];

let serial = 0;
export const session = () => `session-${process.pid}-${++serial}`;

/** A 1x1 PNG. */
export const png =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
