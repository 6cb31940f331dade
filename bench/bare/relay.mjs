/**
 * The least that a relay on this runtime can do, to compare with: a Durable Object with hibernatable sockets that sends
 * what the sender's socket says to all other sockets, and stores nothing.
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

export default {
  fetch(request, env) {
    if (request.headers.get('upgrade') !== 'websocket') return new Response('ok');
    return env.RELAY.get(env.RELAY.idFromName('relay')).fetch(request);
  },
};
