/** A host with one place: sessions take turns in it, and nothing of their work is lost. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { newId } from '../lib/ids.mjs';
import { startSystem } from '../lib/system.mjs';

const write = (name, content) => `[[write:${JSON.stringify({ path: name, content })}]]`;
const cat = (name) => `[[bash:${JSON.stringify({ cmd: `cat ${name}` })}]]`;

describe('a host with one place', () => {
  let system, user;
  before(async () => {
    system = await startSystem({ places: 1, timings: { makeRoom: 300 } });
    user = await system.signIn();
  });
  after(() => system?.stop());

  const madeRoom = (session) => session.viewer.event((event) => event.type === 'session.phase' && event.phase === 'paused' && event.cause?.code === 'made_room', 'it made room');

  test('is handed on by who is idle, and comes back with the work', async () => {
    const first = await user.create();
    assert.equal((await first.run(write('first.txt', 'of the first'))).end.outcome, 'done');
    const second = await user.create();
    assert.equal((await second.run(write('second.txt', 'of the second'))).end.outcome, 'done');
    await madeRoom(first);
    const again = await first.run(cat('first.txt'));
    assert.equal(again.tools('bash')[0].output.trim(), 'of the first');
    await madeRoom(second);
  });

  test('is kept by who works until the work is done', async () => {
    const gate = newId('gate');
    const busy = await user.create();
    const held = await busy.prompt(`[[gate:{"name":"${gate}"}]]`);
    await busy.viewer.untilSession((now) => now.activity === 'thinking');
    const waiting = await user.create();
    const wanted = await waiting.prompt('[[text:{"words":2}]]');
    await waiting.viewer.untilSession((now) => now.cause?.code === 'sandbox_capacity');
    assert.equal((await busy.get()).phase, 'running');
    await system.openGate(gate);
    assert.equal((await busy.viewer.finished({ promptId: held.id })).outcome, 'done');
    assert.equal((await waiting.viewer.finished({ promptId: wanted.id })).outcome, 'done');
    await madeRoom(busy);
  });
});
