/** Opening a session as a browser does. */
import WebSocket from 'ws';

/** Attaches without a position; ends when the newest event is there. */
export function firstScreen(api, session) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const socket = new WebSocket(api.socketUrl(session), ['errand', `bearer.${api.token}`], { perMessageDeflate: false });
    let [bytes, events, headSeq] = [0, 0, Infinity];
    socket.on('error', reject).on('message', (data) => {
      bytes += data.length;
      const frame = JSON.parse(data);
      if (frame.type === 'hello') headSeq = frame.headSeq;
      if (frame.type === 'events') events += frame.events.length;
      if (frame.type !== 'events' || frame.events.at(-1).seq < headSeq) return;
      socket.close();
      resolve({ ms: performance.now() - start, bytes, events, headSeq });
    });
  });
}
