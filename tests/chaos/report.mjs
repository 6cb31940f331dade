/** What a chaos run found, as numbers, as a table and as JSON. */

/** What counts as a sign of life of a session. */
const PROGRESS = /^(part|message|turn|interaction|prompt)\./;

/**
 * For each fault and session that it could hit: milliseconds from its end to progress, where there was work to do. When
 * another fault hit the session before that, the time counts from the end of the last one only.
 */
export function recoveries(faults, sessions) {
  const times = [];
  for (const { id, log } of sessions) {
    const hits = faults.filter((fault) => fault.sessions === null || fault.sessions.includes(id)).sort((a, b) => a.until - b.until);
    for (const fault of hits.filter(({ until }) => busyAt(log, until))) {
      const next = log.find((event) => PROGRESS.test(event.type) && Date.parse(event.at) > fault.until);
      const end = next && Date.parse(next.at);
      if (!next || hits.some((other) => other !== fault && other.until > fault.until && other.at < end)) continue;
      times.push({ ms: end - fault.until, kind: fault.kind, session: id, at: fault.until });
    }
  }
  return times.sort((a, b) => a.ms - b.ms);
}

/** Whether a prompt waited or a turn ran at that moment. */
function busyAt(log, moment) {
  let waiting = 0;
  for (const event of log) {
    if (Date.parse(event.at) > moment) break;
    if (event.type === 'prompt.queued') waiting += 1;
    if (event.type === 'turn.finished' || event.type === 'prompt.withdrawn') waiting -= 1;
  }
  return waiting > 0;
}

/** The value below which `share` of the sorted list lies. */
export function percentile(sorted, share) {
  return sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)];
}

/** Turns by how they ended. */
export function outcomes(sessions) {
  const counts = { done: 0, failed: 0, aborted: 0 };
  const causes = {};
  for (const event of sessions.flatMap(({ log }) => log).filter(({ type }) => type === 'turn.finished')) {
    counts[event.outcome] += 1;
    if (event.outcome === 'failed') causes[event.cause?.code] = (causes[event.cause?.code] ?? 0) + 1;
  }
  return { ...counts, causes };
}

/** How often each kind struck. */
export function byKind(faults) {
  const counts = new Map();
  for (const { kind } of faults) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => a.localeCompare(b));
}

/** The table that a person reads. */
export function table(result) {
  const { options, faults, counts, compared, recovery, turns, findings, seconds } = result;
  const line = (name, value, note = '') => `  ${name.padEnd(36)}${String(value).padStart(8)}  ${note}`.trimEnd();
  return [
    `chaos: ${faults.length} faults on ${options.sessions} sessions in ${seconds} s, seed ${options.seed}`,
    '',
    ...byKind(faults).map(([kind, count]) => line(kind, count)),
    ...result.missing.map((what) => `  not possible here: ${what}`),
    '',
    line('prompts', turns.prompts, `${turns.done} done, ${turns.failed} failed, ${turns.aborted} aborted, ${turns.withdrawn} withdrawn`),
    ...Object.entries(turns.causes).map(([cause, count]) => line(`  failed: ${cause}`, count)),
    line('events', compared.events, `in the log, seen by two viewers each, against ${compared.parts} parts of the engines`),
    line('previews cut short', compared.cuts, 'parts that ended with less than a viewer had been shown'),
    line('recovery p50', recovery.p50 ?? '-', `ms, of ${recovery.samples}`),
    line('recovery p99', recovery.p99 ?? '-', 'ms'),
    line('retries by a person', turns.retries),
    '',
    ...['lost', 'duplicated', 'stuck', 'orphans'].map((kind) => line(kind, counts[kind])),
    ...findings.map(({ kind, session, what }) => `    ${kind}${session ? ` ${session}` : ''}: ${what}`),
  ].join('\n');
}
