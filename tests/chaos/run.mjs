/** One chaos run: people at work on the real system, faults, rest, verdict. */
import fs from 'node:fs';
import path from 'node:path';

import { until } from '../lib/programs.mjs';
import { engineRecord, workspace } from './engine-record.mjs';
import { atMost, Installation } from './installation.mjs';
import { canonical, judge } from './judge.mjs';
import { Person } from './person.mjs';
import { outcomes, percentile, recoveries } from './report.mjs';
import { prompt } from './script.mjs';
import { strikeAll } from './schedule.mjs';

/** After the last fault every session must rest within this, its longest deadlines included. */
const REST_MS = 150_000;
/** The first fault comes when every session has ended a prompt, or after this. */
const WARM_UP_MS = 60_000;

/**
 * Runs and judges. Options: `{faults, seed, sessions, minutes, kinds?, note(text)}`. Resolves to everything that there
 * is to say about it; `counts` must be zero.
 */
export async function chaos(options) {
  const began = Date.now();
  const note = options.note ?? (() => {});
  const installation = await Installation.start();
  const result = { options, findings: [], faults: [], timings: installation.system.context.vars.TIMINGS, missing: installation.missing };
  try {
    note(`the installation runs in ${installation.system.home}`);
    const people = await crowd(installation, options);
    const working = people.map((person) => person.play().catch((error) => person.problems.push({ kind: 'lost', what: error.message })));
    await atMost(WARM_UP_MS, Promise.all(people.map((person) => person.viewer.until(() => person.viewer.events.some(({ type }) => type === 'turn.finished')))));
    note('the faults begin');
    result.faults = await strikeAll({
      installation, people, seed: options.seed, count: options.faults, kinds: options.kinds,
      deadline: Date.now() + options.minutes * 60_000,
      onFault: (fault, count) => note(`${count}/${options.faults} ${fault.kind}: ${fault.detail}${fault.sessions?.length ? ` of ${fault.sessions}` : ''}`),
    });
    await installation.settle();
    note('no more faults; waiting for rest');
    people.forEach((person) => person.stop());
    const restless = await restlessAfter(people, working);
    result.diagnoses = await Promise.all([...restless.keys()].map((person) => diagnosis(installation, person)));
    const reference = await undisturbed(installation, people, note);
    result.sessions = [];
    for (const person of people) result.sessions.push(await verdict(installation, person, { reference, faults: result.faults, restless }));
    result.findings.push(...(await orphansOfSessions(installation, people)));
    await Promise.all(people.map((person) => person.end()));
  } catch (error) {
    result.findings.push({ kind: 'stuck', what: `the run itself failed: ${error.stack}` });
  }
  result.logs = logTails(installation);
  await conclude(result, installation);
  result.seconds = Math.round((Date.now() - began) / 1000);
  return result;
}

async function crowd(installation, { sessions, seed }) {
  const people = Array.from({ length: sessions }, (_, number) => new Person({ url: installation.url, seed, number, sample: installation.system.sample }));
  await Promise.all(people.map((person) => person.begin()));
  return people;
}

/** The people whose session does not come to rest, with where it hangs. */
async function restlessAfter(people, working) {
  let left = new Set(people);
  const all = Promise.all(working.map((work, at) => work.then(() => left.delete(people[at]))));
  await atMost(REST_MS, all);
  const resting = async (person) => {
    const session = await person.insist(person.path);
    return session.queue === 0 && ['idle', 'paused'].includes(session.activity);
  };
  for (const person of people) {
    if (left.has(person)) continue;
    await until(() => resting(person), 'rest', 30_000).catch(() => left.add(person));
  }
  const where = async (person) => `${JSON.stringify(await person.insist(person.path))} ${JSON.stringify((await person.request(`${person.path}/startup`)).body?.waiting ?? null)}`;
  return new Map(await Promise.all([...left].map(async (person) => [person, await where(person)])));
}

/** What the parts of a session that does not rest have to say, before they are gone: for whoever looks for the cause. */
async function diagnosis({ system }, person) {
  const log = await person.log();
  const brief = log.slice(-12).map(({ at, type, turnId, promptId, messageId, cause }) => JSON.stringify({ at, type, turnId, promptId, messageId, cause }));
  return { session: person.id, log: brief, ...sandboxFiles(system.home, person.id), logs: logTails({ system }, 3000) };
}

/** The ends of all that a session's newest sandbox keeps about itself. */
function sandboxFiles(home, session) {
  const top = path.dirname(workspace(home, session) ?? path.join(home, 'none', 'none'));
  const tailOf = (file) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8').slice(-4000) : null);
  const files = ['runner.log', 'state/runner.json', 'state/spool.jsonl', 'state/engine.log'];
  const record = engineRecord(home, session);
  const messages = record && [...record.messages].slice(-4).map(([id, message]) => ({ id, ...message }));
  return { ...Object.fromEntries(files.map((name) => [name, tailOf(path.join(top, name))])), messages };
}

/** The outcome of each prompt, by key, in sessions that nothing disturbs. */
async function undisturbed(installation, people, note) {
  const wanted = new Map(people.flatMap((person) => person.accepted).map(({ key, name }) => [key, name]));
  note(`${wanted.size} different prompts, once more undisturbed`);
  const person = new Person({ url: installation.url, seed: 0, number: 99, sample: installation.system.sample });
  await person.begin();
  const asked = [];
  let count = 0;
  for (const name of wanted.values()) asked.push(await person.ask(prompt(name, `t99x${String((count += 1)).padStart(4, '0')}`)));
  await atMost(REST_MS, Promise.all(asked.map((one) => person.ended(one))));
  const log = await person.log();
  const turns = asked.flatMap(({ id, key, tag }) => {
    const { turnId } = log.find((event) => event.type === 'turn.finished' && event.promptId === id) ?? {};
    return turnId ? [[key, canonical(log.filter((event) => event.turnId === turnId), tag)]] : [];
  });
  if (turns.length < asked.length) throw new Error(`${asked.length - turns.length} prompts did not end even undisturbed`);
  await person.insist(person.path, { method: 'DELETE' });
  await person.end();
  return new Map(turns);
}

async function verdict({ system }, person, { reference, faults, restless }) {
  const log = await person.log();
  const head = log.at(-1).seq;
  const engine = engineRecord(system.home, person.id);
  await Promise.all(person.viewers.map((viewer) => until(() => viewer.head >= head, 'the last events', 10_000).catch(() => {})));
  const findings = judge({
    log, reference,
    transcript: await person.insist(`${person.path}/transcript`),
    prompts: person.accepted,
    viewers: person.viewers,
    engine,
    faults: faults.filter((fault) => fault.sessions === null || fault.sessions.includes(person.id)),
    files: traces(workspace(system.home, person.id)),
  });
  if (restless.has(person)) findings.push({ kind: 'stuck', what: `it does not come to rest: ${restless.get(person)}` });
  const all = [...findings, ...person.problems].map((finding) => ({ ...finding, session: person.id }));
  const compared = { events: log.length, parts: engine?.parts.size ?? 0 };
  return { id: person.id, log, findings: all, accepted: person.accepted, retries: person.retries, compared, cuts: person.viewers.flatMap(({ cuts }) => cuts) };
}

/** What the prompts left in the workspace. */
function traces(directory) {
  if (!directory) return null;
  const read = (file) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '');
  const made = path.join(directory, 'made');
  const names = fs.existsSync(made) ? fs.readdirSync(made) : [];
  return {
    ran: read(path.join(directory, 'ran.log')).split('\n'),
    made: new Map(names.map((name) => [path.basename(name, '.txt'), read(path.join(made, name))])),
  };
}

/** More than one sandbox for a session; then all are ended, and nothing of them may stay. */
async function orphansOfSessions(installation, people) {
  const findings = [];
  const orphan = (session, what) => findings.push({ kind: 'orphans', session, what });
  for (const { id } of people) {
    for (const role of ['keeper', 'runner', 'engine']) {
      const found = installation.sandboxProcesses(id, role);
      if (found.length > 1) orphan(id, `${found.length} processes of the kind ${role}: ${found.map(({ pid }) => pid)}`);
    }
  }
  await Promise.all(people.map((person) => person.insist(person.path, { method: 'DELETE' })));
  const sandboxes = path.join(installation.system.home, 'host', 'sandboxes');
  await until(() => fs.readdirSync(sandboxes).length === 0, 'the end of all sandboxes', 30_000).catch(() => {});
  for (const name of fs.readdirSync(sandboxes)) orphan(null, `directory of the sandbox ${name}`);
  for (const group of cgroupsOf(people)) orphan(null, `cgroup ${group}`);
  return findings;
}

function cgroupsOf(people) {
  const root = '/sys/fs/cgroup';
  const parents = ['', ...(fs.existsSync(root) ? fs.readdirSync(root) : [])].map((name) => path.join(root, name, 'errand-sandboxes'));
  const found = parents.flatMap((parent) => (fs.existsSync(parent) ? fs.readdirSync(parent).map((name) => path.join(parent, name)) : []));
  return found.filter((group) => people.some(({ id }) => group.includes(id)));
}

/** Ends everything and sums up. */
async function conclude(result, installation) {
  result.findings.push(...installation.problems.map((what) => ({ kind: 'stuck', what })));
  const left = await installation.stop();
  for (const { pid, command } of left.processes) result.findings.push({ kind: 'orphans', what: `process ${pid}: ${command.slice(0, 200)}` });
  for (const at of left.mounts) result.findings.push({ kind: 'orphans', what: `mount ${at}` });
  const sessions = result.sessions ?? [];
  result.findings.push(...sessions.flatMap(({ findings }) => findings));
  const times = recoveries(result.faults, sessions);
  const ms = times.map((time) => time.ms);
  result.recovery = { samples: ms.length, p50: percentile(ms, 0.5), p99: percentile(ms, 0.99), slowest: times.slice(-5).reverse() };
  const accepted = sessions.flatMap((session) => session.accepted);
  const withdrawn = sessions.flatMap(({ log }) => log).filter(({ type }) => type === 'prompt.withdrawn').length;
  result.turns = { prompts: accepted.length, withdrawn, retries: sessions.reduce((sum, { retries }) => sum + retries, 0), ...outcomes(sessions) };
  const sum = (key) => sessions.reduce((total, { compared }) => total + compared[key], 0);
  result.compared = { events: sum('events'), parts: sum('parts'), cuts: sessions.flatMap(({ cuts }) => cuts).length };
  const count = (kind) => result.findings.filter((finding) => finding.kind === kind).length;
  result.counts = { lost: count('lost'), duplicated: count('duplicated'), stuck: count('stuck'), orphans: count('orphans') };
}

function logTails({ system }, length = 20_000) {
  const logs = path.join(system.home, 'logs');
  if (!fs.existsSync(logs)) return {};
  return Object.fromEntries(fs.readdirSync(logs).map((name) => [name, fs.readFileSync(path.join(logs, name), 'utf8').slice(-length)]));
}
