/** What a person does with the work itself, on a real system: steer, reorder, promote, pause, archive, fork, look why it waits. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { openWindow, PHONE, startBrowser } from '../lib/browser.mjs';
import { newId } from '../lib/ids.mjs';
import { until } from '../lib/programs.mjs';
import { startSystem } from '../lib/system.mjs';

/** A sandbox and its engine may take long on a machine that does other things too. */
const START_PATIENCE = 90_000;

describe('the work of a session in a browser', () => {
  let system;
  let browser;
  let user;
  let window;
  let page;
  let session;

  before(async () => {
    [system, browser] = await Promise.all([startSystem(), startBrowser()]);
    user = await system.signIn('ada');
    window = await openWindow(browser);
    page = window.page;
    page.setDefaultTimeout(START_PATIENCE);
    await window.signIn(system.origin, 'ada');
    session = await user.create({ title: 'The work', prompt: '[[text:{"words":3}]] the beginning' });
    await until(() => session.viewer.events.some((event) => event.type === 'turn.finished'), 'the first turn', START_PATIENCE);
    await page.goto(`${system.origin}/sessions/${session.id}`);
    await window.find('turn-footer').waitFor();
  });
  after(async () => {
    await window?.close();
    await browser?.close();
    await system?.stop();
  });

  const queued = () => window.find('queued-prompt').evaluateAll((rows) => rows.map((row) => row.querySelector('[dir=auto]').textContent));
  const choose = async (item) => {
    await window.find('session-menu').click();
    await window.find(item).click();
  };

  test('a prompt told to the agent now is taken in by the running turn', async () => {
    await window.prompt('[[bash:{"cmd":"until [ -e go ]; do sleep 0.05; done; echo gone"}]]');
    await window.find('tool', { tool: 'bash' }).waitFor();
    await window.find('composer').fill('[[bash:{"cmd":"echo steered"}]]');
    await page.keyboard.press('Control+Enter');
    await window.find('steered-prompt').getByText('echo steered').waitFor();
    assert.deepEqual(await queued(), []);
    await window.screenshot('steered');
    fs.writeFileSync(path.join(system.sandboxDir(session), 'workspace', 'go'), '');
    await window.turnEnded('done', 'until [ -e go ]');
    assert.equal(session.viewer.events.filter((event) => event.type === 'turn.started').length, 2, 'no turn of its own');
    const kinds = () => page.locator('[data-testid=steered-prompt], [data-testid=tool]').evaluateAll((nodes) => nodes.map((node) => node.dataset.testid));
    const before = await kinds();
    assert.deepEqual(before.filter((kind) => kind === 'steered-prompt').length, 1);
    await page.reload();
    await window.find('turn-footer').last().waitFor();
    await window.assertAtEnd();
    assert.deepEqual(await kinds(), before, 'the reload shows the same');
  });

  test('waiting prompts are moved by key, by hand and by menu, and one is run at once', async () => {
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

    const runs = session.viewer.events.filter((event) => event.type === 'turn.started').length;
    await window.find('queue-menu').nth(1).click();
    await window.find('promote').click();
    await session.viewer.event((event) => event.type === 'turn.finished' && event.outcome === 'aborted', 'the end of the stopped turn');
    const started = () => session.viewer.events.filter((event) => event.type === 'turn.started').map((event) => event.promptId);
    await until(() => started().length === runs + 3, 'all turns', START_PATIENCE);
    const text = (id) => session.viewer.events.find((event) => event.prompt?.id === id).prompt.text;
    assert.deepEqual(started().slice(runs).map((id) => text(id).split(' ').at(-1)), ['two', 'one', 'three']);
    await window.turnEnded('done', 'three');
  });

  test('a session is paused and resumed from its menu, and says why not while a turn runs', async () => {
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
  });

  test('an archived session leaves the list, says so on its page, and is restored from both', async () => {
    const row = () => window.find('session-list').locator(`[data-session-id="${session.id}"]`);
    await row().waitFor();
    await choose('menu-archive');
    await window.find('archived').waitFor();
    await row().waitFor({ state: 'detached' });
    await window.find('show-archived').click();
    const away = window.find('archived-list').locator(`[data-session-id="${session.id}"]`);
    await away.waitFor();
    await page.waitForSelector('[data-testid=session][data-phase=paused]');
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
    await window.prompt('[[text:{"words":3}]] awake again');
    await window.turnEnded('done');
  });

  test('a fork from a turn goes on from there, and shows where it comes from', async () => {
    await window.prompt('[[text:{"words":4}]] the second turn');
    await window.turnEnded('done');
    const turns = session.viewer.events.filter((event) => event.type === 'turn.finished');
    const footers = window.find('turn-footer');
    await footers.nth((await footers.count()) - 2).getByTestId('turn-menu').click();
    await window.find('fork').click();
    await window.find('fork-title').fill('Another way');
    await window.screenshot('fork');
    await window.find('fork-submit').click();
    await page.waitForURL((url) => url.pathname.startsWith('/sessions/') && !url.pathname.endsWith(session.id));
    await window.find('session-title').getByText('Another way').waitFor();
    await window.find('forked-from').getByText('The work').waitFor();
    await window.find('prompt-text').getByText('awake again').waitFor();
    assert.equal(await window.find('prompt-text').getByText('the second turn').count(), 0);
    await window.assertAccessible('a fork');
    await window.prompt('[[text:{"words":3}]] in the fork');
    await window.turnEnded('done');
    await window.screenshot('forked');
    const fork = await user.api(`/api/sessions/${page.url().split('/').at(-1)}`);
    assert.deepEqual(fork.forkedFrom, { sessionId: session.id, turnId: turns.at(-2).turnId });
    await window.find('forked-from').getByRole('link').click();
    await page.waitForURL(`**/sessions/${session.id}`);
    await window.find('prompt-text').getByText('the second turn').waitFor();
    await user.api(`/api/sessions/${fork.id}`, { method: 'DELETE' });
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
