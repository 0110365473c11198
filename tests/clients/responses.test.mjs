// The Responses part of the openai package through every provider dialect.
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { lanes, png, session, world } from './lib/world.mjs';

const user = (content) => ({ role: 'user', content });
const tool = (name) => ({
  type: 'function', name, description: name, strict: false,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: [] },
});

for (const { lane, provider, model, forces } of lanes) {
  const check = (name, body) => test(`openai sdk responses, ${lane}: ${name}`, body);
  const responses = (id) => world.openai(id).responses;
  const ask = (input, more = {}) => ({ model, input, store: false, ...more });

  check('create answers with text and usage, and leaves one ledger row', async () => {
    const id = session();
    const reply = await responses(id).create(ask('Hello there'));
    assert.equal(reply.output_text, 'Hello from the ccrules simulator. You said: Hello there');
    assert.equal(reply.status, 'completed');
    assert.equal(reply.model, model);
    assert.equal(reply.usage.total_tokens, reply.usage.input_tokens + reply.usage.output_tokens);
    const rows = await world.a.rowsSoon(1, `session='${id}'`);
    assert.equal(rows.length, 1);
    assert.deepEqual([rows[0].status, rows[0].provider, rows[0].dialect], [200, provider, 'openai_responses']);
    assert.equal(rows[0].output_tokens, reply.usage.output_tokens);
  });

  check('the stream helper sees every event in order and the same answer', async () => {
    const text = '[[sim:echo]] same both ways, üñí 世界 😀';
    const stream = responses().stream(ask(text));
    let pieces = '';
    const types = [];
    let last = -1;
    for await (const event of stream) {
      types.push(event.type);
      assert.ok(event.sequence_number > last, `${event.type} ${event.sequence_number}`);
      last = event.sequence_number;
      if (event.type === 'response.output_text.delta') pieces += event.delta;
    }
    const streamed = await stream.finalResponse();
    assert.equal(pieces, 'same both ways, üñí 世界 😀');
    assert.equal(streamed.output_text, pieces);
    assert.equal(types[0], 'response.created');
    assert.equal(types.at(-1), 'response.completed');
    assert.equal((await responses().create(ask(text))).output_text, pieces);
  });

  check('parallel calls and their results go round, whole and streamed', async () => {
    const tools = [tool('get_weather'), tool('get_time')];
    for (const stream of [false, true]) {
      const body = ask([user('[[sim:tools count=3]]')], { tools });
      const reply = stream ? await responses().stream(body).finalResponse() : await responses().create(body);
      const calls = reply.output.filter((item) => item.type === 'function_call');
      assert.deepEqual(calls.map((call) => call.name), ['get_weather', 'get_time', 'get_weather']);
      assert.equal(new Set(calls.map((call) => call.call_id)).size, 3);
      for (const call of calls) JSON.parse(call.arguments);
      const second = await responses().create(ask(
        [...body.input, ...reply.output, ...calls.map((call, i) => ({ type: 'function_call_output', call_id: call.call_id, output: `r${i}` }))], { tools }));
      assert.equal(second.output_text, 'The tool answered: r0; r1; r2');
    }
  });

  check('reasoning comes as an item and can be sent back', async () => {
    const body = ask([user('[[sim:thinking think="First I think." say="Then I speak."]]')],
      { reasoning: { effort: 'high', summary: 'auto' }, include: ['reasoning.encrypted_content'] });
    const reply = await responses().create(body);
    assert.equal(reply.output_text, 'Then I speak.');
    assert.equal(reply.output[0].type, 'reasoning');
    assert.ok(JSON.stringify(reply.output[0]).includes('First I think.'));
    const streamed = await responses().stream(body).finalResponse();
    assert.equal(streamed.output_text, 'Then I speak.');
    const second = await responses().create(ask([...body.input, ...reply.output, user('[[sim:echo]] and now')]));
    assert.equal(second.output_text, 'and now');
  });

  check('pictures, instructions and limits arrive', async () => {
    const reply = await responses().create(ask([user([
      { type: 'input_text', text: '[[sim:images]]' }, { type: 'input_image', image_url: `data:image/png;base64,${png}`, detail: 'auto' }])]));
    assert.equal(reply.output_text, 'I see 1 image (image/png) and 0 documents.');
    const told = JSON.parse((await responses().create(ask('[[sim:inspect]]', { instructions: 'Be brief.', max_output_tokens: 900 }))).output_text);
    assert.equal(told.system, 'Be brief.');
    assert.equal(told.max_tokens, 900);
  });

  check('a forced call and a structured answer are kept to', async () => {
    if (forces) {
      const reply = await responses().create(ask('hi', { tools: [tool('get_time'), tool('get_weather')], tool_choice: { type: 'function', name: 'get_weather' } }));
      assert.deepEqual(reply.output.filter((item) => item.type === 'function_call').map((call) => call.name), ['get_weather']);
    }
    const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
    const parsed = await responses().parse(ask('a city please', { text: { format: { type: 'json_schema', name: 'place', strict: true, schema } } }));
    assert.equal(typeof JSON.parse(parsed.output_text).city, 'string');
  });

  check('answers that were cut short say why', async () => {
    const reply = await responses().create(ask('[[sim:max-tokens]]'));
    assert.equal(reply.status, 'incomplete');
    assert.equal(reply.incomplete_details.reason, 'max_output_tokens');
  });

  check('errors are exceptions with the provider\'s words, before and inside a stream', async () => {
    for (const [upstream, status, kind] of [[400, 400, OpenAI.BadRequestError], [429, 429, OpenAI.RateLimitError], [529, 503, OpenAI.InternalServerError]]) {
      const error = await responses().create(ask(`[[sim:error status=${upstream} message="the words of the provider"]]`)).then(
        () => assert.fail(`status ${upstream} was taken for success`), (thrown) => thrown);
      assert.ok(error instanceof kind, `${upstream}: ${error.constructor.name} ${error.message}`);
      assert.equal(error.status, status);
      assert.match(error.message, /the words of the provider/);
    }
    for (const marker of ['[[sim:midstream-error after=8]]', '[[sim:cut after=8]]']) {
      const types = [];
      await (async () => {
        for await (const event of await responses().create(ask(marker, { stream: true }))) types.push(event.type);
      })().catch(() => types.push('exception'));
      assert.ok(!types.includes('response.completed'), types.join());
      assert.ok(['error', 'response.failed', 'exception'].includes(types.at(-1)), types.join());
    }
  });
}
