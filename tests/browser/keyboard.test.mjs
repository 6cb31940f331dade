/** The settings and their dialogs with nothing but keys: what has the focus is seen, follows the page, and is given back. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startBrowser } from '../lib/browser.mjs';
import { until } from '../lib/programs.mjs';
import { serveClient, summary } from '../lib/stand-in.mjs';
import { openPlayed } from './played.mjs';
import { GRACE, INVITATION_MADE, ORG, writes } from './played-org.mjs';

const PAGES = ['sign-ins', 'usage', 'keys', 'models', 'secrets', 'members', 'org', 'repositories', 'budgets', 'prices', 'audit'];
const MOST_STEPS = 150;

describe('the settings by keyboard', () => {
  let client;
  let browser;
  let window;
  let page;
  let find;
  let answers;

  before(async () => {
    [client, browser] = await Promise.all([serveClient(), startBrowser()]);
    const { window: opened, played } = await openPlayed(browser, client, { session: summary(), path: '/settings/sign-ins', answers: ORG });
    ({ answers } = played);
    ({ page } = (window = opened));
    answers[`/api/admin/settings/users/${GRACE.id}`] = {};
    find = (testId) => window.find(testId).filter({ visible: true });
    window.expected.push(/status of 404/);
  });
  after(async () => {
    await window?.close();
    await browser?.close();
    await client?.stop();
  });

  async function open(name) {
    await page.goto(`${client.origin}/settings/${name}`);
    await find('settings-page').waitFor();
    await page.waitForFunction(() => !document.querySelector('[data-testid=settings-page] [role=status][aria-label=Loading]'));
  }

  const holds = (testId, why) => until(() => page.evaluate((id) => document.activeElement.closest(`[data-testid=${id}]`) !== null, testId), why);

  for (const name of PAGES) {
    test(`${name}: everything is reached in the order of the page, and is seen to have the focus`, async () => {
      await open(name);
      await find('settings-page').evaluate((node) => {
        node.tabIndex = -1;
        node.focus();
      });
      const seen = [];
      for (let step = 0; step < MOST_STEPS; step += 1) {
        await page.keyboard.press('Tab');
        const now = await page.evaluate(focused);
        if (!now.inside) break;
        seen.push(now);
      }
      assert.deepEqual(seen.filter(({ marked }) => !marked).map(({ what }) => what), [], 'no sign of the focus');
      assert.deepEqual(seen.filter(({ inSight }) => !inSight).map(({ what }) => what), [], 'out of sight');
      const back = seen.filter(({ at }, index) => index > 0 && at < seen[index - 1].at);
      assert.deepEqual(back.map(({ what }) => what), [], 'the focus jumps back');
      const missed = await page.evaluate(() => {
        const all = document.querySelectorAll('[data-testid=settings-page] :is(a[href], button, input, select, textarea, summary)');
        const reached = (node) => node.dataset.reached === 'yes' || node.disabled || !node.checkVisibility() || (node.type === 'radio' && !node.checked);
        return [...all].filter((node) => !reached(node)).map((node) => node.dataset.testid ?? node.textContent);
      });
      assert.deepEqual(missed, [], 'never reached');
    });
  }

  /** Each: the page, the button that is pressed, and where the focus is to be in what opens (`[data-first]`, when nothing is said). */
  const DIALOGS = [
    ['sign-ins', 'end-everywhere', 'everywhere-dialog'],
    ['keys', 'new-key', 'new-key-dialog'],
    ['keys', 'revoke-key', 'revoke-dialog'],
    ['models', 'remove-model-key', 'remove-model-key-dialog'],
    ['secrets', 'remove-secret', 'remove-secret-dialog'],
    ['members', 'invite', 'invite-dialog'],
    ['members', 'new-group', 'new-group-dialog'],
    ['members', 'group-people', 'group-dialog'],
    ['repositories', 'remove-git-credential', 'remove-git-credential-dialog'],
    ['budgets', 'new-budget', 'new-budget-dialog'],
    ['budgets', 'remove-budget', 'remove-budget-dialog'],
  ];
  for (const [name, opener, dialog] of DIALOGS) {
    test(`${dialog}: takes the focus, keeps it, and gives it back`, async () => {
      await open(name);
      await find(opener).first().focus();
      await page.keyboard.press('Enter');
      await find(dialog).waitFor();
      const within = () => page.evaluate((id) => document.activeElement.closest(`[data-testid=${id}]`) !== null, dialog);
      await until(within, 'the focus in the dialog');
      const steps = await find(dialog).locator('a[href], button, input, select, textarea').count();
      for (let step = 0; step <= steps; step += 1) {
        await page.keyboard.press('Tab');
        assert.ok(await within(), `the focus stays within, ${step}`);
      }
      await page.keyboard.press('Escape');
      await find(dialog).waitFor({ state: 'detached' });
      await until(() => page.evaluate((id) => document.activeElement.dataset.testid === id, opener), 'the focus at the button again');
    });
  }

  test('a menu is opened, walked and left by keys, and so is what it opens', async () => {
    await open('members');
    await find('member-menu').nth(1).focus();
    await page.keyboard.press('Enter');
    await find('member-limits').waitFor();
    await holds('member-limits', 'the first item');
    await page.keyboard.press('ArrowDown');
    await holds('member-remove', 'the second item');
    await page.keyboard.press('Home');
    await page.keyboard.press('Enter');
    await find('limits-dialog').waitFor();
    await page.keyboard.press('Escape');
    await find('limits-dialog').waitFor({ state: 'detached' });
    await holds('member-menu', 'the focus at the menu’s button');
  });

  test('where a row or a form goes away with the focus, the focus stays nearby', async () => {
    const { invitations } = ORG['/api/admin/invitations'];
    answers['/api/admin/invitations'] = { invitations };
    answers[`/api/admin/invitations/${invitations[0].id}`] = () => {
      answers['/api/admin/invitations'] = { invitations: invitations.slice(1) };
      return {};
    };
    await open('members');
    await find('withdraw').first().focus();
    await page.keyboard.press('Enter');
    await until(async () => (await find('invitation').count()) === invitations.length - 1, 'one invitation less');
    await until(() => page.evaluate(() => document.activeElement.getAttribute('aria-label') === 'Invitations'), 'the focus at the list');

    const { secrets, warning } = ORG['/api/secrets'];
    answers[`/api/secrets/${secrets[0].name}`] = () => {
      answers['/api/secrets'] = { secrets: secrets.slice(1), warning };
      return {};
    };
    await open('secrets');
    await find('remove-secret').first().focus();
    await page.keyboard.press('Enter');
    await find('remove-secret-dialog').waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await find('remove-secret-dialog').waitFor({ state: 'detached' });
    await until(() => page.evaluate(() => document.activeElement.getAttribute('aria-label') === 'Yours'), 'the focus at the list');

    await open('budgets');
    await find('change-budget').first().focus();
    await page.keyboard.press('Enter');
    await holds('budget-limit', 'the focus in the field');
    answers['/api/admin/budgets/bdg_1'] = {};
    await page.keyboard.type('7');
    await page.keyboard.press('Enter');
    await find('budget-limit').waitFor({ state: 'detached' });
    await holds('budget', 'the focus in the row');
  });

  test('Enter sends a form, and what is wrong in it gets the focus', async () => {
    await open('keys');
    await find('new-key').focus();
    await page.keyboard.press('Enter');
    await find('key-name').waitFor();
    await holds('key-name', 'the focus in the first field');
    await find('key-days').focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await holds('key-name', 'the focus in the field that is wrong');
    const [invalid, described] = await find('key-name').evaluate((node) => [node.getAttribute('aria-invalid'), document.getElementById(node.getAttribute('aria-describedby'))?.textContent]);
    assert.deepEqual([invalid, described], ['true', 'Say what it is for.']);

    answers['/api/admin/invitations'] = writes('POST', INVITATION_MADE, ORG['/api/admin/invitations']);
    await open('members');
    await find('invite').focus();
    await page.keyboard.press('Enter');
    await find('invite-email').fill('grace@example.org');
    await page.keyboard.press('Enter');
    await find('invitation-link').waitFor();
    await holds('invitation-link-copy', 'the focus at what is to be done next');
  });
});

/** In the page: what has the focus, marked as reached. `at`: its place in the document. */
function focused() {
  const node = document.activeElement;
  node.dataset.reached = 'yes';
  const style = getComputedStyle(node);
  const { top, bottom, left, right, width, height } = node.getBoundingClientRect();
  const all = [...document.querySelectorAll('*')];
  return {
    inside: node.closest('[data-testid=settings-page]') !== null,
    what: node.dataset.testid ?? node.getAttribute('aria-label') ?? node.textContent.slice(0, 30),
    marked: style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) >= 2,
    inSight: width > 0 && height > 0 && top < innerHeight && bottom > 0 && left < innerWidth && right > 0,
    at: all.indexOf(node),
  };
}
