/** A session with a very long history opens as fast as a small one: same Worker, same moment, dialled in turns. */
import { Api } from '../lib/api.mjs';
import { lengthen } from '../lib/agent-db.mjs';
import { firstScreen } from '../lib/first-screen.mjs';
import { rssBytes } from '../lib/proc.mjs';
import { freshHome, removeHome, startErrand } from '../lib/processes.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';
import { median } from '../lib/stats.mjs';
import { streamingSession } from '../lib/streaming-session.mjs';
import { toolCalls } from '../lib/tool-calls.mjs';

const SMALL = 200;
const LONG = 100_000;

/** `load_100k_*`. */
export async function history({ out, options }) {
  out.progress(`load: a session with ${LONG} events beside one with ${SMALL}`);
  const home = freshHome('history');
  const host = await StandInHost.start();
  const start = () => startErrand({ home, hostUrl: host.url, buildDir: options.buildDir });
  try {
    const [small, long] = await twoSessions(await start(), host);
    lengthen(home, long, LONG);
    const worker = await start();
    const api = await Api.signIn(worker.url);
    try {
      await opened({ out, api, worker, small, long, repeats: options.quick ? 5 : 30 });
    } finally {
      api.close();
      await worker.stop();
    }
  } finally {
    await host.stop();
    removeHome(home);
  }
}

async function twoSessions(worker, host) {
  const api = await Api.signIn(worker.url);
  try {
    const ids = [];
    for (let i = 0; i < 2; i += 1) {
      const session = await streamingSession({ api, host });
      await toolCalls(session, SMALL);
      await session.runner.stop();
      await api.request('DELETE', `/api/sessions/${session.id}`);
      ids.push(session.id);
    }
    return ids;
  } finally {
    api.close();
    await worker.stop();
  }
}

async function opened({ out, api, worker, small, long, repeats }) {
  const screens = { small: [], long: [] };
  await firstScreen(api, small);
  const before = rssBytes(worker.workerd);
  const first = await firstScreen(api, long);
  const grown = (rssBytes(worker.workerd) - before) / 2 ** 20;
  for (let i = 0; i < repeats; i += 1) {
    screens.small.push(await firstScreen(api, small));
    screens.long.push(await firstScreen(api, long));
  }
  const ms = (which) => median(screens[which].map((screen) => screen.ms));
  const note = `of ${first.headSeq} events, the newest ${first.events}; beside one of ${screens.small[0].headSeq}`;
  out.figure('load_100k_first_screen', ms('long'), 'ms', repeats, note);
  out.figure('load_100k_first_screen_kb', first.bytes / 1024, 'KB', first.events, note);
  out.figure('load_100k_vs_small', ms('long') / ms('small'), 'ratio', repeats, 'time of the first screen');
  out.figure('load_100k_woken', first.ms, 'ms', 1, 'the very first opening, which loads the session from disk');
  out.figure('load_100k_rss', grown, 'MB', 1, 'growth of workerd by that');
}
