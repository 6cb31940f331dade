/** Opening a session with a long history: the first screen, everything by paging, and the transcript in one piece. */
import { Api } from '../lib/api.mjs';
import { firstScreen } from '../lib/first-screen.mjs';
import { rssBytes } from '../lib/proc.mjs';
import { startErrand } from '../lib/processes.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';
import { median } from '../lib/stats.mjs';
import { streamingSession } from '../lib/streaming-session.mjs';
import { toolCalls } from '../lib/tool-calls.mjs';

const PAGE = 500;

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

/** The log grows to `wanted` events. */
async function filled(session, wanted, out) {
  const { events, perSecond } = await toolCalls(session, wanted);
  out.figure('durable_events_per_s', perSecond, 'events/s', events, 'events of tool calls, each stored and acked, no viewers');
}

async function opened({ out, api, session, repeats }) {
  const screens = [];
  for (let i = 0; i < repeats; i += 1) screens.push(await firstScreen(api, session.id));
  const { headSeq, events } = screens[0];
  const note = `of ${headSeq} events: from dialling to the newest ${events}`;
  out.figure('attach_10k_events', median(screens.map((screen) => screen.ms)), 'ms', repeats, note);
  out.figure('attach_10k_events_kb', screens[0].bytes / 1024, 'KB', events, note);
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
