/** What lasts until somebody ends it: it begins as the document says. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, test } from 'node:test';

import { DOCUMENT } from './fuzz.mjs';
import { startWorld } from './world.mjs';

const { paths } = JSON.parse(fs.readFileSync(DOCUMENT, 'utf8'));
const operations = Object.entries(paths).flatMap(([path, methods]) => Object.values(methods).map((op) => ({ path, ...op })));
const streams = operations.filter((op) => op.responses[200]?.content?.['text/event-stream']);
const sockets = operations.filter((op) => op['x-websocket']);

let world;
before(async () => {
  world = await startWorld();
});
after(() => world.stop());

const address = (path) => path.replace('{id}', world.ids.ses[0]);

test('the document has the streams and the sockets', () => {
  assert.deepEqual(streams.map((op) => op.path).sort(), ['/api/events', '/api/sessions/{id}/events']);
  assert.deepEqual(sockets.map((op) => op.path).sort(), ['/api/events/ws', '/api/sessions/{id}/ws']);
});

for (const { path, responses } of streams) {
  test(`GET ${path} is a stream to those who may, and an error that is in the document to others`, async () => {
    const ended = new AbortController();
    const headers = { accept: 'text/event-stream' };
    const mine = { ...headers, authorization: `Bearer ${world.owner.token}` };
    const answer = await world.worker.fetch(address(path), { headers: mine, signal: ended.signal });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'text/event-stream');
    const first = await answer.body.getReader().read();
    assert.equal(first.done, false);
    ended.abort();
    assert.equal((await world.worker.fetch(address(path), { headers })).status, 401);
    assert.ok(responses[401]);
  });
}

for (const { path, responses } of sockets) {
  test(`GET ${path} is a WebSocket to those who may, and an error that is in the document to others`, async () => {
    const socket = world.worker.socket(address(path), { token: world.owner.token });
    await socket.opened;
    const hello = await socket.next();
    assert.equal(hello.type, 'hello');
    const refused = await world.worker.socket(address(path)).opened.then(() => 'opened', ({ status }) => status);
    assert.equal(refused, 401);
    const plain = await world.owner.api(address(path));
    assert.equal(plain.status, 400, await plain.text());
    for (const status of [101, 400, 401]) assert.ok(responses[status], `${status} is in the document`);
  });
}
