/** Opening a session with a long history: the first screen, everything by paging, and the transcript in one piece. */
import WebSocket from 'ws';

import { Api } from '../lib/api.mjs';
import { rssBytes } from '../lib/proc.mjs';
import { startErrand } from '../lib/processes.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';
import { median } from '../lib/stats.mjs';
import { streamingSession } from '../lib/streaming-session.mjs';

const PAGE = 500;
/** Events that may be on their way to the log at once. */
const IN_FLIGHT = 200;
const TOOL_OUTPUT = 'src/lib.rs:42: a line of what a tool prints, as long as such lines are\n'.repeat(12);

/** `attach_*` and `durable_events_per_s`. */
export async function attach({ out, options }) {
  const host = await StandInHost.start();
  const worker = await startErrand({ hostUrl: host.url, buildDir: options.buildDir });
  const api = await Api.signIn(worker.url);
  try {
    const session = await streamingSession({ api, host });
    const wanted = options.quick ? 1000 : 10_000;
    await filled(session, wanted, out);
    const before = rssBytes(worker.workerd);
    await opened({ out, api, session, repeats: options.quick ? 3 : 20 });
    await everything({ out, api, session, repeats: options.quick ? 1 : 5 });
    out.figure('attach_10k_events_rss', (rssBytes(worker.workerd) - before) / 2 ** 20, 'MB', 1, 'growth of workerd by all these reads');
    await session.runner.stop();
  } finally {
    api.close();
    await worker.stop();
    await host.stop();
  }
}

/** Tool calls until the log has `wanted` events: each begins, moves on, and ends with a page of output. */
async function filled(session, wanted, out) {
  const { runner } = session;
  const start = performance.now();
  const first = runner.rseq;
  for (let i = 0; runner.rseq - first < wanted; i += 1) {
    if (i % 20 === 0) nextMessage(session, i);
    toolCall(session, i);
    await runner.stored(IN_FLIGHT);
  }
  await runner.stored();
  const perSecond = (runner.rseq - first) / ((performance.now() - start) / 1000);
  out.figure('durable_events_per_s', perSecond, 'events/s', runner.rseq - first, 'events of tool calls, each stored and acked, no viewers');
}

function nextMessage(session, i) {
  const { runner } = session;
  const { turnId } = runner;
  runner.event({ kind: 'message.finished', turnId, messageId: session.messageId });
  session.messageId = `msg_bench${i}`;
  runner.event({ kind: 'message.started', turnId, messageId: session.messageId });
}

function toolCall({ runner, messageId }, i) {
  const startedAt = new Date().toISOString();
  const part = (more) => ({
    id: `prt_tool${i}`, index: i % 20, startedAt, type: 'tool', tool: 'bash', callId: `call_${i}`,
    input: { command: `cargo test -p crate-${i}`, description: 'Runs the tests of one crate' }, ...more,
  });
  const send = (kind, more) => runner.event({ kind, turnId: runner.turnId, messageId, part: part(more) });
  send('part.started', { status: 'running' });
  send('part.finished', { status: 'completed', title: 'Runs tests', output: TOOL_OUTPUT, endedAt: new Date().toISOString() });
}

async function opened({ out, api, session, repeats }) {
  const screens = [];
  for (let i = 0; i < repeats; i += 1) screens.push(await firstScreen(api, session.id));
  const { headSeq, events } = screens[0];
  const note = `of ${headSeq} events: from dialling to the newest ${events}`;
  out.figure('attach_10k_events', median(screens.map((screen) => screen.ms)), 'ms', repeats, note);
  out.figure('attach_10k_events_kb', screens[0].bytes / 1024, 'KB', events, note);
}

/** Attaches without a position; ends when the newest event is there. */
function firstScreen(api, session) {
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

async function everything({ out, api, session, repeats }) {
  const runs = [];
  for (let i = 0; i < repeats; i += 1) runs.push(await allPages(api, session.id));
  const { bytes, events } = runs[0];
  const note = `pages of ${PAGE}, newest first, one after the other`;
  out.figure('attach_10k_events_all', median(runs.map((run) => run.ms)), 'ms', events, note);
  out.figure('attach_10k_events_all_kb', bytes / 1024, 'KB', events, note);
  const start = performance.now();
  const transcript = await api.request('GET', `/api/sessions/${session.id}/transcript`);
  out.figure('transcript_10k_events', performance.now() - start, 'ms', 1, `${Math.round(transcript.length / 1024)} KB in one answer`);
}

async function allPages(api, session) {
  const start = performance.now();
  let [bytes, events, before] = [0, 0, null];
  while (before !== 1) {
    const position = before ? `&before=${before}` : `&before=${Number.MAX_SAFE_INTEGER}`;
    const body = await api.request('GET', `/api/sessions/${session}/events?limit=${PAGE}${position}`);
    const page = JSON.parse(body);
    if (page.events.length === 0) throw new Error(`the log ends before ${before}`);
    bytes += body.length;
    events += page.events.length;
    before = page.events[0].seq;
  }
  return { ms: performance.now() - start, bytes, events };
}
