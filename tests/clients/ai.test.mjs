// Vercel's `ai` with its providers of three dialects (OpenAI's speaks two), through providers of all five.
import assert from 'node:assert/strict';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateText, jsonSchema, Output, stepCountIs, streamText, tool } from 'ai';
import { lanes, png, session, world } from './lib/world.mjs';

const settings = (path, id) => ({
  baseURL: `${world.a.url}${path}`, apiKey: 'client-key', headers: { 'x-claude-code-session-id': id ?? 'none' },
});
const clients = [
  { client: 'anthropic', dialect: 'anthropic', make: (model, id) => createAnthropic(settings('/v1', id))(model) },
  { client: 'openai chat', dialect: 'openai_chat', make: (model, id) => createOpenAI(settings('/v1', id)).chat(model) },
  { client: 'openai responses', dialect: 'openai_responses', make: (model, id) => createOpenAI(settings('/v1', id)).responses(model) },
  { client: 'google', dialect: 'gemini', make: (model, id) => createGoogleGenerativeAI(settings('/v1beta', id))(model) },
];

const weather = () => {
  const calls = [];
  const tools = {
    get_weather: tool({
      description: 'Weather of a city',
      inputSchema: jsonSchema({ type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false }),
      execute: async (input) => { calls.push(input); return `21 degrees in ${input.city}`; },
    }),
  };
  return { calls, tools };
};

/** A stream's text, and the errors that came in it. */
async function read(result) {
  const out = { text: '', errors: [], types: [] };
  try {
    for await (const part of result.fullStream ?? result.stream) {
      out.types.push(part.type);
      if (part.type === 'text-delta') out.text += part.text;
      if (part.type === 'error') out.errors.push(part.error);
    }
  } catch (error) {
    out.errors.push(error);
  }
  return out;
}

for (const { client, dialect, make } of clients) {
  for (const { lane, provider, model, forces } of lanes) {
    const check = (name, body) => test(`ai sdk ${client}, ${lane}: ${name}`, body);
    const quiet = { maxRetries: 0, onError: () => {} };

    check('generateText answers with text and usage, and leaves one ledger row', async () => {
      const id = session();
      const reply = await generateText({ model: make(model, id), prompt: 'Hello there', ...quiet });
      assert.equal(reply.text, 'Hello from the ccrules simulator. You said: Hello there');
      assert.equal(reply.finishReason, 'stop');
      assert.ok(reply.usage.inputTokens > 0 && reply.usage.outputTokens > 5, JSON.stringify(reply.usage));
      const rows = await world.a.rowsSoon(1, `session='${id}'`);
      assert.deepEqual(rows.map((row) => [row.status, row.provider, row.dialect, row.output_tokens]),
        [[200, provider, dialect, reply.usage.outputTokens]]);
    });

    check('streamText gives the same text', async () => {
      const result = streamText({ model: make(model), prompt: '[[sim:echo]] same both ways, üñí 世界 😀', ...quiet });
      const seen = await read(result);
      assert.deepEqual(seen.errors, []);
      assert.equal(seen.text, 'same both ways, üñí 世界 😀');
      assert.equal(await result.finishReason, 'stop');
      assert.ok((await result.usage).outputTokens > 0);
    });

    check('a tool is called and its result goes back, whole and streamed', async () => {
      const prompt = '[[sim:tool name=get_weather input={"city":"Zürich"}]]';
      const whole = weather();
      const reply = await generateText({ model: make(model), prompt, tools: whole.tools, stopWhen: stepCountIs(3), ...quiet });
      assert.deepEqual(whole.calls, [{ city: 'Zürich' }]);
      assert.match(reply.text, /The tool answered: .*21 degrees in Zürich/);
      const streamed = weather();
      const seen = await read(streamText({ model: make(model), prompt, tools: streamed.tools, stopWhen: stepCountIs(3), ...quiet }));
      assert.deepEqual(seen.errors, []);
      assert.deepEqual(streamed.calls, [{ city: 'Zürich' }]);
      assert.match(seen.text, /21 degrees in Zürich/);
    });

    check('parallel calls keep their order and arguments', async () => {
      const { calls, tools } = weather();
      const reply = await generateText({ model: make(model), prompt: '[[sim:tools count=3 name=get_weather]]', tools, stopWhen: stepCountIs(3), ...quiet });
      assert.equal(calls.length, 3);
      assert.match(reply.text, /^The tool answered: /);
    });

    if (forces) {
      check('a forced tool is called', async () => {
        const { calls, tools } = weather();
        await generateText({ model: make(model), prompt: 'go', tools, toolChoice: { type: 'tool', toolName: 'get_weather' }, ...quiet });
        assert.equal(calls.length, 1);
      });
    }

    // Anthropic's provider forces a call of a tool for the answer, and Ollama cannot be forced.
    if (forces || dialect !== 'anthropic') check('a structured answer fits its schema', async () => {
      const schema = jsonSchema({
        type: 'object', properties: { name: { type: 'string' }, age: { type: 'integer' } }, required: ['name', 'age'], additionalProperties: false,
      });
      const reply = await generateText({ model: make(model), prompt: 'Who?', output: Output.object({ schema }), ...quiet });
      assert.equal(typeof reply.output.name, 'string');
      assert.ok(Number.isInteger(reply.output.age));
    });

    check('a picture arrives', async () => {
      const reply = await generateText({
        model: make(model), ...quiet,
        messages: [{ role: 'user', content: [{ type: 'text', text: '[[sim:images]]' }, { type: 'image', image: png, mediaType: 'image/png' }] }],
      });
      assert.match(reply.text, /1 image/);
    });

    check('an overloaded provider is an error with its status, and may be tried again', async () => {
      await assert.rejects(generateText({ model: make(model), prompt: '[[sim:error status=529]]', ...quiet }), (error) => {
        assert.ok(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, dialect === 'anthropic' ? 529 : 503);
        assert.equal(error.isRetryable, true);
        return true;
      });
    });

    check('a refused request is an error that is not tried again', async () => {
      await assert.rejects(generateText({ model: make(model), prompt: '[[sim:error status=400 type=invalid_request_error message="no such thing"]]', ...quiet }), (error) => {
        assert.ok(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, 400);
        assert.equal(error.isRetryable, false);
        assert.match(error.message, /no such thing/);
        return true;
      });
    });

    check('a stream that is cut is never taken for an answer', async () => {
      const result = streamText({ model: make(model), prompt: '[[sim:text tokens=50 cut_after=8]]', ...quiet });
      const seen = await read(result);
      const reason = await Promise.resolve(result.finishReason).catch(() => 'error');
      assert.ok(seen.errors.length > 0 || reason !== 'stop', JSON.stringify([seen, reason]));
    });
  }
}
