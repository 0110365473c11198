// The ollama package through every provider dialect, and the other SDKs through an Ollama provider.
import assert from 'node:assert/strict';
import { Ollama } from 'ollama';
import { lanes, png, world } from './lib/world.mjs';

const client = () => new Ollama({ host: world.a.url });
const user = (content, more = {}) => ({ role: 'user', content, ...more });
const tool = (name) => ({ type: 'function', function: { name, description: 'd', parameters: { type: 'object', properties: { city: { type: 'string' } } } } });

async function collect(stream) {
  const out = { content: '', thinking: '', calls: [], last: null };
  for await (const part of stream) {
    out.content += part.message.content;
    out.thinking += part.message.thinking ?? '';
    out.calls.push(...(part.message.tool_calls ?? []));
    out.last = part;
  }
  return out;
}

for (const { lane, model } of lanes) {
  const check = (name, body) => test(`ollama package, ${lane}: ${name}`, body);

  check('chat answers with text and counts', async () => {
    const reply = await client().chat({ model, messages: [user('Hello there')] });
    assert.equal(reply.message.content, 'Hello from the ccrules simulator. You said: Hello there');
    assert.equal(reply.model, model);
    assert.equal(reply.done_reason, 'stop');
    assert.ok(reply.prompt_eval_count > 0 && reply.eval_count > 5);
  });

  check('a stream gives the same text and ends with done', async () => {
    const text = '[[sim:echo]] same both ways, üñí 世界 😀';
    const streamed = await collect(await client().chat({ model, messages: [user(text)], stream: true }));
    assert.equal(streamed.content, 'same both ways, üñí 世界 😀');
    assert.equal(streamed.last.done, true);
    assert.ok(streamed.last.eval_count > 0);
  });

  check('parallel tools arrive whole, and their results go back without ids', async () => {
    const tools = [tool('get_weather'), tool('get_time')];
    const asked = user('[[sim:tools count=2]] go');
    const streamed = await collect(await client().chat({ model, tools, messages: [asked], stream: true }));
    assert.deepEqual(streamed.calls.map((call) => call.function.name), ['get_weather', 'get_time']);
    for (const call of streamed.calls) assert.equal(typeof call.function.arguments, 'object');
    const calls = streamed.calls.map(({ function: { name, arguments: args } }) => ({ function: { name, arguments: args } }));
    const reply = await client().chat({
      model, tools,
      messages: [asked, { role: 'assistant', content: '', tool_calls: calls },
        { role: 'tool', tool_name: 'get_time', content: 'noon' }, { role: 'tool', tool_name: 'get_weather', content: 'sunny' }],
    });
    assert.match(reply.message.content, /noon|sunny/);
  });

  check('an image arrives', async () => {
    const reply = await client().chat({ model, messages: [user('[[sim:inspect]] look', { images: [png] })] });
    assert.equal(JSON.parse(reply.message.content).images, 1);
  });

  check('thinking arrives as thinking', async () => {
    const reply = await collect(await client().chat({ model, think: true, messages: [user('[[sim:thinking]] hm')], stream: true }));
    assert.ok(reply.thinking.length > 0);
  });

  check('an error is told with its status', async () => {
    await assert.rejects(client().chat({ model, messages: [user('[[sim:error status=404]] x')] }), (error) => error.status_code === 404 && error.error.length > 0);
  });

  check('an error inside a stream is thrown, not an end', async () => {
    await assert.rejects(async () => collect(await client().chat({ model, messages: [user('[[sim:midstream-error]] x')], stream: true })));
  });
}

test('ollama package: list, show and version', async () => {
  assert.ok(Array.isArray((await client().list()).models));
  const shown = await client().show({ model: 'claude-opus-5-5' });
  assert.ok(shown.capabilities.includes('tools'));
  assert.match((await client().version()).version, /^\d+\.\d+\.\d+/);
});
