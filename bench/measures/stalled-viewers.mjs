/**
 * Viewers that stop reading while much is sent: what workerd keeps for them, whether they are cut off, and whether what
 * was kept is freed.
 */
import { once } from 'node:events';

import WebSocket from 'ws';

import { Api } from '../lib/api.mjs';
import { rssBytes } from '../lib/proc.mjs';
import { startErrand } from '../lib/processes.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';
import { streamingSession } from '../lib/streaming-session.mjs';

const STALLED = 3;
const ROUNDS = 4;
const MEGABYTES = 16;
const OUTPUT = 'x'.repeat(200 * 1024);
const OVERLOADED = 4429;
const MEGABYTE = 2 ** 20;

/** `load_stalled_*`. */
export async function stalledViewers({ out, options }) {
  const host = await StandInHost.start();
  const worker = await startErrand({ hostUrl: host.url, buildDir: options.buildDir });
  const api = await Api.signIn(worker.url);
  try {
    const session = await streamingSession({ api, host });
    const reader = await attached(api, session);
    answerChecks(reader);
    await sent(session, 40); // Warm: the heap has its size.
    out.progress(`load: ${STALLED} viewers that do not read, ${MEGABYTES} MB are sent, ${ROUNDS} times`);
    const before = megabytesOf(worker);
    const rounds = [];
    for (let i = 0; i < ROUNDS; i += 1) rounds.push(await round(api, session, worker));
    const each = (megabytes) => (megabytes - before) / STALLED;
    const note = `growth of workerd's RSS for each viewer that read nothing of ${MEGABYTES} MB`;
    out.figure('load_stalled_rss', each(rounds[0].full), 'MB', STALLED, note);
    out.figure('load_stalled_rss_again', each(rounds.at(-1).full), 'MB', STALLED, `${note}, after ${ROUNDS - 1} such rounds: what was kept is used again`);
    const cut = rounds.reduce((sum, { cut: these }) => sum + these, 0);
    out.figure('load_stalled_cut', cut, 'viewers', STALLED * ROUNDS, 'cut off with 4429, as they see once they read again');
    if (reader.readyState !== WebSocket.OPEN) throw new Error('the viewer that reads was closed as well');
    reader.close();
    await session.runner.stop();
  } finally {
    api.close();
    await worker.stop();
    await host.stop();
  }
}

/** Some viewers stop reading, much is sent; then they read on and go. */
async function round(api, session, worker) {
  const stalled = [];
  for (let i = 0; i < STALLED; i += 1) stalled.push(await attached(api, session));
  for (const socket of stalled) socket.pause();
  await sent(session, Math.ceil((MEGABYTES * MEGABYTE) / OUTPUT.length));
  const full = megabytesOf(worker);
  const codes = await Promise.all(stalled.map((socket) => endOf(socket)));
  return { full, cut: codes.filter((code) => code === OVERLOADED).length };
}

const megabytesOf = (worker) => rssBytes(worker.workerd) / MEGABYTE;

async function attached(api, session) {
  const socket = new WebSocket(api.socketUrl(session.id), ['errand', `bearer.${api.token}`], { perMessageDeflate: false });
  socket.on('error', () => {});
  await once(socket, 'message');
  return socket;
}

function answerChecks(socket) {
  socket.on('message', (data) => {
    if (data.latin1Slice(0, 15) === '{"type":"check"') socket.send(`seen ${JSON.parse(data).sent}`);
  });
}

/** `count` large events, each stored before the next. */
async function sent({ runner, messageId }, count) {
  for (let left = count; left > 0; left -= 1) {
    const i = runner.rseq;
    const at = new Date().toISOString();
    const part = { id: `prt_large${i}`, index: i, startedAt: at, endedAt: at, type: 'text', text: OUTPUT };
    runner.event({ kind: 'part.finished', turnId: runner.turnId, messageId, part });
    await runner.stored();
  }
}

/** The close code of a socket that reads on; our own end of the connection is then torn down. */
async function endOf(socket) {
  const concluded = new Promise((resolve) => socket._receiver.once('conclude', resolve));
  socket.resume();
  const code = await Promise.race([concluded, new Promise((resolve) => setTimeout(resolve, 10_000, null))]);
  socket.terminate();
  return code;
}
