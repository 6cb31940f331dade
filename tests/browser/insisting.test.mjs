/** People press twice, go offline in between, and are two: what the page then does. And all of it without a mouse. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startBrowser } from '../lib/browser.mjs';
import { until } from '../lib/programs.mjs';
import { greeting, longLog, serveClient, summary } from '../lib/stand-in.mjs';
import { greetBusy, greetResting, openPlayed, second, waits } from './played.mjs';

describe('a person who insists', () => {
  let client;
  let browser;

  before(async () => {
    [client, browser] = await Promise.all([serveClient(), startBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await client?.stop();
  });

  const busy = summary({ activity: 'tool', headSeq: 28, queue: 2 });
  const queue = [waits('a', 'first thing'), waits('b', 'second thing')];
  const openBusy = (onSocket = (socket) => greetBusy(socket, busy, queue)) => openPlayed(browser, client, { session: busy, onSocket });
  const resting = summary({ headSeq: 40 });
  const said = (played) => played.sockets.flatMap((socket) => socket.said.map((text) => JSON.parse(text)));
  const event = (seq, body) => ({ type: 'event', event: { seq, at: second(0), ...body } });
  const focused = (page) => page.evaluate(() => document.activeElement.dataset.testid ?? document.activeElement.getAttribute('aria-label') ?? document.activeElement.tagName);

  test('a prompt is sent once, however often one presses', async () => {
    const { window, played } = await openBusy();
    await window.find('composer').fill('only once');
    await window.find('send').dblclick();
    await window.find('composer').fill('told once');
    await window.find('steer').dblclick();
    await window.find('queued-prompt').filter({ hasText: 'told once' }).waitFor();
    assert.deepEqual(said(played).map(({ text, mode }) => [text, mode]), [['only once', undefined], ['told once', 'steer']]);
    await window.close();
  });

  test('a command is asked once while its answer is on its way, and again after it', async () => {
    const paused = summary({ phase: 'paused', activity: 'paused', headSeq: 40 });
    const { window, played } = await openPlayed(browser, client, { session: paused, onSocket: greetResting(paused) });
    await window.find('resume').dblclick();
    assert.deepEqual(said(played).map(({ type }) => type), ['resume']);
    played.sockets[0].say({ type: 'reject', id: said(played)[0].id, code: 'conflict', message: 'It is being paused.' });
    await window.find('refused').waitFor();
    await window.find('resume').click();
    assert.equal(said(played).length, 2);
    await window.close();
  });

  test('a fork is made once, and a second press after a lost answer makes no other one', async () => {
    const bodies = [];
    let answer;
    const { window, page } = await openPlayed(browser, client, { session: resting, onSocket: greetResting(resting) });
    window.expected.push(/ERR_FAILED|status of 404/);
    await page.route('**/fork', async (route) => {
      bodies.push(route.request().postDataJSON());
      if (bodies.length === 1) return route.abort();
      await new Promise((resolve) => (answer = resolve));
      return route.fulfill({ json: summary({ id: bodies[1].id, title: 'Fork' }) });
    });
    await window.find('turn-menu').last().click();
    await window.find('fork').click();
    await window.find('fork-submit').click();
    await page.getByText('The fork was not made').waitFor();
    await window.find('fork-submit').dblclick();
    await until(() => answer !== undefined, 'the second call');
    await window.find('fork-submit').and(page.locator(':disabled')).waitFor();
    answer();
    await page.waitForURL(`**/sessions/${bodies[0].id}`);
    assert.equal(bodies.length, 2);
    assert.equal(bodies[1].id, bodies[0].id);
    await window.close();
  });

  test('what was sent when the connection broke is sent again with the same ids, and shown once', async () => {
    const { window, page, played } = await openBusy();
    await window.find('composer').fill('between two worlds');
    await window.find('send').click();
    await until(() => said(played).length === 1, 'the first try');
    played.sockets[0].close(1011);
    await until(() => said(played).length === 2, 'the second try');
    const [first, again] = said(played);
    assert.deepEqual(again, first);
    // The first try had arrived: the log has it, and the second is only acknowledged.
    played.sockets[1].say(event(29, { type: 'prompt.queued', prompt: waits(first.promptId.slice(4), 'between two worlds') }), { type: 'ack', id: first.id });
    await window.find('queued-prompt').filter({ hasText: 'between two worlds' }).locator('[data-testid=queue-handle]:enabled').waitFor();
    assert.equal(await page.getByText('between two worlds').count(), 1);
    await window.close();
  });

  test('who edits a prompt that somebody else changes is told, and can take that text', async () => {
    const { window, page, played } = await openBusy();
    await page.getByRole('button', { name: 'Edit: second thing' }).click();
    await window.find('composer').fill('second thing, mine');
    played.sockets[0].say(event(29, { type: 'prompt.edited', promptId: 'prm_b', text: 'second thing, theirs', by: summary().owner }));
    await window.find('editing').getByText('Its text was changed meanwhile.').waitFor();
    assert.equal(await window.find('composer').inputValue(), 'second thing, mine', 'what was written stays');
    await window.assertAccessible('a prompt that changed meanwhile');
    await window.screenshot('edited-by-two');
    await window.find('editing-take').click();
    assert.equal(await window.find('composer').inputValue(), 'second thing, theirs');
    await page.keyboard.type('!');
    await page.keyboard.press('Enter');
    const sent = said(played).at(-1);
    assert.deepEqual([sent.type, sent.promptId, sent.text], ['edit_prompt', 'prm_b', 'second thing, theirs!']);
    played.sockets[0].say({ type: 'reject', id: sent.id, code: 'conflict', message: 'This prompt has begun.' });
    await window.find('refused').getByRole('button', { name: 'Put it back into the composer' }).click();
    assert.equal(await window.find('composer').inputValue(), 'second thing, theirs!', 'nothing that was written is lost');
    await window.close();
  });

  test('who edits a prompt that begins meanwhile sends a new one', async () => {
    const { window, page, played } = await openBusy();
    await page.getByRole('button', { name: 'Edit: first thing' }).click();
    await page.keyboard.type(', and more');
    played.sockets[0].say(event(29, { type: 'prompt.withdrawn', promptId: 'prm_a', by: summary().owner }));
    await window.find('editing').getByText('This prompt no longer waits.').waitFor();
    await page.keyboard.press('Enter');
    const sent = said(played).at(-1);
    assert.deepEqual([sent.type, sent.text], ['prompt', 'first thing, and more']);
    await window.close();
  });

  test('the later one of two answers is told who was first', async () => {
    const turnId = longLog(22, 22)[0].turnId;
    const ask = {
      id: 'int_1', turnId, openedAt: second(-4), deadline: second(600), kind: 'permission', permission: 'bash', command: 'npm install', patterns: ['npm *'], always: [],
    };
    const { window, page, played } = await openBusy((socket) => greetBusy(socket, busy, [], { interactions: [ask] }));
    await window.find('permission-once').click();
    const { id } = said(played).at(-1);
    const bob = { ...summary().owner, id: 'usr_bob', name: 'Bob' };
    played.sockets[0].say(
      event(29, { type: 'interaction.resolved', interactionId: 'int_1', how: 'answered', by: bob, answer: { type: 'permission', reply: 'reject' } }),
      { type: 'reject', id, code: 'conflict', message: 'Bob has answered this already.' },
    );
    await window.find('settled').getByText('Bob refused').waitFor();
    await window.find('refused').getByText('Bob has answered this already.').waitFor();
    assert.equal(await window.find('permission-card').count(), 0);
    await page.getByRole('button', { name: 'Dismiss' }).click();
    assert.equal(await window.find('refused').count(), 0);
    await window.close();
  });

  test('queue and menus work without a mouse, and the focus is never lost', async () => {
    const { window, page, played } = await openBusy();
    const keys = page.keyboard;
    const holds = (name, why) => until(async () => (await focused(page)) === name, why);
    await window.find('queue-menu').first().focus();
    await keys.press('Enter');
    await page.getByRole('menuitem', { name: 'Move down' }).waitFor();
    await keys.press('Escape');
    await holds('queue-menu', 'Esc closes the menu and gives the focus back');
    assert.deepEqual(said(played), [], 'that Esc was not for the turn');

    const choose = async (name) => {
      await keys.press('Enter');
      await page.getByRole('menuitem', { name }).focus();
      await keys.press('Enter');
      await page.getByRole('menu').waitFor({ state: 'detached' });
    };
    await choose('Edit');
    await window.find('editing').waitFor();
    await holds('composer', 'editing is writing');
    await keys.press('Escape');
    await window.find('editing').waitFor({ state: 'detached' });
    assert.deepEqual(said(played), []);

    await window.find('queue-menu').first().focus();
    await choose('Withdraw');
    await until(() => said(played).some(({ type }) => type === 'withdraw_prompt'), 'the command');
    await holds('composer', 'the row is gone');

    await window.find('session-menu').focus();
    for (const [item, dialog] of [['menu-startup', 'startup-dialog'], ['menu-fork', 'fork-dialog'], ['menu-terminate', 'terminate-dialog']]) {
      await keys.press('Enter');
      await window.find(item).focus();
      await keys.press('Enter');
      await window.find(dialog).waitFor();
      assert.ok(await page.evaluate(() => document.activeElement.closest('[role=dialog]') !== null), `${dialog} has the focus`);
      await keys.press('Escape');
      await window.find(dialog).waitFor({ state: 'detached' });
      await holds('session-menu', `${dialog} gives the focus back`);
    }
    await keys.press('Enter');
    await page.getByRole('menuitem', { name: 'Rename' }).focus();
    await keys.press('Enter');
    await window.find('session-title-input').waitFor();
    await holds('session-title-input', 'the title is written');
    await keys.press('Escape');
    await window.find('session-title').waitFor();
    window.expected.push(/status of 404/);
    window.errors = window.errors.filter((text) => !/status of 404/.test(text));
    await window.close();
  });
});
