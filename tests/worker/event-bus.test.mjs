/** The EventBus: what a listener hears, from where, and who may listen. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { assertError, indexOf, ORIGIN, PATIENCE, startWorker } from './harness.mjs';

let worker;
before(async () => {
  worker = await startWorker();
});
afterEach(() => worker.assertNoPanics());
after(() => worker.stop());

async function person() {
  const me = await worker.signIn();
  const { org } = await (await me.api('/api/auth/me')).json();
  return { ...me, org: org.id, ...indexOf(worker, org.id, me.user) };
}

/** A socket that has had its first frame. */
async function listening(me, target = '/api/events/ws') {
  const socket = worker.socket(target, { token: me.token });
  const hello = await socket.next((frame) => frame.type === 'hello', 'hello');
  return { socket, hello };
}

const about = (id, headSeq) => (frame) =>
  frame.type === 'session' && frame.session.id === id && (headSeq === undefined || frame.session.headSeq === headSeq);

describe('by WebSocket', () => {
  test('hello says the position, and every change follows to every listener of its owner', async () => {
    const [ada, bob] = [await person(), await person()];
    await ada.apply(ada.summary());
    const [one, two, other] = [await listening(ada), await listening(ada), await listening(bob)];
    assert.deepEqual(one.hello, { type: 'hello', rev: 1 });
    assert.deepEqual(other.hello, { type: 'hello', rev: 0 });
    const session = ada.summary();
    await ada.apply(session);
    await ada.apply({ ...session, headSeq: 2 });
    for (const { socket } of [one, two]) {
      const frame = await socket.next(about(session.id, 2));
      assert.deepEqual(frame, { type: 'session', rev: 3, session: { ...session, headSeq: 2 } });
      const revs = socket.frames.filter((f) => f.type === 'session').map((f) => f.rev);
      assert.deepEqual(revs, [...revs].sort((a, b) => a - b));
    }
    const own = bob.summary();
    await bob.apply(own);
    await other.socket.next(about(own.id));
    assert.ok(!other.socket.frames.some((frame) => about(session.id)(frame)), 'a stranger heard of it');
  });

  test('a listener that comes back gets what it missed, once, and no hello', async () => {
    const ada = await person();
    const { socket } = await listening(ada);
    const [a, b] = [ada.summary(), ada.summary()];
    await ada.apply(a);
    const { rev } = await socket.next(about(a.id));
    await socket.close();
    await ada.apply(b);
    await ada.apply({ ...b, headSeq: 2 });
    await ada.apply({ ...a, headSeq: 5 });
    const again = worker.socket(`/api/events/ws?after=${rev}`, { token: ada.token });
    await again.next(about(a.id, 5));
    assert.deepEqual(again.frames.map((frame) => [frame.type, frame.session?.id, frame.session?.headSeq]), [
      ['session', b.id, 2],
      ['session', a.id, 5],
    ]);
    const c = ada.summary();
    await ada.apply(c);
    await again.next(about(c.id));
  });

  test('more changes than one page are all sent', async () => {
    const ada = await person();
    const made = [];
    for (let n = 0; n < 130; n++) made.push(ada.summary());
    for (const session of made) await ada.apply(session);
    const socket = worker.socket('/api/events/ws?after=0', { token: ada.token });
    await socket.next(about(made.at(-1).id));
    assert.deepEqual(socket.frames.map((frame) => frame.session.id), made.map((session) => session.id));
  });

  test('a position from the future is answered with the present one', async () => {
    const ada = await person();
    const { hello } = await listening(ada, '/api/events/ws?after=999999');
    assert.deepEqual(hello, { type: 'hello', rev: 0 });
  });

  test('a hibernating listener keeps its place through eviction of bus and registry', async () => {
    const ada = await person();
    const { socket } = await listening(ada);
    const first = ada.summary();
    await ada.apply(first);
    await socket.next(about(first.id));
    await worker.evict('EVENT_BUS', ada.user.id);
    await worker.evict('SESSION_REGISTRY', ada.org);
    const second = ada.summary();
    await ada.apply(second);
    await socket.next(about(second.id));
    assert.deepEqual(socket.frames.filter((f) => f.type === 'session').map((f) => f.session.id), [first.id, second.id]);
  });

  test('ping is answered with pong', async () => {
    const { socket } = await listening(await person());
    socket.send('ping');
    await socket.next((frame) => frame === 'pong', 'pong');
  });

  test('anything else that a listener sends ends its socket with a reason', async () => {
    for (const message of ['{}', 'x'.repeat(100_000), Buffer.from([1, 2, 3])]) {
      const { socket } = await listening(await person());
      socket.send(message);
      assert.equal((await socket.closed).code, 4400);
    }
  });

  test('a listener that closes is let go with its own code, and the rest go on', async () => {
    const ada = await person();
    const [one, two] = [await listening(ada), await listening(ada)];
    assert.equal((await one.socket.close(4001, 'bye')).code, 4001);
    const session = ada.summary();
    await ada.apply(session);
    await two.socket.next(about(session.id));
  });

  test('after the last one left, the next one hears changes again', async () => {
    const ada = await person();
    for (let round = 0; round < 3; round++) {
      const { socket } = await listening(ada);
      const session = ada.summary();
      await ada.apply(session);
      await socket.next(about(session.id));
      await socket.close();
      await ada.apply(ada.summary());
    }
  });
});

describe('who may listen', () => {
  const refused = async (options, target = '/api/events/ws') => {
    const socket = worker.socket(target, options);
    const refusal = await socket.opened.then(() => assert.fail('it was let in'), (error) => error);
    return [refusal.status, JSON.parse(refusal.body).error.code];
  };

  test('the subprotocol carries a token where no header can, and is answered', async () => {
    const { token } = await worker.signIn();
    const socket = worker.socket('/api/events/ws', { protocols: ['errand', `bearer.${token}`] });
    assert.equal(await socket.opened, 'errand');
    await socket.next((frame) => frame.type === 'hello');
  });

  test('a cookie is good from our own pages only', async () => {
    const { cookie } = await worker.signIn();
    const socket = worker.socket('/api/events/ws', { headers: { cookie, origin: ORIGIN } });
    await socket.next((frame) => frame.type === 'hello');
    assert.deepEqual(await refused({ headers: { cookie, origin: 'https://evil.example' } }), [403, 'forbidden']);
    assert.deepEqual(await refused({ headers: { cookie } }), [403, 'forbidden']);
  });

  test('nobody else', async () => {
    assert.deepEqual(await refused({}), [401, 'unauthenticated']);
    assert.deepEqual(await refused({ token: 'forged' }), [401, 'unauthenticated']);
    assert.deepEqual(await refused({ protocols: ['errand', 'bearer.forged'] }), [401, 'unauthenticated']);
    const { token } = await worker.signIn();
    assert.deepEqual(await refused({ token }, '/api/events/ws?after=x'), [400, 'bad_request']);
  });

  test('a plain request to the WebSocket address is refused in words', async () => {
    const { api } = await worker.signIn();
    await assertError(await api('/api/events/ws'), 400, 'bad_request');
    await assertError(await api('/api/events/ws', { method: 'POST' }), 405, 'method_not_allowed');
    await assertError(await worker.fetch('/api/events'), 401, 'unauthenticated');
  });

  test('a client cannot name somebody else', async () => {
    const [ada, bob] = [await person(), await person()];
    const session = ada.summary();
    await ada.apply(session);
    const actor = JSON.stringify({ person: ada.user, org: ada.org });
    const socket = worker.socket('/api/events/ws?after=0', { token: bob.token, headers: { 'x-errand-actor': actor } });
    await socket.opened;
    const own = bob.summary();
    await bob.apply(own);
    await socket.next(about(own.id));
    assert.deepEqual(socket.frames.map((frame) => frame.session.id), [own.id]);
  });
});

describe('by SSE', () => {
  /** Reads events until `wanted` holds for one; returns all read so far. */
  async function read(response, wanted) {
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('content-type'), 'text/event-stream');
    const events = [];
    let rest = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      rest += chunk;
      const blocks = rest.split('\n\n');
      rest = blocks.pop();
      for (const block of blocks.filter((text) => text.includes('data: '))) {
        const [, id] = block.match(/^id: (.*)$/m) ?? [];
        const event = { id, ...JSON.parse(block.match(/^data: (.*)$/m)[1]) };
        events.push(event);
        if (wanted(event)) return events; // Leaves the loop, which cancels the stream.
      }
    }
    return assert.fail(`the stream ended after ${JSON.stringify(events)}`);
  }
  const open = (me, headers = {}, target = '/api/events') => {
    const signal = AbortSignal.timeout(PATIENCE);
    return worker.fetch(target, { signal, headers: { authorization: `Bearer ${me.token}`, accept: 'text/event-stream', ...headers } });
  };

  test('the same frames, with the position as id, and resumed by Last-Event-ID', async () => {
    const ada = await person();
    const stream = await open(ada);
    const [a, b] = [ada.summary(), ada.summary()];
    await ada.apply(a);
    const events = await read(stream, about(a.id));
    assert.deepEqual(events.map((event) => [event.id, event.type]), [['0', 'hello'], ['1', 'session']]);
    await ada.apply(b);
    const resumed = await read(await open(ada, { 'last-event-id': '1' }), about(b.id));
    assert.deepEqual(resumed.map((event) => event.id), ['2']);
  });

  test('a reader that went away does not keep others from hearing', async () => {
    const ada = await person();
    const gone = await open(ada);
    await gone.body.cancel();
    const { socket } = await listening(ada);
    const session = ada.summary();
    await ada.apply(session);
    await socket.next(about(session.id));
  });
});
