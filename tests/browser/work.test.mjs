/** What a person does with the work itself, on a real system: steer, reorder, promote, pause, archive, fork, look why it waits. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { openWindow, PHONE, startBrowser } from '../lib/browser.mjs';
import { newId } from '../lib/ids.mjs';
import { startSystem } from '../lib/system.mjs';

describe('the work of a session in a browser', () => {
  let system;
  let browser;
  let user;
  let window;
  let page;

  before(async () => {
    [system, browser] = await Promise.all([startSystem(), startBrowser()]);
    user = await system.signIn('ada');
    window = await openWindow(browser);
    page = window.page;
    await window.signIn(system.origin, 'ada');
  });
  after(async () => {
    await window?.close();
    await browser?.close();
    await system?.stop();
  });

  /** A session with one turn behind it, on the page. */
  async function begin(title) {
    const session = await user.create({ title, prompt: '[[text:{"words":3}]] the beginning' });
    await session.firstTurn();
    await page.goto(`${system.origin}/sessions/${session.id}`);
    await window.find('turn-footer').waitFor();
    return session;
  }
  const queued = () => window.find('queued-prompt').evaluateAll((rows) => rows.map((row) => row.querySelector('[dir=auto]').textContent));
  const choose = async (item) => {
    await window.find('session-menu').click();
    await window.find(item).click();
  };

  test('a prompt told to the agent now is taken in by the running turn', async () => {
    const session = await begin('Steering');
    await window.prompt('[[bash:{"cmd":"until [ -e go ]; do sleep 0.05; done; echo gone"}]]');
    await window.find('tool', { tool: 'bash' }).waitFor();
    await window.find('composer').fill('[[bash:{"cmd":"echo steered"}]]');
    await page.keyboard.press('Control+Enter');
    await window.find('steered-prompt').getByText('echo steered').waitFor();
    assert.deepEqual(await queued(), []);
    await window.screenshot('steered');
    fs.writeFileSync(path.join(system.sandboxDir(session), 'workspace', 'go'), '');
    await window.turnEnded('done', 'until [ -e go ]');
    assert.equal(await window.find('turn').count(), 2, 'no turn of its own');
    const kinds = () => page.locator('[data-testid=steered-prompt], [data-testid=tool]').evaluateAll((nodes) => nodes.map((node) => node.dataset.testid));
    const before = await kinds();
    assert.deepEqual(before.filter((kind) => kind === 'steered-prompt').length, 1);
    await page.reload();
    await window.find('turn-footer').nth(1).waitFor();
    assert.deepEqual(await kinds(), before, 'the reload shows the same');
    await session.end();
  });

  test('waiting prompts are moved by key, by hand and by menu, and one is run at once', async () => {
    const session = await begin('The queue');
    const gate = newId('gate');
    await window.prompt(`[[gate:{"name":"${gate}"}]]`);
    await window.find('abort').waitFor();
    for (const name of ['one', 'two', 'three']) await window.prompt(`[[text:{"words":2}]] ${name}`);
    await page.locator('[data-testid=queue-handle]:enabled').nth(2).waitFor();
    const order = async (...names) => {
      await page.waitForFunction((wanted) => {
        const rows = [...document.querySelectorAll('[data-testid=queued-prompt]')];
        return rows.length === wanted.length && rows.every((row, at) => row.textContent.includes(wanted[at]));
      }, names);
    };
    await window.find('queue-handle').nth(2).focus();
    await page.keyboard.press('ArrowUp');
    await order('one', 'three', 'two');
    await page.keyboard.press('Home');
    await order('three', 'one', 'two');

    const [from, to] = [await window.find('queue-handle').nth(0).boundingBox(), await window.find('queue-handle').nth(2).boundingBox()];
    await page.mouse.move(from.x + 5, from.y + from.height / 2);
    await page.mouse.down();
    await page.mouse.move(from.x + 5, to.y + to.height / 2, { steps: 6 });
    await window.screenshot('dragging');
    await page.mouse.up();
    await order('one', 'two', 'three');
    await session.viewer.until(({ events }) => events.filter((event) => event.type === 'prompt.moved').length === 3, 'three moves');
    await page.reload();
    await order('one', 'two', 'three');

    await window.find('queue-menu').nth(1).click();
    await window.find('promote').click();
    await window.turnEnded('aborted', gate);
    const started = () => session.viewer.events.filter((event) => event.type === 'turn.started').map((event) => event.promptId);
    await session.viewer.until(() => started().length === 5, 'all turns');
    const text = (id) => session.viewer.events.find((event) => event.prompt?.id === id).prompt.text;
    assert.deepEqual(started().slice(2).map((id) => text(id).split(' ').at(-1)), ['two', 'one', 'three']);
    await window.turnEnded('done', 'three');
    await session.end();
  });

  test('a session is paused and resumed from its menu, and says why not while a turn runs', async () => {
    const session = await begin('Pausing');
    const gate = newId('gate');
    await window.prompt(`[[gate:{"name":"${gate}"}]]`);
    await window.find('abort').waitFor();
    await window.find('session-menu').click();
    assert.equal(await window.find('menu-pause').getAttribute('aria-disabled'), 'true');
    assert.match(await window.find('menu-pause').innerText(), /stop it or let it finish first/);
    await page.keyboard.press('Escape');
    await system.openGate(gate);
    await window.turnEnded('done');

    await choose('menu-pause');
    await window.find('paused').waitFor();
    await window.assertAccessible('a paused session');
    await window.screenshot('paused');
    await window.find('resume').click();
    await page.waitForSelector('[data-testid=session][data-phase=running]');
    await page.keyboard.press('Control+k');
    await window.find('palette').waitFor();
    await page.keyboard.type('Pause this session');
    await page.keyboard.press('Enter');
    await window.find('paused').waitFor();
    await window.prompt('[[text:{"words":3}]] woken');
    await window.turnEnded('done');
    await session.end();
  });

  test('an archived session leaves the list, says so on its page, and is restored from both', async () => {
    const session = await begin('Put away');
    const row = () => window.find('session-list').locator(`[data-session-id="${session.id}"]`);
    await row().waitFor();
    await choose('menu-archive');
    await window.find('archived').waitFor();
    await row().waitFor({ state: 'detached' });
    await window.find('show-archived').click();
    const away = window.find('archived-list').locator(`[data-session-id="${session.id}"]`);
    await away.waitFor();
    await session.viewer.untilSession((now) => now.phase === 'paused');
    await window.assertAccessible('the archive');
    await window.screenshot('archived');
    await window.find('row-restore').first().click();
    await away.waitFor({ state: 'detached' });
    await window.find('archived').waitFor({ state: 'detached' });
    await window.find('show-open').click();
    await row().waitFor();
    await choose('menu-archive');
    await window.find('archived').waitFor();
    await window.find('restore').click();
    await window.find('archived').waitFor({ state: 'detached' });
    await row().waitFor();
    await session.end();
  });

  test('a fork from a turn goes on from there, and shows where it comes from', async () => {
    const session = await begin('The original');
    await window.prompt('[[text:{"words":4}]] the second turn');
    await window.turnEnded('done');
    await window.find('turn-menu').first().click();
    await window.find('fork').click();
    await window.find('fork-title').fill('Another way');
    await window.screenshot('fork');
    await window.find('fork-submit').click();
    await page.waitForURL((url) => url.pathname.startsWith('/sessions/') && !url.pathname.endsWith(session.id));
    await window.find('session-title').getByText('Another way').waitFor();
    await window.find('forked-from').getByText('The original').waitFor();
    await window.find('prompt-text').getByText('the beginning').waitFor();
    assert.equal(await window.find('prompt-text').getByText('the second turn').count(), 0);
    await window.assertAccessible('a fork');
    await window.prompt('[[text:{"words":3}]] in the fork');
    await window.turnEnded('done');
    await window.screenshot('forked');
    const fork = await user.api(`/api/sessions/${page.url().split('/').at(-1)}`);
    assert.equal(fork.forkedFrom.sessionId, session.id);
    await window.find('forked-from').getByRole('link').click();
    await page.waitForURL(`**/sessions/${session.id}`);
    await window.find('prompt-text').getByText('the second turn').waitFor();
    await user.api(`/api/sessions/${fork.id}`, { method: 'DELETE' });
    await session.end();
  });

  test('where the time of a start goes is shown while it starts, and afterwards from the menu', async () => {
    await page.goto(system.origin);
    await window.newSession();
    await window.find('new-session-prompt').fill('[[bash:{"cmd":"echo hello"}]]');
    await window.find('new-session-submit').click();
    await window.find('startup').waitFor();
    await window.find('waterfall').first().waitFor();
    await window.turnEnded('done');
    await choose('menu-startup');
    const dialog = window.find('startup-dialog');
    await dialog.getByText(/ready in/).first().waitFor();
    const points = await dialog.locator('[data-testid=waterfall]').first().locator('li').evaluateAll((rows) => rows.map((row) => row.dataset.point));
    assert.deepEqual(points, ['queued', 'admitted', 'requested', 'booting', 'cloning', 'engine', 'ready', 'first_token', 'first_tool']);
    await dialog.getByText('Nothing waits.').waitFor();
    await window.assertAccessible('starts');
    await window.screenshot('starts');
    await page.keyboard.press('Escape');
    const looking = await openWindow(browser, PHONE, 'dark');
    await looking.signIn(system.origin, 'ada');
    await looking.page.goto(page.url());
    await looking.find('turn-footer').waitFor();
    await looking.find('session-menu').click();
    await looking.find('menu-startup').click();
    await looking.find('startup-dialog').getByText(/ready in/).first().waitFor();
    await looking.assertFits('starts');
    await looking.screenshot('starts-dark');
    await looking.close();
  });
});
