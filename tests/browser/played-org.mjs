/** What the API answers about an org, its people, keys and money, for pages in front of a played server. */
import { ADA, refusal } from '../lib/stand-in.mjs';
import { second } from './played.mjs';

const DAY = 86_400;
const day = (n) => second(n * DAY);
const date = (n) => day(n).slice(0, 10);
export const GRACE = { id: 'usr_0000000000000000000000grace', name: 'Grace Hopper', email: 'grace@a-company-with-a-rather-long-name.example.org' };
const LIN = { id: 'usr_000000000000000000000000lin', name: '林 美玲', email: 'lin@example.org' };
const OMAR = { id: 'usr_00000000000000000000000omar', name: 'عمر', email: 'omar@example.org' };

/** Who is signed in, as what. */
export const me = (role, user = ADA) => ({ user, org: { id: 'org_1', name: 'Acme Research and Development' }, role });

/** Answers for nobody who is signed in. */
export const NOBODY = { '/api/auth/me': () => refusal(401, 'unauthenticated', 'you are not signed in') };

const MEMBERS = [
  { person: ADA, role: 'owner', since: day(-200) },
  { person: GRACE, role: 'admin', since: day(-90) },
  { person: LIN, role: 'member', since: day(-30) },
  { person: OMAR, role: 'viewer', since: day(-2) },
  { person: { id: 'usr_00000000000000000000000mina', name: 'Wilhelmina Katharina von Hohenzollern-Sigmaringen-Württemberg', email: 'mina@example.org' }, role: 'member', since: day(-1) },
];
const invitation = (id, more) => ({ id: `inv_${id}`, role: 'member', createdBy: ADA.id, createdAt: day(-3), expiresAt: day(4), ...more });
const key = (id, name, more) => ({
  id: `key_${id}`, name, prefix: 'er_4f1c90', owner: ADA, scopes: ['sessions:read', 'prompts:write'], createdAt: day(-40), ...more,
});
const KEYS = [
  key('1', 'Nightly dependency updates of all the repositories that nobody looks after', { usedAt: second(-4000), expiresAt: day(20), scopes: ['sessions:read', 'sessions:write', 'prompts:write', 'pulls:write'] }),
  key('2', 'Dashboard', { repo: 'https://github.com/acme/shop' }),
  key('3', 'Old script', { revokedAt: day(-3), usedAt: day(-4) }),
  key('4', 'Trial', { expiresAt: day(-10) }),
];

let entries = 0;
const entry = (person, action, more) => {
  entries += 1;
  return {
    id: String(entries).padStart(26, '0'), at: second(-entries * 4321), userId: person.id, userName: person.name, credential: 'sgn_01', action,
    target: '', details: {}, outcome: 'ok', address: '203.0.113.7', requestId: `req_${String(entries).padStart(26, '0')}`, ...more,
  };
};
export const ENTRIES = [
  entry(GRACE, 'POST /api/sessions/:id/interactions/:id', { target: 'ses_01/int_01', details: { budget: 'bdg_1', dimension: 'session', limit: '$0.01 → $2.00', period: 'total', subject: 'each' } }),
  entry(GRACE, 'POST /api/keys', { target: 'key_01JD2Y6Z8Q3V5X7B9D1F3H5K7M', details: { days: '90', name: 'Nightly', repository: 'https://github.com/acme/shop', scopes: 'admin:read admin:write prompts:write sessions:read sessions:write' } }),
  entry({ name: 'octocat-of-somewhere-else' }, 'sign-in', { credential: 'github', outcome: '403', userId: undefined }),
  entry(ADA, 'PUT /api/admin/repositories', { target: 'https://github.com/acme/shop', details: { egress: 'open → allowlist', 'hosts added': 'registry.npmjs.org, *.pypi.org', setup: 'changed' } }),
  entry(ADA, 'POST /api/keys'),
  entry(ADA, 'POST /api/admin/invitations'),
  entry(GRACE, 'PATCH /api/admin/members/:id', { target: LIN.id, outcome: '403' }),
  entry(LIN, 'POST /api/sessions/:id/prompts', { target: 'ses_01JD3M9Y5T6W8X2Z4A7B9C1D3E', credential: 'key_01' }),
  entry(OMAR, 'sign-in', { address: '2001:db8::dead:beef' }),
  entry(GRACE, 'PUT /api/admin/repositories', { target: 'https://git.acme.example/a/very/deep/group/of/groups/a-repository-with-a-very-long-name-indeed' }),
  entry(ADA, 'PUT /api/admin/something-new', { outcome: '422' }),
];

const budget = (id, more) => ({ id: `bdg_${id}`, dimension: 'org', period: 'month', limit: 500_000_000, updatedAt: day(-9), ...more });
const BUDGETS = [
  budget('1', {}),
  budget('2', { dimension: 'user', period: 'day', limit: 20_000_000 }),
  budget('3', { dimension: 'user', subject: GRACE.id, period: 'month', limit: 50_000_000 }),
  budget('4', { dimension: 'repository', subject: 'https://github.com/acme/shop', period: 'total', limit: 10_000_000 }),
];
const state = (at, spent, more) => ({ budget: BUDGETS[at], spent, renewsAt: day(9), ...more });
const spending = (dollars, calls = 40) => ({
  sandboxSeconds: calls * 61,
  calls, estimated: calls > 100 ? 2 : 0, cost: Math.round(dollars * 1e6), tokens: { input: calls * 900, output: calls * 300, cacheRead: calls * 5000, cacheWrite: 0, reasoning: 0 },
});
const of = (subject, dollars) => ({ subject, ...spending(dollars) });
export const USAGE = {
  month: date(0).slice(0, 7), own: spending(12.34), org: spending(231.7, 900),
  by: {
    user: [of(GRACE.id, 120.5), of(ADA.id, 12.34), of(LIN.id, 3.1), of('usr_gone', 0.004)],
    repository: [of('https://github.com/acme/shop', 150), of('https://github.com/acme/a-repository-with-a-very-long-name-indeed', 60), of('', 2)],
    model: [of('anthropic/claude-sonnet', 200), of('demo/demo', 0)],
    session: [of('ses_01JD3M9Y5T6W8X2Z4A7B9C1D3E', 40), of('ses_01JD3M9Y5T6W8X2Z4A7B9C1D4F', 12)],
  },
  stops: [{ reason: 'idle', count: 40, seconds: 90_000 }, { reason: 'budget', count: 2, seconds: 4000 }, { reason: 'runner_lost', count: 1, seconds: 70 }],
  budgets: [state(0, 231_700_000), state(1, 17_000_000, { subject: ADA.id }), state(2, 50_100_000, { subject: GRACE.id }), state(3, 1_000_000, { subject: BUDGETS[3].subject })],
};
const HISTORY = { days: Array.from({ length: 22 }, (_, at) => of(date(at - 21), at % 6 === 5 ? 0 : (at * 7) % 13)).filter(({ cost }) => cost > 0) };
const DEVICE = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36';
const PHONE_DEVICE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1';
const signIn = (id, device, more) => ({ id: `sgn_${id}`, device, createdAt: day(-5), usedAt: second(-100), expiresAt: day(6), current: false, ...more });

const MODELS = {
  default: 'anthropic/claude-sonnet',
  models: [
    { id: 'demo/demo', name: 'Demo model', demo: true, locked: false, key: 'installation', efforts: [], context: 128_000, output: 8192 },
    { id: 'anthropic/claude-sonnet', name: 'Claude Sonnet', demo: false, locked: false, key: 'org', efforts: ['low', 'medium', 'high'], context: 200_000, output: 64_000 },
    { id: 'openai/gpt', name: 'GPT', demo: false, locked: true, lock: 'no_key', efforts: [], context: 400_000, output: 128_000 },
    { id: 'google/gemini', name: 'Gemini', demo: false, locked: true, lock: 'policy', efforts: [], context: 1_000_000, output: 64_000 },
  ],
};
const KNOWN = ['anthropic', 'google', 'openai', 'openrouter'];
const modelKey = (provider, more) => ({ provider, lastFour: 'x7Qa', by: GRACE, createdAt: day(-20), ...more });
const secret = (name) => ({ name, updatedAt: day(-7), updatedBy: GRACE, exposed: true });
const SECRETS = {
  secrets: [secret('NPM_TOKEN'), secret('A_DATABASE_URL_WITH_A_RATHER_LONG_NAME_INDEED')],
  warning: 'A secret is given to sandboxes as an environment variable: the agent, what it runs and whoever may prompt such a session can read it. It is masked where sessions are shown, as it is written and not in other forms.',
};
export const SHOP = 'https://github.com/acme/shop';
const REPOSITORIES = {
  repositories: [
    { policy: { url: SHOP, egress: { mode: 'allowlist', hosts: ['registry.npmjs.org', '*.pypi.org'] }, setup: 'npm ci\nnpm run build\n', secrets: ['NPM_TOKEN'] }, updatedAt: day(-4), updatedBy: ADA },
    { policy: { url: 'https://github.com/acme/a-repository-with-a-very-long-name-indeed', egress: { mode: 'open' }, secrets: [] }, updatedAt: day(-40), updatedBy: GRACE },
  ],
};
const GROUPS = { groups: [{ id: 'grp_1', name: 'Platform', createdAt: day(-60), members: 2, role: 'admin' }, { id: 'grp_2', name: '外部の人', createdAt: day(-6), members: 1 }] };

/** All of it, to the org's owner. */
export const ORG = {
  '/api/auth/me': me('owner'),
  '/api/orgs': { orgs: [{ org: { id: 'org_1', name: 'Acme Research and Development' }, role: 'owner' }, { org: { id: 'org_2', name: 'Side project' }, role: 'viewer' }] },
  '/api/auth/sign-ins': {
    signIns: [
      signIn('1', DEVICE, { current: true, address: '203.0.113.7' }),
      signIn('2', PHONE_DEVICE, { address: '2001:db8::dead:beef', usedAt: day(-1) }),
      signIn('3', 'curl/8.5.0', { usedAt: day(-3) }),
    ],
  },
  '/api/keys': { keys: KEYS },
  '/api/admin/members': { members: MEMBERS },
  '/api/admin/invitations': {
    invitations: [invitation('1', {}), invitation('2', { email: GRACE.email, role: 'admin' }), invitation('3', { usedBy: LIN.id }), invitation('4', { expiresAt: day(-1) })],
  },
  '/api/admin/settings': { defaultVisibility: 'org', personConcurrentSessions: 5, orgDailySessions: 'unlimited' },
  '/api/admin/budgets': { budgets: BUDGETS },
  '/api/admin/prices': { prices: [{ model: 'anthropic/claude-sonnet', from: day(-300), rates: { input: 3_000_000, output: 15_000_000, cacheRead: 300_000 } }] },
  '/api/admin/audit': { entries: ENTRIES, cursor: ENTRIES.at(-1).id },
  '/api/models': MODELS,
  '/api/model-keys': { keys: [modelKey('openrouter', { usedAt: second(-500) })], org: ['anthropic'], known: KNOWN },
  '/api/admin/model-keys': { keys: [modelKey('anthropic'), modelKey('my-gateway', { baseUrl: 'https://models.example.com/v1' })], org: ['anthropic', 'my-gateway'], known: KNOWN },
  '/api/secrets': SECRETS,
  '/api/admin/secrets': SECRETS,
  '/api/admin/repositories': REPOSITORIES,
  '/api/admin/git-credentials': { hosts: ['github.com', 'git.acme.example'], credentials: [{ host: 'github.com', username: 'x-access-token', repositories: ['acme/*'], updatedAt: day(-12), updatedBy: GRACE.id, usedAt: second(-5000) }] },
  '/api/groups': GROUPS,
  '/api/groups/grp_1': { group: GROUPS.groups[0], members: [{ person: GRACE, role: 'admin' }, { person: LIN, role: 'member' }] },
  '/api/usage/estimate': { turns: 34, costP50: 120_000, costP95: 810_000, secondsP50: 95, secondsP95: 540 },
  '/api/usage': USAGE,
  '/api/usage/history': HISTORY,
};
/** To somebody who belongs to the org as `role`. */
export const asRole = (role, user) => ({ ...ORG, '/api/auth/me': me(role, user) });
/** Answers to a write, by method: `reading` to anything else. */
export const writes = (method, answer, reading) => (_url, request) => (request.method() === method ? answer : reading);
export const KEY_MADE = { key: `er_${'4f1c90ab'.repeat(8)}`, apiKey: KEYS[0] };
export const INVITATION_MADE = { invitation: invitation('5', {}), code: 'c0de'.repeat(16), url: `https://errand.example.org/invitations/${'c0de'.repeat(16)}` };
export const SHARES = {
  shares: [
    { id: 'shr_1', role: 'viewer', createdAt: day(-1), expiresAt: day(6), uses: 3, maxUses: 10 },
    { id: 'shr_2', role: 'member', createdAt: day(-9), expiresAt: day(-2), uses: 1, maxUses: 1 },
  ],
};
