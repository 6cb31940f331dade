/**
 * What streaming costs on disk: rows that were stored for 1,000 deltas of a part that is still open, and bytes that the
 * kernel was made to write for them.
 */
import { Api } from '../lib/api.mjs';
import { stored } from '../lib/agent-db.mjs';
import { writtenBytes } from '../lib/proc.mjs';
import { startErrand } from '../lib/processes.mjs';
import { RelayRun } from '../lib/relay-run.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';
import { streamingSession, viewersOf } from '../lib/streaming-session.mjs';

const RATE = 200;

/** `durable_*`. */
export async function durable({ out, options }) {
  const host = await StandInHost.start();
  const worker = await startErrand({ hostUrl: host.url, buildDir: options.buildDir });
  const api = await Api.signIn(worker.url);
  try {
    const session = await streamingSession({ api, host });
    const seconds = options.quick ? 2 : 10;
    const run = await RelayRun.open({ link: session.link, viewers: viewersOf(api, session, 1), perPart: 1_000_000 });
    const before = stored(worker.home, session.id);
    const bytesBefore = writtenBytes(worker.workerd);
    await run.paced(RATE, seconds);
    const kilobytes = (writtenBytes(worker.workerd) - bytesBefore) / 1024;
    const after = stored(worker.home, session.id);
    run.close();
    await session.runner.stop();
    const thousands = (RATE * seconds) / 1000;
    const note = `at ${RATE}/s into one open part, its beginning included`;
    out.figure('durable_rows_per_1000_deltas', (after.rows - before.rows) / thousands, 'rows', RATE * seconds, note);
    const wal = Math.round((after.wal - before.wal) / 1024);
    const how = `${note}; bytes that workerd made the kernel write; the WAL file alone grew by ${wal} KB`;
    out.figure('durable_kb_per_1000_deltas', kilobytes / thousands, 'KB', RATE * seconds, how);
  } finally {
    api.close();
    await worker.stop();
    await host.stop();
  }
}
