// The openai package through both provider dialects.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { lanes, png, session, world } from './lib/world.mjs';

const user = (content) => ({ role: 'user', content });
const weather = {
  type: 'function',
  function: { name: 'get_weather', description: 'Weather of a city', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
};
const clock = { type: 'function', function: { name: 'get_time', parameters: { type: 'object', properties: { zone: { type: 'string' } } } } };

/** The whole answer of a stream, and its chunks. */
async function collect(stream) {
  const chunks = [];
  const out = { content: '', calls: [], finish: null, usage: null, chunks };
  for await (const chunk of stream) {
    chunks.push(chunk);
    if (chunk.usage) out.usage = chunk.usage;
    const choice = chunk.choices[0];
    if (!choice) continue;
    out.content += choice.delta.content ?? '';
    if (choice.delta.reasoning_content) out.reasoning = (out.reasoning ?? '') + choice.delta.reasoning_content;
    for (const part of choice.delta.tool_calls ?? []) {
      out.calls[part.index] ??= { id: part.id, name: part.function.name, arguments: '' };
      out.calls[part.index].arguments += part.function.arguments ?? '';
    }
    if (choice.finish_reason) out.finish = choice.finish_reason;
  }
  return out;
}

for (const { lane, provider, model, forces, stops, serial } of lanes) {
  const ask = (content, more = {}) => ({ model, messages: [user(content)], ...more });
  const check = (name, body) => test(`openai sdk, ${lane}: ${name}`, body);
  const completions = (id) => world.openai(id).chat.completions;

  check('create answers with text, the asked model and usage, and leaves one ledger row', async () => {
    const id = session();
    const reply = await completions(id).create(ask('Hello there'));
    assert.equal(reply.choices[0].message.content, 'Hello from the ccrules simulator. You said: Hello there');
    assert.equal(reply.model, model);
    assert.equal(reply.object, 'chat.completion');
    assert.equal(reply.choices[0].finish_reason, 'stop');
    assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens + reply.usage.completion_tokens);
    assert.ok(reply.usage.prompt_tokens > 0 && reply.usage.completion_tokens > 5);
    const rows = await world.a.rowsSoon(1, `session='${id}'`);
    assert.equal(rows.length, 1);
    assert.equal(rows[0].status, 200);
    assert.equal(rows[0].provider, provider);
    assert.equal(rows[0].dialect, 'openai_chat');
    assert.equal(rows[0].output_tokens, reply.usage.completion_tokens);
  });

  check('a stream gives the same text, the role first and the usage last when asked for', async () => {
    const text = '[[sim:echo]] same both ways, üñí 世界 😀';
    const whole = await completions().create(ask(text));
    const streamed = await collect(await completions().create(ask(text, { stream: true, stream_options: { include_usage: true } })));
    assert.equal(streamed.content, 'same both ways, üñí 世界 😀');
    assert.equal(whole.choices[0].message.content, streamed.content);
    assert.equal(streamed.chunks[0].choices[0].delta.role, 'assistant');
    assert.equal(streamed.finish, 'stop');
    assert.deepEqual(streamed.chunks.at(-1).choices, []);
    assert.equal(streamed.chunks.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
    assert.ok(streamed.chunks.every((chunk) => chunk.model === model));
    const silent = await collect(await completions().create(ask(text, { stream: true })));
    assert.equal(silent.usage, null);
    assert.equal(silent.content, streamed.content);
  });

  check('a stream without asked usage is billed all the same', async () => {
    const id = session();
    await collect(await completions(id).create(ask('[[sim:text tokens=11]]', { stream: true })));
    const rows = await world.a.rowsSoon(1, `session='${id}'`);
    assert.deepEqual(rows.map((row) => [row.status, row.output_tokens]), [[200, 11]]);
  });

  check('a tool call and its result go round, whole and streamed', async () => {
    const first = ask('[[sim:tool name=get_weather input={"city":"Zürich"} say="Let me look."]]', { tools: [weather, clock] });
    const reply = await completions().create(first);
    const message = reply.choices[0].message;
    assert.equal(reply.choices[0].finish_reason, 'tool_calls');
    assert.equal(message.content, 'Let me look.');
    assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: 'Zürich' });
    const streamed = await collect(await completions().create({ ...first, stream: true }));
    assert.equal(streamed.finish, 'tool_calls');
    assert.equal(streamed.calls[0].name, 'get_weather');
    assert.deepEqual(JSON.parse(streamed.calls[0].arguments), { city: 'Zürich' });
    const second = await completions().create({
      ...first,
      messages: [...first.messages, message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: '21 degrees' }],
    });
    assert.equal(second.choices[0].message.content, 'The tool answered: 21 degrees');
  });

  check('parallel tool calls keep their order, ids and arguments', async () => {
    const first = ask('[[sim:tools count=3]]', { tools: [weather, clock] });
    const streamed = await collect(await completions().create({ ...first, stream: true }));
    assert.deepEqual(streamed.calls.map((call) => call.name), ['get_weather', 'get_time', 'get_weather']);
    assert.equal(new Set(streamed.calls.map((call) => call.id)).size, 3);
    const message = (await completions().create(first)).choices[0].message;
    const second = await completions().create({
      ...first,
      messages: [...first.messages, message, ...message.tool_calls.map((call, i) => ({ role: 'tool', tool_call_id: call.id, content: `r${i}` }))],
    });
    assert.equal(second.choices[0].message.content, 'The tool answered: r0; r1; r2');
  });

  check('the runTools helper of the SDK works to the end', async () => {
    const runner = world.openai().chat.completions.runTools({
      ...ask('[[sim:tool name=get_weather input={"city":"Rome"}]]'),
      tools: [{ type: 'function', function: { ...weather.function, parse: JSON.parse, function: ({ city }) => `sunny in ${city}` } }],
    });
    assert.equal(await runner.finalContent(), 'The tool answered: sunny in Rome');
  });

  check('images arrive as data URIs', async () => {
    const image = { type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } };
    const reply = await completions().create(ask([{ type: 'text', text: '[[sim:images]]' }, image]));
    assert.equal(reply.choices[0].message.content, 'I see 1 image (image/png) and 0 documents.');
  });

  check('thinking comes as reasoning_content', async () => {
    const body = ask('[[sim:thinking think="First I think." say="Then I speak."]]', { reasoning_effort: 'high' });
    const reply = await completions().create(body);
    assert.equal(reply.choices[0].message.content, 'Then I speak.');
    assert.equal(reply.choices[0].message.reasoning_content, 'First I think.');
    const streamed = await collect(await completions().create({ ...body, stream: true }));
    assert.equal(streamed.reasoning, 'First I think.');
    assert.equal(streamed.content, 'Then I speak.');
  });

  check('finish reasons, forced tools and system prompts arrive', async () => {
    assert.equal((await completions().create(ask('[[sim:max-tokens]]'))).choices[0].finish_reason, 'length');
    assert.equal((await completions().create(ask('[[sim:refusal]]'))).choices[0].finish_reason, 'content_filter');
    const limited = await completions().create(ask('[[sim:long tokens=500]]', { max_completion_tokens: 20 }));
    assert.equal(limited.usage.completion_tokens, 20);
    const forced = await completions().create(ask('hi', { tools: [clock, weather], tool_choice: { type: 'function', function: { name: 'get_weather' } } }));
    if (forces) assert.equal(forced.choices[0].message.tool_calls[0].function.name, 'get_weather');
    const seen = JSON.parse((await completions().create({
      model, messages: [{ role: 'system', content: 'Be brief.' }, user('[[sim:inspect]]')], tools: [weather], tool_choice: 'required', stop: 'END', parallel_tool_calls: false,
    })).choices[0].message.content);
    assert.equal(seen.system, 'Be brief.');
    if (forces) assert.equal(seen.tool_choice, 'any');
    if (serial) assert.equal(seen.parallel_tool_calls, false);
    if (stops) assert.deepEqual(seen.stop_sequences, ['END']);
  });

  check('a long answer arrives whole', async () => {
    const streamed = await collect(await completions().create(ask('[[sim:long tokens=5000]]', { max_completion_tokens: 10000, stream: true, stream_options: { include_usage: true } })));
    assert.equal(streamed.content.split(' ').length, 5001);
    assert.equal(streamed.usage.completion_tokens, 5000);
  });

  check('error statuses become the right exceptions; 529 is 503 here', async () => {
    const cases = [[400, 400, OpenAI.BadRequestError], [404, 404, OpenAI.NotFoundError], [429, 429, OpenAI.RateLimitError],
      [500, 500, OpenAI.InternalServerError], [529, 503, OpenAI.InternalServerError]];
    for (const [upstream, status, kind] of cases) {
      const id = session();
      const error = await completions(id).create(ask(`[[sim:error status=${upstream} retry_after=7 message="the words of the provider"]]`)).then(
        () => assert.fail(`status ${upstream} was taken for success`), (thrown) => thrown);
      assert.ok(error instanceof kind, `${upstream}: ${error.constructor.name} ${error.message}`);
      assert.equal(error.status, status);
      assert.match(error.message, /the words of the provider/);
      if (upstream === 429 || upstream === 529) assert.equal(error.headers.get('retry-after'), '7');
      assert.deepEqual((await world.a.rowsSoon(1, `session='${id}'`)).map((row) => row.status), [status]);
    }
    const overflow = await completions().create(ask('[[sim:overflow]]')).then(() => assert.fail('accepted'), (thrown) => thrown);
    assert.equal(overflow.status, 400);
    assert.equal(overflow.code, 'context_length_exceeded');
  });

  check('an error in mid-stream and a cut stream are exceptions', async () => {
    for (const marker of ['[[sim:midstream-error after=8]]', '[[sim:cut after=8]]', '[[sim:cut after=2]]']) {
      const id = session();
      await assert.rejects(async () => {
        await collect(await completions(id).create(ask(marker, { stream: true })));
      }, undefined, marker);
      const rows = await world.a.rowsSoon(1, `session='${id}'`);
      assert.equal(rows.length, 1);
      assert.ok(rows[0].error, marker);
    }
    await assert.rejects(completions().create(ask('[[sim:cut]]')));
    await assert.rejects(completions().create(ask('[[sim:garbage]]')));
  });

  check('a client that leaves is a 499 row', async () => {
    const id = session();
    const stream = await completions(id).create(ask('[[sim:slow tokens=600 pause_ms=30]]', { stream: true }));
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) break;  // leaving the loop aborts the request
    }
    const rows = await world.a.rowsSoon(1, `session='${id}'`);
    assert.deepEqual(rows.map((row) => row.status), [499]);
  });
}

test('openai sdk: the model list has the shape of OpenAI', async () => {
  const models = await world.openai().models.list();
  assert.equal(models.object, 'list');
});

test('openai sdk: bad requests are exceptions that say what to do', async () => {
  const error = await world.openai().chat.completions.create({ model: '', messages: [user('hi')] }).then(() => assert.fail('accepted'), (thrown) => thrown);
  assert.equal(error.status, 400);
  assert.match(error.message, /model/);
});
