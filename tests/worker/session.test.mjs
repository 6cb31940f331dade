// A session's life in workerd, with a stand-in host and runner: frames, evictions with live sockets, streams, pages.
import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';

import { assertError, PROVIDER_KEY, startWorker, until } from './harness.mjs';
import { attach, createSession, runningTurn, specOf, startHost, startRunner, textPart } from './stand-ins.mjs';

let host, worker, me;
before(async () => {
  host = await startHost();
  worker = await startWorker({ vars: host.vars });
  me = await worker.signIn();
});
afterEach(() => worker.assertNoPanics());
after(async () => {
  await worker?.stop();
  await host?.stop();
});

const transcriptOf = async (session) => (await me.api(`/api/sessions/${session}/transcript`)).json();

test('a prompt becomes a sandbox, a turn and a transcript, and viewers see every step in order', async () => {
  const session = await createSession(me, { prompt: 'fix it', repo: { url: '/srv/repo', branch: 'main' } });
  const viewer = await attach(worker, me, session);
  const { spec, headers } = await specOf(host, session);
  assert.match(headers['x-errand-signature'], /^v1=[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(spec.env).sort(), ['ERRAND_GENERATION', 'ERRAND_SESSION', 'ERRAND_TOKEN', 'ERRAND_URL']);
  assert.equal(spec.labels.session, session);
  const runner = await startRunner(worker, host, session);
  const welcome = await runner.next('welcome');
  assert.equal(welcome.acked, 0);
  assert.equal(welcome.setup.repo.url, '/srv/repo');
  assert.equal(welcome.setup.providers.demo.path, '/llm/demo/v1');
  assert.ok(!JSON.stringify(welcome).includes(PROVIDER_KEY), 'the key stays outside');
  await runner.start();
  const { turnId, text, author } = await runner.accept();
  assert.equal(text, 'fix it');
  assert.equal(author.name, me.user.name);
  await runner.open(turnId);
  runner.delta(0, 'Hel');
  runner.delta(3, 'lo 😀');
  await until(() => viewer.text() === 'Hello 😀', 'the deltas');
  await runner.finish(turnId, 'Hello 😀 world');
  await viewer.event('turn.finished');

  const seqs = viewer.events().map((event) => event.seq);
  assert.deepEqual(seqs, seqs.map((_, index) => index + 1), 'contiguous from 1');
  const transcript = await transcriptOf(session);
  assert.equal(transcript.headSeq, seqs.length);
  assert.deepEqual(transcript.messages.map(({ role, parts }) => [role, parts.map((part) => part.text)]), [['user', ['fix it']], ['assistant', ['Hello 😀 world']]]);
  assert.equal(transcript.messages[0].author.id, me.user.id);
  assert.equal(transcript.session.activity, 'idle');
});

test('an eviction in the middle of a turn loses nothing and no socket notices', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  const viewer = await attach(worker, me, session);
  await runner.open(turnId);
  runner.delta(0, 'saved ');
  runner.send({ type: 'flush' });
  await runner.next('saved');
  await worker.evict('SESSION_AGENT', session);
  const late = await attach(worker, me, session);
  assert.equal(late.hello.openParts[0].part.text, 'saved ', 'a late viewer has what was shown');
  assert.equal(late.hello.session.phase, 'running');
  runner.delta(6, 'and more');
  await until(() => viewer.text() === 'saved and more', 'the same socket goes on');
  await runner.finish(turnId, 'saved and more');
  for (const one of [viewer, late]) await one.event('turn.finished');
});

test('text that was shown but not stored is asked for again', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  await runner.open(turnId);
  runner.delta(0, 'first ');
  runner.send({ type: 'flush' });
  await runner.next('saved');
  await worker.evict('SESSION_AGENT', session);
  runner.delta(20, 'after a gap');
  const resend = await runner.next('resend');
  assert.deepEqual([resend.partId, resend.from], ['prt_a', 6]);
  runner.delta(6, 'what was lost after a gap');
  runner.send({ type: 'flush' });
  await runner.next('saved');
  const [part] = (await attach(worker, me, session)).hello.openParts;
  assert.equal(part.part.text, 'first what was lost after a gap');
});

test('waiting prompts outlive an eviction and run in order', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me, { prompt: 'one' });
  for (const text of ['two', 'three']) {
    const answer = await me.api(`/api/sessions/${session}/prompts`, { method: 'POST', body: { text } });
    assert.equal(answer.status, 202);
  }
  await worker.evict('SESSION_AGENT', session);
  await runner.finish(turnId);
  for (const text of ['two', 'three']) {
    const run = await runner.accept();
    assert.equal(run.text, text);
    await runner.finish(run.turnId);
  }
});

test('a viewer that comes back gets exactly what it missed, by WebSocket and as a stream', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  const first = await attach(worker, me, session);
  const seen = first.hello.headSeq;
  await first.socket.close(1000);
  await runner.finish(turnId);
  const again = await attach(worker, me, session, seen);
  assert.equal(again.hello.firstSeq, seen + 1);
  await again.event('turn.finished');
  const missed = again.events().map((event) => event.seq);
  assert.equal(missed[0], seen + 1);
  const none = await attach(worker, me, session, missed.at(-1));
  assert.equal(none.hello.firstSeq, missed.at(-1) + 1);

  const stream = await me.api(`/api/sessions/${session}/events`, { headers: { accept: 'text/event-stream', 'last-event-id': String(seen) } });
  assert.match(stream.headers.get('content-type'), /^text\/event-stream/);
  const reader = stream.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes(`id: ${missed.at(-1)}\n`)) text += (await reader.read()).value;
  await me.api(`/api/sessions/${session}`, { method: 'PATCH', body: { title: 'Live title' } });
  while (!text.includes('Live title')) text += (await reader.read()).value;
  await reader.cancel();
  const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
  assert.deepEqual(ids, ids.map((_, index) => seen + 1 + index));
});

test('the log is read by pages, and what is no position is refused', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  await runner.finish(turnId);
  const page = async (query) => (await me.api(`/api/sessions/${session}/events?${query}`)).json();
  const { events, headSeq } = await page('limit=500');
  assert.equal(events.length, headSeq);
  assert.deepEqual((await page('after=2&limit=3')).events.map((event) => event.seq), [3, 4, 5]);
  assert.deepEqual((await page('before=4&limit=2')).events.map((event) => event.seq), [2, 3]);
  // Positions beyond what JavaScript can count are beyond every log.
  assert.deepEqual((await page('before=18446744073709551615&limit=500')).events, (await page('after=0&limit=500')).events);
  assert.deepEqual((await page('after=9007199254740993')).events, []);
  assert.deepEqual((await page('after=999999')).events, []);
  for (const query of ['after=x', 'before=-1', 'limit=0', 'limit=501', 'limit=ten']) {
    await assertError(await me.api(`/api/sessions/${session}/events?${query}`), 422, 'invalid');
  }
});

test('a first look at a long history is its newest page, whose start is told', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  for (let index = 0; index < 130; index += 1) {
    await runner.event({ kind: 'part.finished', turnId, messageId: 'msg_a', part: textPart(`prt_${index}`, 'x', index) });
  }
  const viewer = await attach(worker, me, session);
  const { headSeq, firstSeq } = viewer.hello;
  assert.equal(firstSeq, headSeq - 99);
  await until(() => viewer.events().length === 100, 'the page');
});

test('every command is answered once, in words when it is refused', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  const viewer = await attach(worker, me, session);
  const prompt = { type: 'prompt', promptId: 'prm_mine', text: 'next' };
  for (let time = 0; time < 2; time += 1) assert.equal((await viewer.command(prompt, 'cmd_same')).type, 'ack');
  assert.equal(viewer.events().filter((event) => event.type === 'prompt.queued' && event.prompt.id === 'prm_mine').length, 1);
  assert.equal((await viewer.command({ type: 'edit_prompt', promptId: 'prm_mine', text: 'other' })).type, 'ack');
  assert.equal((await viewer.command({ type: 'withdraw_prompt', promptId: 'prm_mine' })).type, 'ack');
  assert.equal((await viewer.command({ type: 'withdraw_prompt', promptId: 'prm_mine' })).type, 'ack');
  assert.equal((await viewer.command({ type: 'edit_prompt', promptId: 'prm_mine', text: 'late' })).code, 'conflict');
  assert.equal((await viewer.command({ type: 'withdraw_prompt', promptId: 'prm_never' })).code, 'not_found');
  assert.equal((await viewer.command({ type: 'rename', title: 'x'.repeat(100_000) })).code, 'invalid');
  assert.equal((await viewer.command({ type: 'rename', title: 'bell \u0007' })).code, 'invalid');
  assert.equal((await viewer.command({ type: 'no_such_thing' })).code, 'bad_request');
  assert.equal((await viewer.command({ type: 'answer', interactionId: 'int_never', answer: { type: 'dismiss' } })).code, 'not_found');
  for (const garbage of ['{', '[]', '{"id":7}', 'hello']) viewer.socket.send(garbage);
  for (let count = 0; count < 4; count += 1) {
    const frame = await viewer.socket.next((frame) => frame.type === 'reject' && frame.id === undefined, 'a rejection without id');
    assert.equal(frame.code, 'bad_request');
  }
  viewer.socket.send('ping');
  await viewer.socket.next((frame) => frame === 'pong', 'pong');
  assert.equal((await viewer.command({ type: 'abort', turnId: 'trn_other' })).type, 'ack');
  assert.equal((await viewer.command({ type: 'abort', turnId })).type, 'ack');
  assert.equal((await runner.next('abort')).turnId, turnId);
  await runner.finish(turnId, undefined, { outcome: 'aborted' });
  assert.equal((await viewer.event('turn.finished')).outcome, 'aborted');
});

test('who watches is seen by the others', async () => {
  const session = await createSession(me, { title: 'quiet' });
  const one = await attach(worker, me, session);
  assert.deepEqual(one.hello.presence.map((person) => person.id), [me.user.id]);
  const two = await attach(worker, me, session);
  assert.equal(two.hello.presence.length, 1, 'a person with two windows is one person');
});

test('a question is answered once, and the answer reaches the runner even after an eviction', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  const ask = { kind: 'permission', permission: 'bash', patterns: ['rm x'], command: 'rm x', always: [] };
  await runner.event({ kind: 'interaction.asked', interactionId: 'int_1', turnId, ask });
  assert.equal((await (await me.api(`/api/sessions/${session}`)).json()).activity, 'awaiting_input');
  const post = (answer, id = 'int_1') => me.api(`/api/sessions/${session}/interactions/${id}`, { method: 'POST', body: { answer } });
  await assertError(await post({ type: 'question', answers: [['x']] }), 422, 'invalid');
  await assertError(await post({ type: 'permission', reply: 'maybe' }), 400, 'bad_request');
  await assertError(await post({ type: 'permission', reply: 'once' }, 'int_2'), 404, 'not_found');
  await worker.evict('SESSION_AGENT', session);
  assert.equal((await post({ type: 'permission', reply: 'once' })).status, 200);
  assert.deepEqual((await runner.next('resolve')).answer, { type: 'permission', reply: 'once' });
  await assertError(await post({ type: 'permission', reply: 'reject' }), 409, 'already_resolved');
  await runner.event({ kind: 'interaction.closed', interactionId: 'int_1' });
  await runner.finish(turnId);
});

test('prompts over HTTP: repeating, changing, taking back, and what is refused', async () => {
  const { session } = await runningTurn(worker, host, me);
  const post = (body, headers) => me.api(`/api/sessions/${session}/prompts`, { method: 'POST', body, headers });
  for (const key of ['\u00d7\u00f8\u009b', 'k\u00e9y', '\u00c2\u009b']) {
    const { status } = await post({ text: 'again' }, { 'idempotency-key': key });
    assert.ok([400, 422].includes(status), `${status} for ${key}`);
  }
  const first = await (await post({ text: 'again' }, { 'idempotency-key': 'k1' })).json();
  const second = await (await post({ text: 'again' }, { 'idempotency-key': 'k1' })).json();
  assert.deepEqual(second, first);
  const at = `/api/sessions/${session}/prompts/${first.prompt.id}`;
  const changed = await (await me.api(at, { method: 'PATCH', body: { text: 'better' } })).json();
  assert.equal(changed.prompt.text, 'better');
  for (let time = 0; time < 2; time += 1) {
    const gone = await me.api(at, { method: 'DELETE' });
    assert.deepEqual([gone.status, (await gone.json()).prompt.state], [200, 'withdrawn']);
  }
  await assertError(await me.api(at, { method: 'PATCH', body: { text: 'late' } }), 409, 'conflict');
  await assertError(await post({ text: ' ' }), 422, 'invalid');
  await assertError(await post({ text: 'a\0b' }), 422, 'invalid');
  await assertError(await post({ text: 'x'.repeat(600_000) }), 422, 'invalid');
  await assertError(await post({ text: 'x'.repeat(2_000_000) }), 413, 'too_large');
  await assertError(await post({ words: 'x' }), 400, 'bad_request');
  await assertError(await post({ text: 'x', model: 'no/such' }), 422, 'invalid');
  await assertError(await me.api(`/api/sessions/${session}/prompts/nonsense`, { method: 'DELETE' }), 404, 'not_found');
  await assertError(await me.api(`/api/sessions/${session}/prompts`), 405, 'method_not_allowed');
  await assertError(await me.api(`/api/sessions/${session}/nonsense`), 404, 'not_found');
});

test('a session that was ended keeps its transcript and takes nothing more', async () => {
  const { session, runner, turnId } = await runningTurn(worker, host, me);
  await runner.open(turnId);
  const viewer = await attach(worker, me, session);
  for (let time = 0; time < 2; time += 1) {
    const answer = await me.api(`/api/sessions/${session}`, { method: 'DELETE' });
    assert.deepEqual([answer.status, (await answer.json()).phase], [200, 'terminated']);
  }
  assert.equal((await viewer.event('turn.finished')).outcome, 'aborted');
  await runner.next('shutdown');
  const removed = () => host.requests.some(({ method, url }) => method === 'DELETE' && url === `/v1/sandboxes/sbx-${session}-1`);
  assert.ok(!removed(), 'the runner saves the work first');
  await runner.save(turnId);
  assert.equal((await runner.closed).code, 4410);
  await until(removed, 'its removal');
  const saved = await me.api(`/api/sessions/${session}/snapshot`);
  assert.equal(await saved.text(), `the work after ${turnId}`);
  await assertError(await me.api(`/api/sessions/${session}/prompts`, { method: 'POST', body: { text: 'more' } }), 409, 'terminated');
  assert.equal((await me.api(`/api/sessions/${session}/abort`, { method: 'POST' })).status, 200);
  assert.equal((await transcriptOf(session)).messages.length, 2);
  const late = await startRunner(worker, host, session);
  assert.equal((await late.closed).code, 4410);
});
