// @anthropic-ai/sdk through both provider dialects.
import assert from 'node:assert/strict';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import Anthropic from '@anthropic-ai/sdk';
import { lanes, png, session, world } from './lib/world.mjs';

/** Resolves when the request of this session has been written to its connection. */
const sent = (id) => new Promise((done) => {
  const heard = ({ request }) => {
    if (!String(request.headers).includes(id)) return;
    unsubscribe('undici:request:bodySent', heard);
    done();
  };
  subscribe('undici:request:bodySent', heard);
});
const user = (content) => ({ role: 'user', content });
const weather = {
  name: 'get_weather',
  description: 'Weather of a city',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const clock = { name: 'get_time', description: 'Time of a city', input_schema: { type: 'object', properties: { zone: { type: 'string' } } } };
const textOf = (message) => message.content.filter((block) => block.type === 'text').map((block) => block.text).join('');

for (const { lane, provider, dialect, model, forces, stops, serial } of lanes) {
  const ask = (content, more = {}) => ({ model, max_tokens: 2000, messages: [user(content)], ...more });
  const check = (name, body) => test(`anthropic sdk, ${lane}: ${name}`, body);

  check('create answers with text, the asked model and usage, and leaves one ledger row', async () => {
    const id = session();
    const message = await world.anthropic(id).messages.create(ask('Hello there'));
    assert.equal(textOf(message), 'Hello from the ccrules simulator. You said: Hello there');
    assert.equal(message.model, model);
    assert.equal(message.role, 'assistant');
    assert.equal(message.stop_reason, 'end_turn');
    assert.ok(message.usage.input_tokens > 0);
    assert.ok(message.usage.output_tokens > 5);
    const rows = await world.a.rowsSoon(1, `session='${id}'`);
    assert.equal(rows.length, 1);
    assert.equal(rows[0].status, 200);
    assert.equal(rows[0].provider, provider);
    assert.equal(rows[0].model, model);
    assert.equal(rows[0].requested_model, model);
    assert.equal(rows[0].dialect, 'anthropic');
    assert.equal(rows[0].input_tokens, message.usage.input_tokens);
    assert.equal(rows[0].output_tokens, message.usage.output_tokens);
  });

  check('stream gives the same text and usage as create', async () => {
    const id = session();
    const client = world.anthropic(id);
    const whole = await client.messages.create(ask('[[sim:echo]] same both ways, üñí 世界 😀'));
    const stream = client.messages.stream(ask('[[sim:echo]] same both ways, üñí 世界 😀'));
    let pieces = '';
    stream.on('text', (text) => { pieces += text; });
    const streamed = await stream.finalMessage();
    assert.equal(textOf(whole), 'same both ways, üñí 世界 😀');
    assert.equal(pieces, textOf(whole));
    assert.equal(textOf(streamed), textOf(whole));
    assert.equal(streamed.stop_reason, 'end_turn');
    assert.equal(streamed.usage.output_tokens, whole.usage.output_tokens);
    const rows = await world.a.rowsSoon(2, `session='${id}'`);
    assert.deepEqual(rows.map((row) => [row.status, row.output_tokens, row.stream]),
      [[200, whole.usage.output_tokens, 0], [200, whole.usage.output_tokens, 1]]);
  });

  for (const stream of [false, true]) {
    const how = stream ? 'streamed' : 'whole';
    const send = (client, body) => (stream ? client.messages.stream(body).finalMessage() : client.messages.create(body));

    check(`a tool call and its result go round (${how})`, async () => {
      const client = world.anthropic();
      const first = ask('[[sim:tool name=get_weather input={"city":"Zürich","deep":{"n":[1,2,{"x":null}]}} say="Let me look."]]', { tools: [weather, clock] });
      const reply = await send(client, first);
      assert.equal(reply.stop_reason, 'tool_use');
      assert.deepEqual(reply.content.map((block) => block.type), ['text', 'tool_use']);
      assert.equal(reply.content[0].text, 'Let me look.');
      assert.equal(reply.content[1].name, 'get_weather');
      assert.deepEqual(reply.content[1].input, { city: 'Zürich', deep: { n: [1, 2, { x: null }] } });
      const second = await send(client, {
        ...first,
        messages: [...first.messages, { role: 'assistant', content: reply.content },
          user([{ type: 'tool_result', tool_use_id: reply.content[1].id, content: [{ type: 'text', text: '21 degrees' }] }])],
      });
      assert.equal(textOf(second), 'The tool answered: 21 degrees');
    });

    check(`parallel tool calls keep their order, ids and inputs (${how})`, async () => {
      const client = world.anthropic();
      const first = ask('[[sim:tools count=3]]', { tools: [weather, clock] });
      const reply = await send(client, first);
      const calls = reply.content.filter((block) => block.type === 'tool_use');
      assert.deepEqual(calls.map((call) => call.name), ['get_weather', 'get_time', 'get_weather']);
      assert.equal(new Set(calls.map((call) => call.id)).size, 3);
      assert.deepEqual(calls[0].input, { city: 'example city' });
      const second = await send(client, {
        ...first,
        messages: [...first.messages, { role: 'assistant', content: reply.content },
          user([...calls.map((call, i) => ({ type: 'tool_result', tool_use_id: call.id, content: `r${i}` })), { type: 'text', text: 'Go on.' }])],
      });
      assert.equal(textOf(second), 'The tool answered: r0; r1; r2');
    });

    check(`thinking comes with a signature and can be sent back (${how})`, async () => {
      const client = world.anthropic();
      const first = ask('[[sim:thinking think="First I think." say="Then I speak."]]', { thinking: { type: 'enabled', budget_tokens: 1024 } });
      const reply = await send(client, first);
      assert.deepEqual(reply.content.map((block) => block.type), ['thinking', 'text']);
      assert.equal(reply.content[0].thinking, 'First I think.');
      assert.ok(reply.content[0].signature.length > 0);
      assert.equal(textOf(reply), 'Then I speak.');
      const second = await send(client, { ...first, messages: [...first.messages, { role: 'assistant', content: reply.content }, user('[[sim:echo]] and now')] });
      assert.equal(textOf(second), 'and now');
    });

    check(`images are seen, also inside tool results (${how})`, async () => {
      const client = world.anthropic();
      const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: png } };
      const reply = await send(client, ask([image, { type: 'text', text: '[[sim:images]]' }, image]));
      assert.equal(textOf(reply), 'I see 2 images (image/png, image/png) and 0 documents.');
      const first = ask('[[sim:script tool:get_weather{"city":"Rome"} ; text:"Seen: {result}"]]', { tools: [weather] });
      const call = (await send(client, first)).content[0];
      const second = await send(client, {
        ...first,
        messages: [...first.messages, { role: 'assistant', content: [call] }, user([{ type: 'tool_result', tool_use_id: call.id, content: [{ type: 'text', text: 'a map' }, image] }])],
      });
      assert.match(textOf(second), /^Seen: a map/);
    });

    check(`stop reasons arrive: max_tokens, refusal, stop_sequence (${how})`, async () => {
      const client = world.anthropic();
      assert.equal((await send(client, ask('[[sim:max-tokens]]'))).stop_reason, 'max_tokens');
      assert.equal((await send(client, ask('[[sim:refusal]]'))).stop_reason, 'refusal');
      const limited = await send(client, ask('[[sim:long tokens=500]]', { max_tokens: 20 }));
      assert.equal(limited.stop_reason, 'max_tokens');
      assert.equal(limited.usage.output_tokens, 20);
      const stopped = await send(client, ask('[[sim:text say="one two three"]]', { stop_sequences: ['two'] }));
      if (stops) assert.equal(textOf(stopped), 'one ');
    });
  }

  check('interleaved text and calls lose nothing', async () => {
    const reply = await world.anthropic().messages.stream(ask('[[sim:interleaved count=2]]', { tools: [weather] })).finalMessage();
    assert.equal(textOf(reply), 'Call number 1 follows.Call number 2 follows.');
    assert.equal(reply.content.filter((block) => block.type === 'tool_use').length, 2);
  });

  check('forced tool choice, sampling and system prompt reach the provider', async () => {
    const forced = await world.anthropic().messages.create(ask('hi', { tools: [clock, weather], tool_choice: { type: 'tool', name: 'get_weather' } }));
    if (forces) assert.equal(forced.content[0].name, 'get_weather');
    const seen = JSON.parse(textOf(await world.anthropic().messages.create(ask('[[sim:inspect]]', {
      system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }, { type: 'text', text: 'Be kind.' }],
      tools: [weather], tool_choice: { type: 'auto', disable_parallel_tool_use: true }, stop_sequences: ['END'], max_tokens: 333,
    }))));
    assert.equal(seen.system, 'Be brief.\n\nBe kind.');
    assert.deepEqual(seen.tools, ['get_weather']);
    if (forces) assert.equal(seen.tool_choice, 'auto');
    if (serial) assert.equal(seen.parallel_tool_calls, false);
    if (stops) assert.deepEqual(seen.stop_sequences, ['END']);
    assert.equal(seen.max_tokens, 333);
    assert.deepEqual(seen.roles, ['user']);
  });

  check('structured output follows the schema', async () => {
    const schema = { type: 'object', properties: { title: { type: 'string' }, tags: { type: 'array', items: { type: 'string' } } }, required: ['title', 'tags'], additionalProperties: false };
    const reply = await world.anthropic().messages.create(ask('a title please', { output_config: { format: { type: 'json_schema', schema } } }));
    assert.deepEqual(JSON.parse(textOf(reply)), { title: 'example title', tags: ['example tags'] });
  });

  check('a long answer arrives whole', async () => {
    const reply = await world.anthropic().messages.stream(ask('[[sim:long tokens=5000]]', { max_tokens: 10000 })).finalMessage();
    assert.equal(textOf(reply).split(' ').length, 5001);
    assert.equal(reply.usage.output_tokens, 5000);
  });

  check('error statuses become the right exceptions, with message and retry-after, and one row each', async () => {
    const cases = [
      [400, Anthropic.BadRequestError, 'invalid_request_error'], [404, Anthropic.NotFoundError, 'not_found_error'],
      [413, Anthropic.ContentTooLargeError, 'request_too_large'], [429, Anthropic.RateLimitError, 'rate_limit_error'],
      [500, Anthropic.InternalServerError, 'api_error'], [529, Anthropic.OverloadedError, 'overloaded_error'],
    ];
    for (const [status, kind, type] of cases) {
      for (const stream of [false, true]) {
        const id = session();
        const error = await world.anthropic(id).messages.create(ask(`[[sim:error status=${status} retry_after=7 message="the words of the provider"]]`, { stream })).then(
          () => assert.fail(`status ${status} was taken for success`), (thrown) => thrown);
        assert.ok(error instanceof kind, `${status}: ${error.constructor.name} ${error.message}`);
        assert.equal(error.status, status);
        assert.equal(error.error.error.type, type);
        assert.match(error.message, /the words of the provider/);
        if (status === 429 || status === 529) assert.equal(error.headers.get('retry-after'), '7');
        const rows = await world.a.rowsSoon(1, `session='${id}'`);
        assert.deepEqual(rows.map((row) => row.status), [status]);
      }
    }
  });

  check('context overflow says the words Claude Code acts on', async () => {
    await assert.rejects(world.anthropic().messages.create(ask('[[sim:overflow]]')), (error) => {
      assert.equal(error.status, 400);
      assert.match(error.message, /prompt is too long: \d+ tokens > \d+ maximum/);
      return true;
    });
  });

  check('an error in mid-stream is an exception, never a finished message', async () => {
    const id = session();
    const stream = world.anthropic(id).messages.stream(ask('[[sim:midstream-error after=8]]'));
    let text = '';
    stream.on('text', (piece) => { text += piece; });
    await assert.rejects(stream.finalMessage(), (error) => { assert.match(error.message, /overloaded|fail/i); return true; });
    assert.ok(text.length > 0);
    const rows = await world.a.rowsSoon(1, `session='${id}'`);
    assert.equal(rows.length, 1);
    assert.ok(rows[0].error);
  });

  for (const after of [0, 1, 2, 5, 12]) {
    check(`a stream cut after ${after} events is an exception`, async () => {
      const id = session();
      await assert.rejects(world.anthropic(id).messages.stream(ask(`[[sim:cut after=${after} tokens=50]]`)).finalMessage());
      const rows = await world.a.rowsSoon(1, `session='${id}'`);
      assert.equal(rows.length, 1);
      assert.ok(rows[0].error, JSON.stringify(rows[0]));
    });
  }
  check('a stream cut inside a tool call is an exception', async () => {
    await assert.rejects(world.anthropic().messages.stream(ask('[[sim:tool cut_after=4 input={"city":"a very long name of a city"}]]', { tools: [weather] })).finalMessage());
  });
  check('a whole reply cut in the middle is an exception', async () => {
    await assert.rejects(world.anthropic().messages.create(ask('[[sim:cut]]')));
  });
  check('a web page instead of an answer is an exception', async () => {
    await assert.rejects(world.anthropic().messages.create(ask('[[sim:garbage]]')));
    await assert.rejects(world.anthropic().messages.stream(ask('[[sim:garbage]]')).finalMessage());
    await assert.rejects(world.anthropic().messages.create(ask('[[sim:error status=502 html=true]]')));
  });

  check('a client that leaves is a 499 row and the provider is told', async () => {
    const id = session();
    const stream = world.anthropic(id).messages.stream(ask('[[sim:slow tokens=600 pause_ms=30]]'));
    await new Promise((done) => stream.once('text', done));
    stream.abort();
    await stream.done().catch(() => {});
    const rows = await world.a.rowsSoon(1, `session='${id}'`);
    assert.deepEqual(rows.map((row) => row.status), [499]);
    // B sees A's connection close: its own row is a 499 as well.
    const until = Date.now() + 30000;
    let upstream = [];
    while (Date.now() < until && upstream.length === 0) {
      upstream = world.b.rows(`status=499 and dialect='${dialect}'`);
      await new Promise((done) => setTimeout(done, 30));
    }
    assert.ok(upstream.length >= 1, 'the provider was not told');
  });

  check('a client that leaves before the first byte is a 499 row too', async () => {
    const id = session();
    const stop = new AbortController();
    const left = sent(id);
    const asked = world.anthropic(id).messages.create(ask('[[sim:hang]]', { stream: true }), { signal: stop.signal });
    left.then(() => setTimeout(() => stop.abort(), 150));
    await assert.rejects(asked);
    const rows = await world.a.rowsSoon(1, `session='${id}'`);
    assert.deepEqual(rows.map((row) => row.status), [499]);
  });
}

test('anthropic sdk: count_tokens and the model list answer', async () => {
  const counted = await world.anthropic().messages.countTokens({ model: 'a-model', messages: [user('Count me, please.')] });
  assert.ok(counted.input_tokens > 0);
  const models = await world.anthropic().models.list();
  assert.ok(Array.isArray(models.data));
});

test('anthropic sdk: an unknown provider, an empty half and a missing model are 400s or 404s that say what to do', async () => {
  const send = (model) => world.anthropic().messages.create({ model, max_tokens: 5, messages: [user('hi')] });
  for (const [model, status] of [['nobody,any', [400, 404]], ['simA,', [400]], [',x', [400]], ['fits-nowhere', [404]], ['', [400]]]) {
    const error = await send(model).then(() => assert.fail(`"${model}" was accepted`), (thrown) => thrown);
    assert.ok(status.includes(error.status), `"${model}": ${error.status} ${error.message}`);
    assert.ok(error.error?.error?.message?.length > 10, `"${model}": ${error.message}`);
  }
  const fine = await send('simA,claude-sim');
  assert.equal(fine.role, 'assistant');
});

test('anthropic sdk: the SDK retries a 529 by itself and each try is one row', async () => {
  const id = session();
  await assert.rejects(world.anthropic(id, { maxRetries: 1 }).messages.create(
    { model: 'a-model', max_tokens: 5, messages: [user('[[sim:error status=529 retry_after=0]]')] }));
  assert.equal((await world.a.rowsSoon(2, `session='${id}'`)).length, 2);
});
