/**
 * The least that a relay and a proxy on this runtime can do, to compare with. The relay: a Durable Object with hibernatable
 * sockets that sends what the sender's socket says to all other sockets, and stores nothing.
 */
import { DurableObject } from 'cloudflare:workers';

export class BareRelay extends DurableObject {
  fetch(request) {
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server, [new URL(request.url).pathname === '/sender' ? 'sender' : 'viewer']);
    this.viewers = null;
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(_sender, message) {
    this.viewers ??= this.ctx.getWebSockets('viewer');
    for (const viewer of this.viewers) viewer.send(message);
  }

  webSocketClose(socket, code) {
    this.viewers = null;
    socket.close(code === 1005 ? 1000 : code);
  }
}

/** The least that a proxy can do that asks one object who calls, and another whether the call may be made. */
export class BareBooks extends DurableObject {
  constructor(state, env) {
    super(state, env);
    this.sql = state.storage.sql;
    this.sql.exec('CREATE TABLE IF NOT EXISTS calls (id TEXT PRIMARY KEY, bytes INTEGER) WITHOUT ROWID');
  }

  async fetch(request) {
    const { id, bytes } = await request.json();
    if (bytes !== undefined) this.sql.exec('INSERT OR REPLACE INTO calls VALUES (?, ?)', id, bytes);
    return Response.json({ id });
  }
}

async function proxied(request, env, context) {
  const body = await request.arrayBuffer();
  const { model } = JSON.parse(new TextDecoder().decode(body));
  const id = `${model}-${crypto.randomUUID()}`;
  const ask = async (name, command) => {
    const answer = await env.BOOKS.getByName(name).fetch('https://do/ask', { method: 'POST', body: JSON.stringify(command) });
    return answer.json();
  };
  await ask('session', { id });
  await ask('ledger', { id, bytes: 0 });
  const answer = await fetch(request.headers.get('x-upstream'), { method: 'POST', headers: request.headers, body });
  let bytes = 0;
  const counted = new TransformStream({
    transform(chunk, to) {
      bytes += chunk.length;
      to.enqueue(chunk);
    },
    flush: () => context.waitUntil(ask('ledger', { id, bytes })),
  });
  return new Response(answer.body.pipeThrough(counted), answer);
}

export default {
  fetch(request, env, context) {
    if (request.headers.has('x-upstream')) return proxied(request, env, context);
    if (request.headers.get('upgrade') !== 'websocket') return new Response('ok');
    return env.RELAY.get(env.RELAY.idFromName('relay')).fetch(request);
  },
};
