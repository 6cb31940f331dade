/** The screens of accounts and of the org: signing in, and every page of the settings. See `screens.test.mjs` for what is done with them. */
import assert from 'node:assert/strict';

import { refusal, summary } from '../lib/stand-in.mjs';
import { asRole, GRACE, INVITATION_MADE, KEY_MADE, NOBODY, ORG, USAGE, writes } from './played-org.mjs';
import { LISTS } from './screens-of-work.mjs';

const EVERY_WAY = { version: '0', signIn: ['github', 'google', 'dev'], models: [] };
/** A page that is no session's. */
const page = (path, answers) => ({ session: summary(), path, answers: { ...LISTS, ...answers } });

/** Each: what the server says, and what the person does (`go`) to see it. */
export const ORG_SCREENS = {
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
    ...page('/', ORG),
    go: async ({ find, window }) => {
      await find(window.device === 'phone' ? 'org-menu-phone' : 'org-menu').click();
      await window.page.getByRole('menuitemcheckbox', { name: 'Side project' }).waitFor();
    },
  },
  'usage': {
    ...page('/settings/usage', { ...ORG, '/api/sessions': { sessions: [summary({ id: 'ses_01JD3M9Y5T6W8X2Z4A7B9C1D3E', title: 'Fix the rounding of totals in the cart' })] } }),
    go: async ({ find }) => {
      await find('usage-days').getByText('As a table').click();
      await find('by-session').getByText('Fix the rounding of totals').waitFor();
    },
  },
  'usage-empty': {
    ...page('/settings/usage', { ...ORG, '/api/usage': { ...USAGE, by: {}, budgets: [], stops: undefined }, '/api/usage/history': { days: [] } }),
    go: ({ find }) => find('usage-days').getByText('Nothing was spent in this time.').waitFor(),
  },
  // Who the people are is not known yet: nobody is said to have left.
  'usage-loading': {
    ...page('/settings/usage', { ...ORG, '/api/admin/members': () => new Promise(() => {}) }),
    go: async ({ find }) => {
      await find('by-user').getByText('…', { exact: true }).first().waitFor();
      assert.equal(await find('settings-page').getByText('Somebody who has left').count(), 0);
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
  'org-name': {
    ...page('/settings/org', ORG),
    go: async ({ find }) => {
      await find('org-name').fill('Acme');
      await find('rename-org').waitFor();
    },
  },
  'budgets': {
    ...page('/settings/budgets', ORG),
    go: async ({ find }) => {
      await find('change-budget').nth(1).click();
      await find('limit-holds').getByText('every person of this organization').waitFor();
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
  'repositories-empty': {
    ...page('/settings/repositories', { ...ORG, '/api/admin/repositories': { repositories: [] }, '/api/admin/git-credentials': { hosts: [], credentials: [] } }),
    go: ({ page }) => page.getByText('This installation reaches no git host').waitFor(),
  },
  'group': {
    ...page('/settings/members', ORG),
    go: async ({ find }) => {
      await find('group-people').first().click();
      await find('group-member').first().waitFor();
    },
  },
  'not-for-you': { ...page('/settings/audit', asRole('member')), go: ({ find }) => find('not-for-you').waitFor() },
};
