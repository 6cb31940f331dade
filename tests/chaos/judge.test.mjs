/** The judge sees what it is there for: each kind of harm, put into a sound session, is found and named. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { EMPTY, foldEvents } from './client-fold.mjs';
import { canonical, DISK, judge, LOSS } from './judge.mjs';
import { percentile, recoveries } from './report.mjs';

const at = (second) => new Date(Date.UTC(2026, 10, 21, 12, 0, second)).toISOString();
const part = (id, index, body) => ({ id, index, startedAt: at(3), ...body });
const text = part('prt_1', 0, { type: 'text', text: 'Running a command.', endedAt: at(4) });
const command = part('prt_2', 1, { type: 'tool', tool: 'bash', status: 'completed', input: { command: 'echo t01' }, output: 't01\n', endedAt: at(5) });
const turn = { turnId: 'trn_1', messageId: 'msg_1' };

/** A session with one prompt whose turn is done, seen by one viewer, known to the engine. */
function sound() {
  const log = [
    { type: 'session.created', owner: {}, title: 'x', model: 'demo/demo' },
    { type: 'prompt.queued', prompt: { id: 'prm_1', text: 'do t01', state: 'queued', createdAt: at(1) } },
    { type: 'turn.started', turnId: 'trn_1', promptId: 'prm_1' },
    { type: 'message.started', ...turn },
    { type: 'part.started', ...turn, part: part('prt_1', 0, { type: 'text', text: '' }) },
    { type: 'part.finished', ...turn, part: text },
    { type: 'part.finished', ...turn, part: command },
    { type: 'message.finished', ...turn },
    { type: 'turn.finished', turnId: 'trn_1', promptId: 'prm_1', outcome: 'done', usage: {}, files: [] },
  ].map((event, place) => ({ seq: place + 1, at: at(place), ...event }));
  const transcript = {
    messages: [
      { id: 'msg_p', role: 'user', parts: [] },
      { id: 'msg_1', role: 'assistant', parts: [text, command] },
    ],
  };
  const engineParts = [
    ['prt_1', { message: 'msg_1', type: 'text', text: text.text, time: { start: 1, end: 2 } }],
    ['prt_2', { message: 'msg_1', type: 'tool', tool: 'bash', state: { status: 'completed', output: 't01\n' } }],
  ];
  return {
    log, transcript, faults: [],
    prompts: [{ id: 'prm_1', tag: 't01', name: 'bash', key: 'do TAG' }],
    viewers: [{ events: [...log], problems: [], shown: foldEvents(EMPTY, log) }],
    engine: { roots: 1, users: [{ id: 'msg_p', text: 'do t01' }], messages: new Map([['msg_1', { completed: 1, root: true }]]), parts: new Map(engineParts) },
    reference: new Map([['do TAG', canonical(log.filter((event) => event.turnId), 't01')]]),
    files: { ran: ['t01'], made: new Map() },
  };
}

/** The log without the events for which `gone` holds, renumbered, as everybody sees it. */
function without(session, gone) {
  session.log = session.log.filter((event) => !gone(event)).map((event, place) => ({ ...event, seq: place + 1 }));
  session.viewers = [{ events: [...session.log], problems: [], shown: foldEvents(EMPTY, session.log) }];
}

const HARM = {
  'a prompt that vanished': ['lost', (session) => session.prompts.push({ id: 'prm_2', tag: 't02', name: 'text', key: '?' })],
  'a hole in the log': ['lost', (session) => session.log.splice(3, 1)],
  'a position that comes twice': ['duplicated', (session) => session.log.splice(3, 0, session.log[3])],
  'a turn that never ends': ['stuck', (session) => without(session, ({ type }) => type === 'turn.finished')],
  'a turn that ends twice': ['duplicated', (session) => session.log.push({ ...session.log[8], seq: 10 })],
  'a part that is never closed': ['stuck', (session) => without(session, ({ type, part: one }) => type === 'part.finished' && one.id === 'prt_1')],
  'a question that is never settled': ['stuck', (session) => session.log.push({ seq: 10, at: at(9), type: 'interaction.opened', interaction: { id: 'int_1', turnId: 'trn_1' } })],
  'a viewer that missed an event': ['lost', (session) => session.viewers[0].events.splice(5, 1)],
  'a viewer that shows something else': ['lost', (session) => Object.assign(session.viewers[0], { shown: EMPTY })],
  'a part that the transcript lacks': ['lost', ({ transcript }) => Object.assign(transcript.messages[1], { parts: [text] })],
  'a done turn that lacks what the undisturbed one has': ['lost', ({ reference }) => reference.get('do TAG').parts.pop()],
  'a failed turn that no fault explains': ['lost', ({ log }) => Object.assign(log[8], { outcome: 'failed', cause: { code: 'x', message: 'It failed.' } })],
  'a stopped turn that nobody stopped': ['lost', ({ log, faults }) => faults.push({ at: 0, until: Date.now() }) && Object.assign(log[8], { outcome: 'aborted', cause: { code: 'aborted', message: 'It was stopped.' } })],
  'a failed turn without words': ['lost', ({ log, faults }) => faults.push({ at: 0, until: Date.now() }) && Object.assign(log[8], { outcome: 'failed' })],
  'a part that only the engine has': ['lost', ({ engine }) => engine.parts.set('prt_3', { ...engine.parts.get('prt_1') })],
  'a part that reads otherwise than the engine has it': ['lost', ({ engine }) => Object.assign(engine.parts.get('prt_1'), { text: 'Otherwise.' })],
  'a part that the engine does not know': ['duplicated', ({ engine }) => engine.parts.delete('prt_2')],
  'a prompt that the engine was given twice': ['duplicated', ({ engine }) => engine.users.push({ id: 'msg_q', text: 'do t01' })],
  'a command that ran twice': ['duplicated', ({ files }) => files.ran.push('t01')],
  'a command that left no trace': ['lost', ({ files }) => files.ran.pop()],
};

describe('the judge', () => {
  test('finds nothing wrong with a sound session', () => {
    assert.deepEqual(judge(sound()), []);
  });

  test('does not expect from engine and workspace what a lost sandbox took away, unless a snapshot held it', () => {
    const session = sound();
    session.faults = [{ kind: LOSS, at: Date.parse(at(20)), until: Date.parse(at(21)) }];
    Object.assign(session, { engine: { roots: 1, users: [], messages: new Map(), parts: new Map() }, files: { ran: [], made: new Map() } });
    assert.deepEqual(judge(session), []);
    session.log.push({ seq: 10, at: at(12), type: 'sandbox.snapshot', snapshotId: 'snp_1', turnId: 'trn_1', bytes: 1 });
    session.viewers = [{ events: [...session.log], problems: [], shown: foldEvents(EMPTY, session.log) }];
    assert.ok(judge(session).length >= 2);
  });

  test('expects no effects of a turn during which the disk was full', () => {
    const session = sound();
    session.files.ran.pop();
    session.faults = [{ kind: DISK, at: Date.parse(session.log[1].at), until: Date.parse(session.log[8].at) }];
    assert.deepEqual(judge(session), []);
    session.faults = [{ ...session.faults[0], at: Date.parse(at(20)), until: Date.parse(at(21)) }];
    assert.notDeepEqual(judge(session), []);
  });

  for (const [harm, [kind, inflict]] of Object.entries(HARM)) {
    test(`finds ${harm}`, () => {
      const session = sound();
      inflict(session);
      const kinds = judge(session).map((finding) => finding.kind);
      assert.ok(kinds.includes(kind), JSON.stringify(judge(session)));
    });
  }
});

describe('recovery', () => {
  const log = [
    { at: at(0), type: 'prompt.queued' },
    { at: at(10), type: 'part.finished' },
    { at: at(20), type: 'turn.finished' },
  ];
  const fault = (from, until, sessions = null) => ({ at: Date.parse(at(from)), until: Date.parse(at(until)), sessions });

  test('counts from the end of the last fault to progress, for those who had work', () => {
    const times = (faults) => recoveries(faults, [{ id: 'a', log }]).map(({ ms }) => ms);
    assert.deepEqual(times([fault(1, 4)]), [6000]);
    assert.deepEqual(times([fault(1, 4), fault(5, 9)]), [1000]);
    assert.deepEqual(times([fault(1, 4, ['b'])]), []);
    assert.deepEqual(times([fault(21, 25)]), []);
  });

  test('is summed up by the value that a share stays below', () => {
    const sorted = Array.from({ length: 100 }, (_, place) => place + 1);
    assert.deepEqual([percentile(sorted, 0.5), percentile(sorted, 0.99), percentile([], 0.5)], [50, 99, null]);
  });
});
