/**
 * Stand-ins for what a SessionAgent talks to: a sandbox host that only notes what is asked, and a runner that says
 * what the test makes it say. Both speak the real wire format (`crates/protocol`).
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';

import { startServer, until } from './harness.mjs';

/** A sandbox host. `state(name)` is what it answers; `puts` are the specs it was sent, newest last. */
export async function startHost(state = () => 'running') {
  const puts = [];
  const server = await startServer((request, response, body) => {
    const [path] = request.url.split('?');
    const name = path.split('/')[3];
    if (request.method === 'PUT') puts.push({ name, spec: JSON.parse(body), headers: request.headers });
    if (request.method === 'DELETE') return response.writeHead(204).end();
    const answer = state(name, request);
    const failed = typeof answer === 'object';
    response.writeHead(failed ? answer.status : request.method === 'PUT' ? 202 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(failed ? answer.body : { name, state: answer, isolation: 'namespaces', labels: {} }));
  });
  return { ...server, puts, vars: { SANDBOX_HOST_URL: server.url } };
}

/** The spec of the sandbox that the host was asked for, `generation` counting from 1. */
export const specOf = (host, session, generation = 1) =>
  until(() => host.puts.find(({ name }) => name === `sbx-${session}-${generation}`), `a PUT of ${session}-${generation}`);

/** Dials as the runner of that sandbox. */
export async function startRunner(worker, host, session, { generation = 1, spool = `spl_${crypto.randomBytes(4).toString('hex')}`, lastRseq = 0, ready = false, turn, protocol = 1, hello = true } = {}) {
  const { spec } = await specOf(host, session, generation);
  const socket = worker.socket(`/runner/${session}`, { token: spec.env.ERRAND_TOKEN });
  await socket.opened;
  const token = spec.env.ERRAND_TOKEN;
  const runner = {
    socket,
    spool,
    token,
    rseq: lastRseq,
    closed: socket.closed,
    next: (type) => socket.next((frame) => frame.type === type, `${type} for the runner`),
    send: (frame) => socket.send(frame),
    /** Sends an event and resolves when it is acked, which is after it was stored. */
    async event(body, rseq = (runner.rseq += 1)) {
      socket.send({ type: 'event', rseq, at: new Date().toISOString(), body });
      await socket.next((frame) => frame.type === 'ack' && frame.rseq >= rseq, `the ack of ${rseq}`);
    },
    /** Goes through a start until the engine takes prompts. */
    async start() {
      await runner.event({ kind: 'step', step: 'cloning' });
      await runner.event({ kind: 'cloned', branch: 'main', commit: '0'.repeat(40) });
      await runner.event({ kind: 'step', step: 'engine' });
      await runner.event({ kind: 'ready', engine: '1.18.33' });
    },
    /** Takes the next turn. */
    async accept() {
      const run = await runner.next('run');
      await runner.event({ kind: 'turn.accepted', turnId: run.turnId });
      return run;
    },
    /** Opens a text part, to which deltas can be sent. */
    async open(turnId, part = 'prt_a', message = 'msg_a') {
      await runner.event({ kind: 'message.started', turnId, messageId: message });
      await runner.event({ kind: 'part.started', turnId, messageId: message, part: textPart(part, '') });
    },
    /** Uploads a snapshot with the work up to that turn and says so; resolves to its id. */
    async save(turnId, { id = newSnapshotId(), content = `the work after ${turnId}` } = {}) {
      const answer = await putSnapshot(worker, token, session, id, content);
      assert.equal(answer.status, 204, await answer.text());
      await runner.event({ kind: 'snapshot.saved', snapshotId: id, turnId, bytes: content.length, runtime: 1 });
      return id;
    },
    /** Is told to push the work before the session rests for its budget, and says what came of it. */
    async push(outcome) {
      const { stop, author } = await runner.next('push');
      await runner.event({ kind: 'push.ended', stop, outcome });
      return author;
    },
    delta: (offset, text, partId = 'prt_a') => socket.send({ type: 'delta', partId, offset, text }),
    /** Ends the part and the turn. */
    async finish(turnId, text, { part = 'prt_a', message = 'msg_a', outcome = 'done', cause } = {}) {
      if (text !== undefined) {
        const whole = { ...textPart(part, text), endedAt: new Date().toISOString() };
        await runner.event({ kind: 'part.finished', turnId, messageId: message, part: whole });
        await runner.event({ kind: 'message.finished', turnId, messageId: message });
      }
      await runner.event({ kind: 'turn.finished', turnId, outcome, cause, usage: {}, files: [] });
    },
  };
  if (hello) socket.send({ type: 'hello', protocol, generation, spoolId: spool, lastRseq, ready, turn, version: 'test' });
  return runner;
}

/** A new snapshot's id. */
export const newSnapshotId = () => `snp_${crypto.randomBytes(8).toString('hex')}`;

/** Uploads a snapshot as a sandbox does. */
export const putSnapshot = (worker, token, session, id, content) =>
  worker.fetch(`/runner/${session}/snapshots/${id}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/gzip', ...(token && { authorization: `Bearer ${token}` }) },
    body: content,
  });

/** Makes a session whose first turn has ended; its sandbox runs and has nothing to do. */
export async function idleSession(worker, host, me, { save = false, ...options } = {}) {
  const made = await runningTurn(worker, host, me, options);
  await made.runner.open(made.turnId);
  await made.runner.finish(made.turnId, 'done');
  return { ...made, snapshot: save ? await made.runner.save(made.turnId) : undefined };
}

/** A text part. */
export const textPart = (id, text, index = 0) => ({ id, index, startedAt: '2026-11-21T06:00:00.000Z', type: 'text', text });

/** Makes a session with a prompt, a running sandbox and an accepted turn. */
export async function runningTurn(worker, host, me, { prompt = 'fix it', ...rest } = {}) {
  const session = await createSession(me, { prompt, ...rest });
  const runner = await startRunner(worker, host, session);
  await runner.next('welcome');
  await runner.start();
  const run = await runner.accept();
  return { session, runner, turnId: run.turnId, run };
}

/** Makes a session; resolves to its id. */
export async function createSession(me, body) {
  const answer = await me.api('/api/sessions', { method: 'POST', body });
  assert.equal(answer.status, 201, await answer.clone().text());
  return (await answer.json()).id;
}

/** Attaches a viewer and resolves when `hello` is there. */
export async function attach(worker, me, session, after) {
  const query = after === undefined ? '' : `?after=${after}`;
  const socket = worker.socket(`/api/sessions/${session}/ws${query}`, { token: me.token });
  const hello = await socket.next((frame) => frame.type === 'hello', 'hello');
  return {
    socket,
    hello,
    /** The next log event of this type. */
    event: async (type) => {
      const holds = (event) => event.type === type;
      const frame = await socket.next(
        (frame) => (frame.type === 'event' && holds(frame.event)) || (frame.type === 'events' && frame.events.some(holds)),
        type,
      );
      return frame.event ?? frame.events.find(holds);
    },
    /** Every log event that came, in order. */
    events: () => socket.frames.flatMap((frame) => (frame.type === 'event' ? [frame.event] : frame.type === 'events' ? frame.events : [])),
    /** The streaming text of a part as this viewer has it. */
    text: (partId = 'prt_a') =>
      socket.frames.filter((frame) => frame.type === 'delta' && frame.partId === partId).map((frame) => frame.text).join(''),
    /** Sends a command and resolves to its one answer. */
    async command(command, id = `cmd_${crypto.randomBytes(8).toString('hex')}`) {
      socket.send({ id, ...command });
      return socket.next((frame) => (frame.type === 'ack' || frame.type === 'reject') && frame.id === id, `the answer to ${id}`);
    },
  };
}
