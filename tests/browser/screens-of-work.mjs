/** The screens of a session's life: lists, a new one, its work, its end. See `screens.test.mjs` for what is done with them. */
import assert from 'node:assert/strict';

import { greeting, longLog, refusal, summary } from '../lib/stand-in.mjs';
import { greetBusy, greetResting, second, startEvents, startup, waits } from './played.mjs';
import { asRole, GRACE, ORG, SHARES } from './played-org.mjs';

const LIST = [
  summary({ id: 'ses_1', title: 'Fix the rounding of totals in the cart when several currencies are mixed in one order', activity: 'awaiting_input', repo: { url: 'https://github.com/acme/shop' } }),
  summary({ id: 'ses_2', title: 'Upgrade axum', activity: 'error', phase: 'error', repo: { url: 'https://github.com/acme/api' } }),
  summary({ id: 'ses_3', title: 'أضف اختبارا للسلة الفارغة', activity: 'tool', repo: { url: 'https://github.com/acme/a-repository-with-a-very-long-name-indeed' } }),
  summary({ id: 'ses_4', title: '为购物车添加导出功能', activity: 'starting' }),
  summary({ id: 'ses_5', title: 'Add CSV export', activity: 'idle' }),
  summary({ id: 'ses_6', title: 'Look into the slow query', activity: 'paused', phase: 'paused' }),
  summary({ id: 'ses_7', title: 'Old experiment', activity: 'terminated', phase: 'terminated', updatedAt: second(-90_000) }),
];
const ARCHIVED = [
  summary({ id: 'ses_8', title: 'The first attempt at a new checkout, which went nowhere', activity: 'paused', phase: 'paused', archivedAt: second(-5000) }),
  summary({ id: 'ses_9', title: 'Spike', activity: 'terminated', phase: 'terminated', archivedAt: second(-90_000) }),
];
const EVERYBODYS = LIST.map((session, n) => (n % 2 === 0 ? { ...session, owner: GRACE } : session));
/** Answers with sessions of every kind. */
export const LISTS = {
  '/api/sessions': ({ searchParams }) => ({ sessions: searchParams.has('archived') ? ARCHIVED : searchParams.get('filter') === 'all' ? EVERYBODYS : LIST }),
};
const REPOS = { repos: [{ url: 'https://github.com/acme/shop', name: 'acme/shop', branch: 'main', description: 'The shop' }] };
const QUEUE = [
  waits('wait1', 'Use the existing helper for rounding, do not write another one', { mode: 'steer' }),
  waits('wait2', 'Then add a test for the empty cart'),
  waits('wait3', 'لخّص التغييرات باللغة العربية، ثم 请用中文写一遍，尽量详细一些，不要遗漏任何文件'),
];
const TURN = longLog(22, 22)[0].turnId;
const STEERED = [
  { seq: 29, at: second(-3), type: 'prompt.queued', prompt: waits('told', 'Mind the currency, too', { mode: 'steer' }) },
  { seq: 30, at: second(-2), type: 'prompt.steered', promptId: 'prm_told', turnId: TURN },
];
const REPO = { url: 'https://github.com/acme/shop', branch: 'main' };
const busy = (more) => summary({ activity: 'tool', headSeq: 28, queue: 3, repo: REPO, ...more });
const resting = (more) => summary({ headSeq: 40, repo: REPO, ...more });
const PERMISSION = {
  id: 'int_1', turnId: TURN, openedAt: second(-4), deadline: second(86_000), kind: 'permission', permission: 'bash',
  command: 'rm -rf node_modules && npm install', patterns: ['rm *'], always: ['rm *'],
};
const QUESTION = {
  id: 'int_2', turnId: TURN, openedAt: second(-40), deadline: second(3000), kind: 'question',
  questions: [
    {
      header: 'Library', question: 'Which library for dates should the checkout use, given that the shop has three of them already and nobody knows why?', multiple: false, custom: true,
      options: [{ label: 'date-fns', description: 'Small, and used in most of the places that matter.' }, { label: 'Temporal', description: 'The standard; old browsers need a polyfill.' }],
    },
    { header: 'Tests', question: 'What is to be tested?', multiple: true, custom: false, options: [{ label: 'Units', description: '' }, { label: 'In the browser', description: '' }] },
  ],
};
const LOST = { code: 'start_timeout', message: 'The sandbox did not come up within 120 s, three times in a row.' };

function slow() {
  const played = startup();
  Object.assign(played.starts[0], { marks: [-190, -190, -189, -185, -170].map((at, n) => ({ point: ['queued', 'admitted', 'requested', 'booting', 'cloning'][n], at: second(at) })) });
  return played;
}

function failed() {
  const played = startup();
  Object.assign(played.starts[0], { outcome: 'failed', cause: LOST, endedAt: second(-1) });
  played.waiting = { since: second(-1), reason: LOST.message, doing: 'Nothing, until a person tries again. Waiting prompts are kept.', remedy: { type: 'retry' } };
  return played;
}

const startUp = (session) => `/api/sessions/${session.id}/startup`;
const STARTING = summary({ phase: 'starting', activity: 'starting', headSeq: 4, repo: REPO });
const greetStarting = (socket) => {
  socket.say(greeting(STARTING, { headSeq: 4, queue: [startEvents()[0].prompt] }), { type: 'events', events: startEvents() });
};
const ERROR = resting({ phase: 'error', activity: 'error', cause: LOST, queue: 1 });

const NOTICE = { budget: 'bdg_1', what: 'The budget of each person for a day', dimension: 'user', limit: 5_000_000, spent: 4_990_000, until: second(40_000) };
const BUDGET_ASK = { id: 'int_b', turnId: 'trn_none', openedAt: second(-9), deadline: second(40_000), kind: 'budget', notice: NOTICE };
const BUDGET_EVENTS = [
  { seq: 41, at: second(-20), type: 'budget.reached', notice: NOTICE },
  { seq: 42, at: second(-9), type: 'interaction.opened', interaction: BUDGET_ASK },
];
const RESTS = resting({ headSeq: 42, phase: 'paused', activity: 'awaiting_input', budget: 'used_up' });
const SPENT = { session: { calls: 9, estimated: 0, sandboxSeconds: 700, cost: 4_990_000, tokens: { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, reasoning: 0 } }, turns: [] };
const REFUSED = [
  { seq: 29, at: second(-3), type: 'sandbox.egress_refused', host: 'registry.npmjs.org', port: 443, reason: 'not_allowed' },
  { seq: 30, at: second(-2), type: 'sandbox.egress_refused', host: '169.254.169.254', port: 80, reason: 'private' },
  { seq: 31, at: second(-1), type: 'sandbox.egress_refused', host: 'github.com', port: 22, reason: 'not_allowed' },
];

/** Each: what the server says, and what the person does (`go`) to see it. */
export const WORK_SCREENS = {
  'list': { session: summary(), path: '/', answers: LISTS, go: ({ find }) => find('session-row').first().waitFor() },
  'list-empty': { session: summary(), path: '/', go: ({ page }) => page.getByText('No sessions yet').filter({ visible: true }).waitFor() },
  'list-failed': {
    session: summary(), path: '/', answers: { '/api/sessions': () => refusal(403, 'forbidden', 'a reason that is long enough to take several lines in the sidebar, as reasons of providers do') },
    go: ({ page }) => page.getByText('The list did not load').filter({ visible: true }).waitFor(),
  },
  'account-menu': { session: summary(), path: '/', answers: LISTS, go: ({ find }) => find('account').click() },
  'palette': {
    session: summary(), path: '/', answers: LISTS,
    go: async ({ find, page }) => {
      await find('session-row').first().waitFor();
      await page.keyboard.press('Control+k');
      await find('palette').waitFor();
    },
  },
  'keys-dialog': {
    session: summary(), path: '/', answers: LISTS,
    go: async ({ find, page }) => {
      await find('session-row').first().waitFor();
      await page.keyboard.press('?');
      await find('keys-dialog').waitFor();
    },
  },
  'list-archived': {
    session: summary(), path: '/', answers: LISTS,
    go: async ({ find }) => {
      await find('show-archived').click();
      await find('row-restore').first().waitFor();
    },
  },
  'list-everybodys': {
    session: summary(), path: '/', answers: LISTS,
    go: async ({ find }) => {
      await find('show-everybodys').click();
      await find('everybodys-list').getByText('Grace Hopper').first().waitFor();
    },
  },
  'new': { session: summary(), path: '/', answers: { ...LISTS, '/api/repos': REPOS }, go: ({ window }) => window.newSession() },
  'new-with-models': {
    session: summary(), path: '/', answers: { ...LISTS, ...ORG, '/api/repos': REPOS },
    go: async ({ window, find }) => {
      await window.newSession();
      await find('estimate').waitFor();
      await find('new-session-effort').selectOption('high');
    },
  },
  'busy': {
    session: busy(), answers: LISTS,
    onSocket: (socket) => {
      greetBusy(socket, busy(), QUEUE);
      socket.say({ type: 'events', events: STEERED });
    },
    go: ({ find }) => find('steered-prompt').waitFor(),
  },
  'busy-typing': {
    session: busy(), onSocket: (socket) => greetBusy(socket, busy(), QUEUE),
    go: async ({ find }) => {
      await find('queued-prompt').first().waitFor();
      await find('composer').fill('Also mind the currency');
    },
  },
  'editing': {
    session: busy(), onSocket: (socket) => greetBusy(socket, busy(), QUEUE),
    go: async ({ find, page }) => {
      await find('queue-menu').nth(1).click();
      await page.getByRole('menuitem', { name: 'Edit' }).click();
      await page.getByText('Editing a waiting prompt').waitFor();
    },
  },
  'queue-menu': { session: busy(), onSocket: (socket) => greetBusy(socket, busy(), QUEUE), go: ({ find }) => find('queue-menu').nth(1).click() },
  'session-menu': { session: busy(), onSocket: (socket) => greetBusy(socket, busy(), QUEUE), go: ({ find }) => find('session-menu').click() },
  'permission': {
    session: busy({ activity: 'awaiting_input' }),
    onSocket: (socket) => greetBusy(socket, busy({ activity: 'awaiting_input' }), [], { interactions: [PERMISSION] }),
    go: ({ find }) => find('permission-card').waitFor(),
  },
  'question': {
    session: busy({ activity: 'awaiting_input' }),
    onSocket: (socket) => greetBusy(socket, busy({ activity: 'awaiting_input' }), [], { interactions: [QUESTION] }),
    go: ({ find }) => find('question-card').waitFor(),
  },
  'starting': { session: STARTING, answers: { [startUp(STARTING)]: startup }, onSocket: greetStarting, go: ({ find }) => find('bar', { point: 'cloning' }).waitFor() },
  'starting-slow': { session: STARTING, answers: { [startUp(STARTING)]: slow }, onSocket: greetStarting, go: ({ page }) => page.getByText('slow today').last().waitFor() },
  'starts': {
    session: STARTING, answers: { [startUp(STARTING)]: slow }, onSocket: greetStarting,
    go: async ({ find }) => {
      await find('startup-details').click();
      await find('typical').waitFor();
    },
  },
  'starts-failed': {
    session: ERROR, answers: { [startUp(ERROR)]: failed }, onSocket: greetResting(ERROR, { queue: [waits('left', 'Then add a test')] }),
    go: async ({ find, page }) => {
      await page.getByText('All starts and watchdogs').click();
      await find('typical').waitFor();
    },
  },
  'error': { session: ERROR, onSocket: greetResting(ERROR, { queue: [waits('left', 'Then add a test')] }), go: ({ find }) => find('retry').waitFor() },
  'paused': { session: resting({ phase: 'paused', activity: 'paused' }), go: ({ find }) => find('resume').waitFor() },
  'archived': { session: resting({ phase: 'paused', activity: 'paused', archivedAt: second(-600) }), go: ({ find }) => find('restore').waitFor() },
  'ended': { session: resting({ phase: 'terminated', activity: 'terminated' }), go: ({ find }) => find('turn-footer').last().waitFor() },
  'forked': {
    session: resting({ forkedFrom: { sessionId: 'ses_00000000000000000000000002', turnId: 'trn_x' } }),
    answers: { '/api/sessions/ses_00000000000000000000000002': summary({ title: 'The original piece of work, with a title that is rather long for a phone' }) },
    go: ({ page }) => page.getByText('The original piece of work').waitFor(),
  },
  'fork-dialog': {
    session: resting({}),
    go: async ({ find }) => {
      await find('turn-menu').last().click();
      await find('fork').click();
      await find('fork-dialog').waitFor();
    },
  },
  'end-dialog': {
    session: resting({}),
    go: async ({ find }) => {
      await find('session-menu').click();
      await find('menu-terminate').click();
      await find('terminate-dialog').waitFor();
    },
  },
  'offline': {
    session: resting({}), stays: false,
    go: async ({ find, played }) => {
      played.sockets[0].close(1011);
      await find('offline').waitFor();
      await find('composer').fill('written offline');
    },
  },
  'refused': {
    session: busy(), onSocket: (socket) => greetBusy(socket, busy(), QUEUE),
    go: async ({ find, played }) => {
      await find('composer').fill('One more thing');
      await find('send').click();
      const { id } = JSON.parse(played.sockets[0].said.at(-1));
      played.sockets[0].say({ type: 'reject', id, code: 'conflict', message: 'The queue is full: at most 50 prompts wait.' });
      await find('refused').waitFor();
    },
  },
  'share': {
    session: resting({ visibility: 'link' }), answers: { [`/api/sessions/${summary().id}/shares`]: SHARES },
    go: async ({ find, page }) => {
      await find('session-menu').click();
      await find('menu-share').click();
      await find('share').first().waitFor();
      await find('new-share').click();
      await page.getByText('Who has it').waitFor();
    },
  },
  'looking-on': {
    session: busy({ owner: GRACE, visibility: 'org', activity: 'awaiting_input' }), answers: asRole('viewer'),
    onSocket: (socket) => greetBusy(socket, busy({ owner: GRACE, visibility: 'org', activity: 'awaiting_input' }), QUEUE, { interactions: [PERMISSION] }),
    go: async ({ find }) => {
      await find('looking-on').waitFor();
      await find('asked-others').waitFor();
    },
  },
  'looking-on-guest': {
    session: resting({ owner: GRACE, visibility: 'link' }), answers: asRole('member'),
    onSocket: greetResting(resting({ owner: GRACE, visibility: 'link' }), { guest: 'viewer' }),
    go: async ({ find }) => {
      await find('looking-on').waitFor();
      assert.equal(await find('composer').count(), 0, 'nothing to prompt with');
    },
  },
  'working-guest': {
    session: resting({ owner: GRACE, visibility: 'link' }), answers: asRole('member'),
    onSocket: greetResting(resting({ owner: GRACE, visibility: 'link' }), { guest: 'member' }),
    go: ({ find }) => find('composer').waitFor(),
  },
  'join-failed': {
    session: summary(), path: '/sessions/ses_00000000000000000000000009?join=c0de', answers: ORG,
    go: ({ find }) => find('join-failed').waitFor(),
  },
  'budget-stop': {
    session: RESTS, answers: { ...ORG, [`/api/sessions/${RESTS.id}/usage`]: SPENT },
    onSocket: (socket) => socket.say(greeting(RESTS, { headSeq: 42, interactions: [BUDGET_ASK] }), { type: 'events', events: [...longLog(1, 40), ...BUDGET_EVENTS] }),
    go: async ({ find }) => {
      await find('budget-card').waitFor();
      await find('extend-limit').fill('3');
      await find('session-cost').waitFor();
    },
  },
  'budget-stop-member': {
    session: RESTS, answers: { ...asRole('member'), [`/api/sessions/${RESTS.id}/usage`]: SPENT },
    onSocket: (socket) => socket.say(greeting(RESTS, { headSeq: 42, interactions: [BUDGET_ASK] }), { type: 'events', events: [...longLog(1, 40), ...BUDGET_EVENTS] }),
    go: ({ find }) => find('budget-card').getByText('An admin of the org can extend it').waitFor(),
  },
  'egress-refused': {
    session: busy(), answers: ORG,
    onSocket: (socket) => {
      greetBusy(socket, busy(), []);
      socket.say({ type: 'events', events: REFUSED });
    },
    go: async ({ find }) => {
      await find('allow-host').first().click();
      await find('egress-refused').getByText('There is no such thing').waitFor();
    },
  },
};
