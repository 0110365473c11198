// @google/genai through every provider dialect.
import assert from 'node:assert/strict';
import { ApiError, FunctionCallingConfigMode } from '@google/genai';
import { lanes, png, session, world } from './lib/world.mjs';

const weather = {
  name: 'get_weather', description: 'Weather of a city',
  parametersJsonSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};
const clock = { name: 'get_time', description: 'Time of a city', parametersJsonSchema: { type: 'object', properties: { zone: { type: 'string' } } } };
const tools = [{ functionDeclarations: [weather, clock] }];

/** Everything a stream gave. */
async function collect(stream) {
  const out = { text: '', thoughts: '', calls: [], finish: null, usage: null, parts: [] };
  for await (const chunk of stream) {
    for (const part of chunk.candidates?.[0]?.content?.parts ?? []) {
      out.parts.push(part);
      if (part.functionCall) out.calls.push(part.functionCall);
      else if (part.thought) out.thoughts += part.text ?? '';
      else out.text += part.text ?? '';
    }
    out.finish = chunk.candidates?.[0]?.finishReason ?? out.finish;
    out.usage = chunk.usageMetadata ?? out.usage;
  }
  return out;
}

for (const { lane, provider, model, forces, stops } of lanes) {
  const check = (name, body) => test(`google sdk, ${lane}: ${name}`, body);
  const ask = (contents, config = {}) => ({ model, contents, config });

  check('generateContent answers with text and usage, and leaves one ledger row', async () => {
    const id = session();
    const reply = await world.google(id).models.generateContent(ask('Hello there'));
    assert.equal(reply.text, 'Hello from the ccrules simulator. You said: Hello there');
    assert.equal(reply.candidates[0].finishReason, 'STOP');
    assert.ok(reply.usageMetadata.promptTokenCount > 0 && reply.usageMetadata.candidatesTokenCount > 5);
    const rows = await world.a.rowsSoon(1, `session='${id}'`);
    assert.equal(rows.length, 1);
    assert.deepEqual([rows[0].status, rows[0].provider, rows[0].dialect, rows[0].model], [200, provider, 'gemini', model]);
    assert.equal(rows[0].output_tokens, reply.usageMetadata.candidatesTokenCount);
  });

  check('a stream gives the same text and usage', async () => {
    const text = '[[sim:echo]] same both ways, üñí 世界 😀';
    const whole = await world.google().models.generateContent(ask(text));
    const streamed = await collect(await world.google().models.generateContentStream(ask(text)));
    assert.equal(streamed.text, 'same both ways, üñí 世界 😀');
    assert.equal(whole.text, streamed.text);
    assert.equal(streamed.finish, 'STOP');
    assert.equal(streamed.usage.candidatesTokenCount, whole.usageMetadata.candidatesTokenCount);
  });

  check('parallel calls and their results go round, whole and streamed', async () => {
    const asked = { role: 'user', parts: [{ text: '[[sim:tools count=2]]' }] };
    const whole = await world.google().models.generateContent(ask([asked], { tools }));
    assert.deepEqual(whole.functionCalls.map((call) => call.name), ['get_weather', 'get_time']);
    const streamed = await collect(await world.google().models.generateContentStream(ask([asked], { tools })));
    assert.deepEqual(streamed.calls.map((call) => call.name), ['get_weather', 'get_time']);
    assert.equal(typeof streamed.calls[0].args, 'object');
    for (const parts of [whole.candidates[0].content.parts, streamed.parts.filter((part) => part.functionCall || part.text || part.thoughtSignature)]) {
      const calls = parts.filter((part) => part.functionCall).map((part) => part.functionCall);
      const results = calls.map((call, i) => ({ functionResponse: { id: call.id, name: call.name, response: { output: `r${i}` } } }));
      const reply = await world.google().models.generateContent(
        ask([asked, { role: 'model', parts }, { role: 'user', parts: results }], { tools }));
      assert.equal(reply.text, 'The tool answered: r0; r1');
    }
  });

  check('a chat of several turns keeps its history', async () => {
    const chat = world.google().chats.create({ model });
    assert.match((await chat.sendMessage({ message: 'first' })).text, /You said: first/);
    assert.match((await chat.sendMessage({ message: '[[sim:echo]] second' })).text, /second/);
    assert.equal(chat.getHistory().length, 4);
  });

  check('thoughts come as thoughts and can be sent back', async () => {
    const asked = { role: 'user', parts: [{ text: '[[sim:thinking think="First I think." say="Then I speak."]]' }] };
    const config = { thinkingConfig: { includeThoughts: true, thinkingBudget: 2048 } };
    const streamed = await collect(await world.google().models.generateContentStream(ask([asked], config)));
    assert.equal(streamed.text, 'Then I speak.');
    assert.equal(streamed.thoughts, 'First I think.');
    const whole = await world.google().models.generateContent(ask([asked], config));
    const reply = await world.google().models.generateContent(
      ask([asked, whole.candidates[0].content, { role: 'user', parts: [{ text: '[[sim:echo]] and now' }] }], config));
    assert.match(reply.text, /and now/);
  });

  check('images arrive, and system instructions, sampling and stop words too', async () => {
    const image = { inlineData: { mimeType: 'image/png', data: png } };
    const seen = await world.google().models.generateContent(ask([{ role: 'user', parts: [image, { text: '[[sim:images]]' }] }]));
    assert.equal(seen.text, 'I see 1 image (image/png) and 0 documents.');
    const reply = await world.google().models.generateContent(ask('[[sim:inspect]]', {
      systemInstruction: 'Be brief.', stopSequences: ['END'], maxOutputTokens: 900,
    }));
    const told = JSON.parse(reply.text);
    assert.equal(told.system, 'Be brief.');
    if (stops) assert.deepEqual(told.stop_sequences, ['END']);
    assert.equal(told.max_tokens, 900);
  });

  check('a forced call and a structured answer are kept to', async () => {
    if (forces) {
      const reply = await world.google().models.generateContent(ask('hi', {
        tools, toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY, allowedFunctionNames: ['get_weather'] } },
      }));
      assert.deepEqual(reply.functionCalls.map((call) => call.name), ['get_weather']);
    }
    const reply = await world.google().models.generateContent(ask('a city please', {
      responseMimeType: 'application/json',
      responseJsonSchema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
    }));
    assert.equal(typeof JSON.parse(reply.text).city, 'string');
  });

  check('finish reasons arrive', async () => {
    assert.equal((await world.google().models.generateContent(ask('[[sim:max-tokens]]'))).candidates[0].finishReason, 'MAX_TOKENS');
    const refused = await world.google().models.generateContent(ask('[[sim:refusal]]'));
    assert.notEqual(refused.candidates[0].finishReason, 'MAX_TOKENS');
  });

  check('errors are exceptions with the provider\'s words, before and inside a stream', async () => {
    for (const [upstream, status] of [[400, 400], [429, 429], [529, 503]]) {
      const error = await world.google().models.generateContent(ask(`[[sim:error status=${upstream} message="the words of the provider"]]`)).then(
        () => assert.fail(`status ${upstream} was taken for success`), (thrown) => thrown);
      assert.ok(error instanceof ApiError, String(error));
      assert.equal(error.status, status);
      assert.match(error.message, /the words of the provider/);
    }
    const broken = async () => collect(await world.google().models.generateContentStream(ask('[[sim:midstream-error after=8]]')));
    const id = session();
    const out = await broken().catch((thrown) => thrown);
    // The SDK may take an error event as a chunk without candidates; it must not look like an end.
    if (!(out instanceof Error)) assert.equal(out.finish, null, id);
  });

  check('countTokens counts', async () => {
    const counted = await world.google().models.countTokens({ model, contents: 'one two three four five' });
    assert.ok(counted.totalTokens >= 5 && counted.totalTokens < 60, String(counted.totalTokens));
  });
}

test('google: a stream that was not asked for as events is one JSON array', async () => {
  for (const { model } of lanes) {
    const answer = await fetch(`${world.a.url}/v1beta/models/${model}:streamGenerateContent`, {
      method: 'POST', headers: { 'content-type': 'application/json', 'x-goog-api-key': 'client-key' },
      body: JSON.stringify({ contents: [{ role: 'user', parts: [{ text: '[[sim:echo]] one two three' }] }] }),
    });
    assert.match(answer.headers.get('content-type'), /application\/json/);
    const chunks = await answer.json();
    assert.ok(Array.isArray(chunks));
    assert.equal(chunks.flatMap((chunk) => chunk.candidates?.[0]?.content?.parts ?? []).map((part) => part.text ?? '').join(''), 'one two three');
    assert.equal(chunks.at(-1).candidates[0].finishReason, 'STOP');
  }
});

test('google sdk: the model list has the shape of Gemini', async () => {
  const page = await world.google().models.list();
  assert.ok(Array.isArray(page.page));
});
