/** What an open viewer of an idle session costs: its pings must not wake anything. */
import { once } from 'node:events';

import WebSocket from 'ws';

import { Api } from '../lib/api.mjs';
import { countedBuild } from '../lib/counted-build.mjs';
import { cpuSeconds } from '../lib/proc.mjs';
import { startErrand } from '../lib/processes.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';

const VIEWERS = 10;
/** The client pings every 25 s or so: this is what hundreds of viewers would do. */
const PING_MS = 50;

/** `load_idle_*`. */
export async function idleViewers({ out, options }) {
  const host = await StandInHost.start();
  const worker = await startErrand({ hostUrl: host.url, buildDir: countedBuild(options.buildDir) });
  const api = await Api.signIn(worker.url);
  const seconds = options.quick ? 5 : 20;
  try {
    const { id } = await api.json('POST', '/api/sessions', { title: 'Nothing happens here' });
    const sockets = [];
    for (let i = 0; i < VIEWERS; i += 1) sockets.push(await attached(api, id));
    await new Promise((resolve) => setTimeout(resolve, 2000)); // The session's creation has been told to its index.
    out.progress(`load: ${VIEWERS} viewers ping an idle session`);
    const [calls, cpu] = [await api.json('GET', '/api/bench-calls'), cpuSeconds(worker.workerd)];
    const answered = await pinged(sockets, seconds);
    const used = cpuSeconds(worker.workerd) - cpu;
    const after = await api.json('GET', '/api/bench-calls');
    if (calls.fetch < VIEWERS) throw new Error('the calls of the SessionAgent are not counted');
    const woken = Object.keys(after).reduce((sum, call) => sum + after[call] - calls[call], 0);
    out.figure('load_idle_wakeups', woken, 'calls', answered, `of the SessionAgent by the platform during ${answered} pings of ${VIEWERS} viewers, all answered`);
    out.figure('load_idle_ping_cpu', (used / answered) * 1e6, 'us/ping', answered, 'CPU of workerd; this is the platform alone');
    for (const socket of sockets) socket.terminate();
  } finally {
    api.close();
    await worker.stop();
    await host.stop();
  }
}

async function attached(api, session) {
  const socket = new WebSocket(api.socketUrl(session), ['errand', `bearer.${api.token}`], { perMessageDeflate: false });
  await once(socket, 'message');
  return socket;
}

/** Every socket pings and waits for the answer, again and again; how many answers came. */
async function pinged(sockets, seconds) {
  const until = performance.now() + seconds * 1000;
  let answered = 0;
  const one = async (socket) => {
    while (performance.now() < until) {
      const pong = nextPong(socket);
      socket.send('ping');
      await pong;
      answered += 1;
      await new Promise((resolve) => setTimeout(resolve, PING_MS));
    }
  };
  await Promise.all(sockets.map(one));
  return answered;
}

async function nextPong(socket) {
  for (;;) {
    const [data] = await once(socket, 'message');
    if (String(data) === 'pong') return;
  }
}
