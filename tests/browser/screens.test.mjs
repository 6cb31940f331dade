/**
 * Every screen of a session's life as a person meets it, at both sizes and in both themes: nothing that keeps somebody from
 * using it, nothing wider than the window, and on a phone nothing to press that is smaller than a finger. Leaves a picture
 * of each in target/screens.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { PHONE, startBrowser } from '../lib/browser.mjs';
import { greeting, longLog, refusal, serveClient, summary } from '../lib/stand-in.mjs';
import { greetBusy, openPlayed, second, startEvents, startup, waits } from './played.mjs';
import { asRole, GRACE, INVITATION_MADE, KEY_MADE, NOBODY, ORG, SHARES, writes } from './played-org.mjs';

const WIDE = { name: 'wide', viewport: { width: 1440, height: 900 } };
/** Each size and each theme once; the other two pairs, which rarely tell more, with `ERRAND_ALL_LOOKS=1`. */
const LOOKS = [[WIDE, 'dark'], [PHONE, 'light'], ...(process.env.ERRAND_ALL_LOOKS ? [[WIDE, 'light'], [PHONE, 'dark']] : [])];
/** The least size of what a finger presses. */
const FINGER = 44;

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
const LISTS = {
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
const greetResting = (session, change) => (socket) => {
  socket.say(greeting(session, { headSeq: 40, ...change }), { type: 'events', events: longLog(1, 40) });
};
const PERMISSION = {
  id: 'int_1', turnId: TURN, openedAt: second(-4), deadline: second(86_000), kind: 'permission', permission: 'bash',
  command: 'rm -rf node_modules && npm install', patterns: ['rm *'], always: ['rm *'],
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

const NOTICE = { budget: 'bdg_1', what: 'The budget of each person for a day', limit: 5_000_000, spent: 4_990_000, until: second(40_000) };
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
const EVERY_WAY = { version: '0', signIn: ['github', 'google', 'dev'], models: [] };
/** A page that is no session's. */
const page = (path, answers) => ({ session: summary(), path, answers: { ...LISTS, ...answers } });

/** Each: what the server says, and what the person does (`go`) to see it. */
const SCREENS = {
  'list': { session: summary(), path: '/', answers: LISTS, go: ({ find }) => find('session-row').first().waitFor() },
  'list-empty': { session: summary(), path: '/', go: ({ page }) => page.getByText('No sessions yet').filter({ visible: true }).waitFor() },
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
  'sign-in': { session: summary(), path: '/sign-in', answers: { ...NOBODY, '/api/config': EVERY_WAY }, go: ({ find }) => find('sign-in-github').waitFor() },
  'sign-in-invited': {
    session: summary(), path: '/invitations/c0de', answers: { ...NOBODY, '/api/config': { ...EVERY_WAY, signIn: ['github', 'google'] } },
    go: ({ find }) => find('invited').waitFor(),
  },
  'invitation': {
    session: summary(), path: '/invitations/c0de', answers: { ...ORG, '/api/auth/invitations': () => refusal(404, 'not_found', 'there is no such open invitation') },
    go: async ({ find }) => {
      await find('join').click();
      await find('invitation-problem').waitFor();
    },
  },
  'settings': { ...page('/settings', ORG), go: ({ window, find }) => (window.device === 'phone' ? find('settings-nav') : find('sign-in').first()).waitFor() },
  'sign-ins': { ...page('/settings/sign-ins', ORG), go: ({ find }) => find('org').first().waitFor() },
  'org-menu': {
    ...page('/settings/usage', ORG),
    go: async ({ find, window }) => {
      if (window.device === 'phone') return find('usage-days').waitFor();
      await find('org-menu').click();
      return window.page.getByRole('menuitemcheckbox', { name: 'Side project' }).waitFor();
    },
  },
  'usage': {
    ...page('/settings/usage', ORG),
    go: async ({ find }) => {
      await find('usage-days').getByText('As a table').click();
      await find('by-session').waitFor();
    },
  },
  'usage-own': { ...page('/settings/usage', asRole('member')), go: ({ find }) => find('usage-days').getByText('As a table').waitFor() },
  'keys': { ...page('/settings/keys', ORG), go: ({ find }) => find('api-key').first().waitFor() },
  'new-key': {
    ...page('/settings/keys', ORG),
    go: async ({ find }) => {
      await find('new-key').click();
      await find('key-submit').click();
      await find('key-name').fill('Nightly');
    },
  },
  'key-made': {
    ...page('/settings/keys', { ...ORG, '/api/keys': writes('POST', KEY_MADE, ORG['/api/keys']) }),
    go: async ({ find }) => {
      await find('new-key').click();
      await find('key-name').fill('Nightly');
      await find('key-submit').click();
      await find('made-key').waitFor();
    },
  },
  'members': { ...page('/settings/members', ORG), go: ({ find }) => find('invitation').first().waitFor() },
  'member-limits': {
    ...page('/settings/members', { ...ORG, [`/api/admin/settings/users/${GRACE.id}`]: { personDailySessions: 3 } }),
    go: async ({ find }) => {
      await find('member-menu').nth(1).click();
      await find('member-limits').click();
      await find('personDailySessions').waitFor();
    },
  },
  'invitation-made': {
    ...page('/settings/members', { ...ORG, '/api/admin/invitations': writes('POST', INVITATION_MADE, ORG['/api/admin/invitations']) }),
    go: async ({ find }) => {
      await find('invite').click();
      await find('invite-submit').click();
      await find('invitation-link').waitFor();
    },
  },
  'org': {
    ...page('/settings/org', ORG),
    go: async ({ find, page }) => {
      await find('personDailySessions-kind').selectOption('most');
      await find('personDailySessions').fill('many');
      await page.getByText('Write a whole number').waitFor();
    },
  },
  'budgets': {
    ...page('/settings/budgets', ORG),
    go: async ({ find }) => {
      await find('change-budget').first().click();
      await find('budget-limit').waitFor();
    },
  },
  'budgets-empty': { ...page('/settings/budgets', { ...ORG, '/api/admin/budgets': { budgets: [] } }), go: ({ page }) => page.getByText('nothing stops spending').waitFor() },
  'new-budget': {
    ...page('/settings/budgets', ORG),
    go: async ({ find }) => {
      await find('new-budget').click();
      await find('budget-scope').selectOption('user');
      await find('budget-submit').click();
    },
  },
  'prices': {
    ...page('/settings/prices', ORG),
    go: async ({ find }) => {
      await find('add-price').click();
      await find('save-prices').click();
      await find('problem').waitFor();
    },
  },
  'audit': { ...page('/settings/audit', ORG), go: ({ find }) => find('audit-entry').first().waitFor() },
  'audit-failed': {
    ...page('/settings/audit', { ...ORG, '/api/admin/audit': () => refusal(403, 'forbidden', 'this takes the role admin or above') }),
    go: ({ page }) => page.getByText('The audit log did not load').waitFor(),
  },
  'models': { ...page('/settings/models', ORG), go: ({ find }) => find('model').first().waitFor() },
  'model-key': {
    ...page('/settings/models', ORG),
    go: async ({ find }) => {
      await find('org-key-provider').selectOption('*');
      await find('org-key-store').click();
      await find('org-key-url').waitFor();
    },
  },
  'secrets': {
    ...page('/settings/secrets', ORG),
    go: async ({ find }) => {
      await find('own-secret-name').fill('path');
      await find('own-secret-set').click();
      await find('secret').first().waitFor();
    },
  },
  'repositories': {
    ...page('/settings/repositories', ORG),
    go: async ({ find }) => {
      await find('open-repository').first().click();
      await find('egress-hosts').fill('https://registry.npmjs.org/');
      await find('save-repository').click();
      await find('repo-secret-name').waitFor();
    },
  },
  'group': {
    ...page('/settings/members', ORG),
    go: async ({ find }) => {
      await find('group-people').first().click();
      await find('group-member').first().waitFor();
    },
  },
  'new-with-models': {
    session: summary(), path: '/', answers: { ...LISTS, ...ORG, '/api/repos': REPOS },
    go: async ({ window, find }) => {
      await window.newSession();
      await find('estimate').waitFor();
      await find('new-session-effort').selectOption('high');
    },
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
  'not-for-you': { ...page('/settings/audit', asRole('member')), go: ({ find }) => find('not-for-you').waitFor() },
};

// Each has a window of its own: while one loads, another is looked at.
describe('every screen', { concurrency: 3 }, () => {
  let client;
  let browser;

  before(async () => {
    [client, browser] = await Promise.all([serveClient(), startBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await client?.stop();
  });

  for (const [name, { session, go, stays = true, onSocket = greetResting(session), ...rest }] of Object.entries(SCREENS)) {
    for (const [device, scheme] of LOOKS) {
      test(`${name} can be used by everybody (${device.name}, ${scheme})`, async () => {
        // A socket that is to stay away is answered once only.
        let greeted = false;
        const opened = await openPlayed(browser, client, {
          device, scheme, session, ...rest,
          onSocket: (socket) => {
            if (greeted && !stays) return socket.close(1011);
            greeted = true;
            return onSocket(socket);
          },
        });
        const { window } = opened;
        window.expected.push(/status of (404|403)/);
        const find = (testId, more) => window.find(testId, more).filter({ visible: true });
        await go({ ...opened, find });
        await settled(opened.page);
        await window.screenshot(`${name}-${scheme}`);
        await window.assertAccessible(name);
        await window.assertFits(name);
        assert.deepEqual(await covered(opened.page), [], `covered by something else on ${name}`);
        if (device === PHONE) assert.deepEqual(await tooSmall(opened.page), [], `smaller than a finger on ${name}`);
        await window.close();
      });
    }
  }
});

/** The transcript is at its end, where a page opens; what is measured late may still move it. */
async function settled(page) {
  await page.waitForFunction(() => {
    const frame = document.querySelector('[data-testid=transcript]');
    return !frame || frame.scrollHeight - frame.scrollTop - frame.clientHeight < 2;
  });
}

/** What can be pressed and has something else to press lying on it, as far as it is not scrolled out of sight. */
function covered(page) {
  return page.evaluate(() => {
    const presses = 'button, a[href], input, select, textarea, summary, [role=menuitem], [role=menuitemcheckbox]';
    const name = (node) => node.dataset.testid ?? node.getAttribute('aria-label') ?? node.textContent.slice(0, 30);
    const within = (box, x, y) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
    const inSight = (node, x, y) => {
      for (let above = node.parentElement; above; above = above.parentElement) {
        if (getComputedStyle(above).overflow !== 'visible' && !within(above.getBoundingClientRect(), x, y)) return false;
      }
      return true;
    };
    // A menu lies on the page, for as long as it is open.
    const menu = document.querySelector('[role=menu]') ?? document;
    const shown = [...menu.querySelectorAll(presses)].filter((node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest('[aria-hidden=true], .sr-only'));
    return shown.flatMap((node) => {
      const { left, right, top, height } = node.getBoundingClientRect();
      const points = [left + 8, (left + right) / 2, right - 8].map((x) => [x, top + height / 2]).filter(([x, y]) => inSight(node, x, y));
      const over = points.map(([x, y]) => document.elementFromPoint(x, y)?.closest(presses)).find((hit) => hit && !node.contains(hit) && !hit.contains(node));
      return over ? [`${name(node)}: ${name(over)}`] : [];
    });
  });
}

/**
 * What can be pressed and is smaller than a finger: a finger on its middle would reach something else. Links within a
 * sentence are as high as their line.
 */
function tooSmall(page) {
  return page.evaluate((least) => {
    const presses = 'button, a[href], input, select, textarea, summary, [role=menuitem], [role=menuitemcheckbox]';
    const shown = [...document.querySelectorAll(presses)].filter((node) => {
      if (!node.checkVisibility({ visibilityProperty: true }) || node.closest('[aria-hidden=true], .sr-only')) return false;
      return node.tagName !== 'A' || getComputedStyle(node).display !== 'inline';
    });
    return shown.flatMap((node) => {
      const { left, top, width, height } = node.getBoundingClientRect();
      if (width >= least && height >= least) return [];
      const [x, y] = [left + width / 2, top + height / 2];
      const reach = least / 2 - 1;
      // What is pressed may reach beyond what is seen; nothing else is beyond the edge of the screen.
      const around = [[x - reach, y], [x + reach, y], [x, y - reach], [x, y + reach]].map(([at, down]) => document.elementFromPoint(at, down));
      // A box to tick is pressed by its label as well.
      const whole = node.closest('label') ?? node;
      if (around.every((hit) => hit === null || whole.contains(hit))) return [];
      return [`${node.dataset.testid ?? node.getAttribute('aria-label') ?? node.textContent.slice(0, 30)}: ${Math.round(width)} × ${Math.round(height)}`];
    });
  }, FINGER);
}
