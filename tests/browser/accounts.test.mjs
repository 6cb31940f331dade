/** Accounts as an admin meets them, in a real browser on the real Worker: first sign-in, invitation, key, budget, audit log. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, before, describe, test } from 'node:test';

import { DESKTOP, openWindow, PHONE, startBrowser } from '../lib/browser.mjs';
import { PATIENCE, until } from '../lib/programs.mjs';
import { startSystem } from '../lib/system.mjs';
import { githubber, startProviders } from '../worker/providers.mjs';

/** A sandbox, its engine and a long turn may take their time on a machine that does other things too. */
const RUN_PATIENCE = 120_000;

describe('an org, from its first sign-in on', () => {
  const ada = githubber({ login: 'ada-first', name: 'Ada' });
  const grace = githubber({ login: 'grace-invited', name: 'Grace' });
  const eve = githubber({ login: 'eve-outside', name: 'Eve' });
  let providers;
  let system;
  let browser;
  let first;
  /** The address of the session that a budget stops. */
  let session;

  before(async () => {
    [providers, browser] = await Promise.all([startProviders(), startBrowser()]);
    system = await startSystem({ vars: { ...providers.vars, ALLOWED_USERS: 'ada-first' } });
    first = await openWindow(browser, DESKTOP);
    // Copying is what people do with a key; a browser that is tested has to be allowed to.
    await first.context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: system.origin });
  });
  after(async () => {
    await first?.close();
    await browser?.close();
    await system?.stop();
    await providers?.stop();
  });

  /** Whoever goes to the provider from now on is this person, and agrees. */
  function atGitHub(person) {
    providers.say('/login/oauth/authorize', (request, response) => {
      const { code, state, redirect } = providers.agree(new URL(request.url, providers.url).href, person);
      response.writeHead(302, { location: `${redirect}?${new URLSearchParams({ code, state })}` });
      response.end();
    });
  }

  /** What the first person's browser asks of the API. */
  const called = (method, path, body) =>
    first.page.evaluate(async ([method, path, body]) => {
      const answer = await fetch(path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
      return answer.ok ? answer.json() : Promise.reject(new Error(await answer.text()));
    }, [method, path, body]);

  const settings = (window, page) => window.page.goto(`${system.origin}/settings/${page}`);

  test('the first one who signs in with GitHub owns it', async () => {
    atGitHub(ada);
    await first.page.goto(system.origin);
    await first.find('sign-in-github').click();
    await first.find('org-menu').waitFor();
    assert.equal(new URL(first.page.url()).pathname, '/');
    await settings(first, 'members');
    await first.find('member').waitFor();
    assert.equal(await first.find('member-role').inputValue(), 'owner');
    await first.find('member').getByText('you', { exact: true }).waitFor();
  });

  test('somebody who was not asked is told so, with their name and a way out', async () => {
    const window = await openWindow(browser, PHONE);
    window.expected.push(/status of 403/);
    atGitHub(eve);
    await window.page.goto(system.origin);
    await window.find('sign-in-github').click();
    await window.page.getByRole('heading', { name: 'Coming soon' }).waitFor();
    await window.page.getByText('eve-outside').waitFor();
    await window.assertAccessible('coming soon');
    await window.assertFits('coming soon');
    await window.screenshot('coming-soon');
    await window.page.getByRole('link', { name: 'Back to Errand' }).click();
    await window.find('sign-in-github').waitFor();
    await window.close();
  });

  test('a second person comes in by an invitation, sees only what their role lets them, and loses it at once', async () => {
    await settings(first, 'members');
    await first.find('invite').click();
    await first.find('invite-submit').click();
    const link = await first.find('invitation-link').inputValue();
    await first.find('invitation-link-copy').click();
    await first.page.getByText('Copied').waitFor();
    assert.equal(await first.page.evaluate(() => navigator.clipboard.readText()), link);
    await first.find('invitation-done').click();
    await first.find('invitation').getByText('open', { exact: true }).waitFor();

    const second = await openWindow(browser, DESKTOP);
    atGitHub(grace);
    await second.page.goto(link);
    await second.find('invited').waitFor();
    await second.find('sign-in-github').click();
    await second.find('org-menu').waitFor();
    await second.page.waitForURL(`${system.origin}/`);
    await settings(second, 'audit');
    await second.find('not-for-you').waitFor();
    assert.equal(await second.page.getByRole('link', { name: 'Audit log' }).count(), 0);

    await settings(first, 'members');
    await first.find('invitation').getByText('Grace joined').waitFor();
    // A session of which she has a link to look on: it is in her list, and she is offered nothing that would be refused.
    const shared = await called('POST', '/api/sessions', { title: 'Looked at together' });
    await called('PATCH', `/api/sessions/${shared.id}`, { visibility: 'link' });
    const { url } = await called('POST', `/api/sessions/${shared.id}/shares`, { role: 'viewer' });
    await second.page.goto(url);
    await second.find('looking-on').waitFor();
    assert.equal(await second.find('composer').count(), 0);
    await second.find('session-list').locator(`[data-session-id="${shared.id}"]`).waitFor();

    const row = first.find('member').filter({ hasText: 'Grace' });
    await row.getByTestId('member-role').selectOption('viewer');
    await until(async () => (await row.getByTestId('member-role').inputValue()) === 'viewer', 'the new role');
    await second.page.goto(system.origin);
    await second.page.getByText('You look on here').waitFor();
    assert.equal(await second.find('new-session').count(), 0, 'a viewer is offered no session');

    await row.getByTestId('member-menu').click();
    await first.find('member-remove').click();
    await first.find('remove-confirm').click();
    await row.waitFor({ state: 'detached' });
    // Without a click of hers: what she has open is ended.
    await second.find('sign-in-github').waitFor();
    await second.close();
  });

  test('an API key is shown once, works, and stops when it is revoked', async () => {
    await settings(first, 'keys');
    await first.find('new-key').click();
    await first.find('key-name').fill('Nightly updates');
    assert.deepEqual(await first.page.locator('[data-testid^=scope-]:checked').evaluateAll((boxes) => boxes.map((box) => box.dataset.testid)), ['scope-sessions:read']);
    await first.find('key-submit').click();
    const key = await first.find('made-key').inputValue();
    assert.match(key, /^er_[0-9a-f]{64}$/);
    const asks = async () => (await fetch(`${system.url}/api/sessions`, { headers: { authorization: `Bearer ${key}` } })).status;
    assert.equal(await asks(), 200);
    const beyond = await fetch(`${system.url}/api/sessions`, { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: '{}' });
    assert.equal(beyond.status, 403, 'it has the one scope that was ticked');
    assert.match((await beyond.json()).error.message, /lacks the scope sessions:write/);
    await first.find('made-key-done').click();
    await first.find('api-key').getByText('Nightly updates').waitFor();
    assert.ok(!(await first.page.content()).includes(key), 'it is nowhere in the page any more');
    await first.page.reload();
    await first.find('api-key').getByText('used just now').waitFor();
    await first.find('revoke-key').click();
    await first.find('revoke-confirm').click();
    await first.find('api-key').getByText('revoked', { exact: true }).waitFor();
    assert.equal(await asks(), 401);
  });

  test('a budget is made, changed and removed', async () => {
    await settings(first, 'budgets');
    await first.find('new-budget').click();
    await first.find('budget-amount').fill('5');
    await first.find('budget-submit').click();
    const row = first.find('budget');
    await row.getByText('at most $5.00 a month').waitFor();
    await row.getByText('$0.00 of $5.00, 0 %').waitFor();
    await row.getByTestId('change-budget').click();
    await row.getByTestId('budget-limit').fill('0.5');
    await row.getByTestId('save-budget').click();
    await row.getByText('at most $0.50 a month').waitFor();
    await row.getByTestId('remove-budget').click();
    await first.find('remove-budget-confirm').click();
    await first.page.getByText('nothing stops spending').waitFor();
  });

  test('a budget of one cent stops a run with a note, and is extended where it stopped', async () => {
    const { page } = first;
    // What is written is dear and what is read costs nothing: a few calls make a cent.
    await settings(first, 'prices');
    await first.find('add-price').click();
    await first.find('price').getByPlaceholder('provider/model').fill('demo/demo');
    await first.find('price-input').fill('0');
    await first.find('price-output').fill('30');
    await first.find('save-prices').click();
    await first.find('saved').waitFor();
    await settings(first, 'budgets');
    await first.find('new-budget').click();
    await first.find('budget-scope').selectOption('each-session');
    await first.find('budget-amount').fill('0.01');
    await first.find('budget-period').selectOption('total');
    await first.find('budget-submit').click();
    await first.find('budget').getByText('at most $0.01 in all').waitFor();

    await page.goto(system.origin);
    await first.newSession();
    await first.find('new-session-prompt').fill('Step by step, please. [[tools:{"count":200}]]');
    await first.find('new-session-submit').click();
    await first.find('session').waitFor();
    session = page.url();
    page.setDefaultTimeout(RUN_PATIENCE);
    await first.find('budget-card').waitFor();
    await first.find('rests').waitFor();
    await page.getByRole('heading', { name: 'Hand-over note' }).first().waitFor();
    await first.find('session-cost', { budget: 'used_up' }).waitFor();
    await first.assertAtEnd();
    await first.assertAccessible('a session that rests');
    await first.screenshot('budget-reached');
    await first.find('limit-holds').getByText('The new limit holds for every session of this organization, from now on.').waitFor();
    await first.find('extend-limit').fill('0.05');
    await first.find('extend-budget').click();
    await first.find('settled').getByText('Ada extended the budget to $0.05').waitFor();
    await first.find('rests').waitFor({ state: 'detached' });
    await first.turnEnded('done', 'The budget was extended.');
    page.setDefaultTimeout(PATIENCE);

    await settings(first, 'usage');
    await first.find('by-session').waitFor();
    await page.goto(system.origin);
    await first.newSession();
    // Two turns, or three when the note got one of its own.
    await first.find('estimate').getByText(/A turn here usually costs <?\$0\.\d+ and takes .* \(of the last \d+\)/).waitFor();
    await first.screenshot('estimate');
  });

  test('what the org says of limits holds', async () => {
    await settings(first, 'org');
    await first.find('personDailySessions-kind').selectOption('most');
    await first.find('personDailySessions').fill('0');
    await first.find('save-settings').click();
    await first.find('saved').waitFor();
    await first.page.reload();
    assert.equal(await first.find('personDailySessions').inputValue(), '0');
    first.expected.push(/status of 429/);
    await first.newSession();
    await first.find('new-session-submit').click();
    await first.page.getByText('admins set this limit').waitFor();
  });

  test('the audit log tells the story, and is taken out as a file', async () => {
    await settings(first, 'audit');
    const told = [
      'Signed in', 'Invited somebody', 'Changed a role', 'Removed somebody', 'Made an API key', 'Revoked an API key', 'Made a budget', 'Changed the prices',
      'Made a session', 'Extended a budget', 'Changed the org’s defaults and limits',
    ];
    await first.find('audit-details').filter({ hasText: 'limit: $0.01 → $0.05' }).first().waitFor();
    await first.find('audit-details').filter({ hasText: 'role: ' }).filter({ hasText: ' → ' }).first().waitFor();
    for (const words of told) await first.find('audit-entry').filter({ hasText: words }).first().waitFor();
    await first.find('audit-action').selectOption({ label: 'API keys made' });
    await until(async () => (await first.find('audit-entry').count()) === 1, 'the filter');
    const [download] = await Promise.all([first.page.waitForEvent('download'), first.find('export-csv').click()]);
    const lines = fs.readFileSync(await download.path(), 'utf8').trim().split('\r\n');
    assert.equal(lines.length, 2);
    assert.match(lines[1], /"Ada".*"POST \/api\/keys"/);
  });

  test('another org of the same person has nothing of it', async () => {
    await settings(first, 'sign-ins');
    await first.find('new-org').click();
    await first.find('new-org-name').fill('Side project');
    await first.find('new-org-submit').click();
    await first.find('org').filter({ hasText: 'Side project' }).getByTestId('switch-org').click();
    await first.page.getByTestId('org-menu').getByText('Side project').waitFor();
    await first.page.getByText('No sessions yet').filter({ visible: true }).waitFor();
    first.expected.push(/404/);
    await first.page.goto(session);
    await first.find('not-found').waitFor();
    await first.find('other-orgs').getByText('You act in Side project now').waitFor();
    await settings(first, 'keys');
    await first.page.getByText('No key is in use.').waitFor();
    await settings(first, 'members');
    await first.find('member').waitFor();
    assert.equal(await first.find('member').count(), 1);
  });

  test('signing out everywhere ends it here, too', async () => {
    await settings(first, 'sign-ins');
    await first.find('end-everywhere').click();
    await first.find('everywhere-confirm').click();
    await first.find('sign-in-github').waitFor();
    await settings(first, 'keys');
    await first.find('sign-in-github').waitFor();
  });
});
