/** What a person does around the main job: queue, answers, a lost connection, keys, themes. On one session. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';

import { openWindow, PHONE, startBrowser, DESKTOP } from '../lib/browser.mjs';
import { newId } from '../lib/ids.mjs';
import { startSystem } from '../lib/system.mjs';

describe('a session in a browser', () => {
  let system;
  let browser;
  let window;
  let page;
  let session;

  before(async () => {
    [system, browser] = await Promise.all([startSystem(), startBrowser()]);
    session = await (await system.signIn('ada')).create({ title: 'The work', repo: { url: system.sample }, prompt: '[[markdown]]' });
    await session.firstTurn();
    window = await openWindow(browser);
    page = window.page;
    await window.signIn(system.origin, 'ada');
    await window.find('session-row').filter({ hasText: 'The work' }).first().click();
    await window.find('turn-footer').waitFor();
  });
  afterEach(async () => {
    // What a failed test left running must not make the next ones fail.
    if (session.viewer.session.activity !== 'idle') await session.abort();
    await session.viewer.untilSession((now) => now.activity === 'idle');
  });
  after(async () => {
    await window?.close();
    await browser?.close();
    await system?.stop();
  });

  test('Markdown shows as headings, tables, code and lists', async () => {
    const transcript = window.find('transcript');
    await transcript.getByRole('heading', { name: 'Result' }).waitFor();
    assert.equal(await transcript.getByRole('table').count(), 1);
    assert.equal(await transcript.getByRole('listitem').filter({ hasText: 'one' }).count(), 1);
    await transcript.locator('pre').filter({ hasText: 'export const total' }).waitFor();
    await transcript.getByRole('link', { name: 'link' }).waitFor();
  });

  test('prompts written while a turn runs wait in the queue, and can be changed and taken back', async () => {
    const gate = newId('gate');
    await window.prompt(`[[gate:{"name":"${gate}"}]]`);
    await window.find('abort').waitFor();
    await window.prompt('[[text:{"words":4}]] the second');
    await window.prompt('never mind');
    const queued = window.find('queued-prompt');
    await queued.nth(1).waitFor();
    await page.getByRole('button', { name: 'Withdraw: never mind' }).click();
    await queued.filter({ hasText: 'never mind' }).waitFor({ state: 'detached' });
    await window.screenshot('queue');
    await page.getByRole('button', { name: /^Edit: / }).first().click();
    await window.find('composer').fill('[[text:{"words":4}]] the second, changed');
    await page.keyboard.press('Enter');
    await queued.filter({ hasText: 'changed' }).waitFor();
    await system.openGate(gate);
    await window.turnEnded('done', 'the second, changed');
    assert.equal(await window.find('prompt-text').filter({ hasText: 'never mind' }).count(), 0);
  });

  test('a permission is answered on its card', async () => {
    await window.prompt('[[write:{"path":"../outside.txt","content":"x"}]]');
    await window.find('permission-card').waitFor();
    await window.assertAccessible('a permission');
    await window.screenshot('permission');
    await window.find('permission-message').fill('Stay inside, please.');
    await window.find('permission-reject').click();
    await window.find('settled').last().waitFor();
    await window.turnEnded('done');
  });

  test('a question is answered on its card, by key', async () => {
    await window.prompt('[[question]]');
    await window.find('question-option').first().waitFor();
    await window.assertAccessible('a question');
    await window.screenshot('question');
    await page.keyboard.press('2');
    await window.find('settled').last().waitFor();
    await page.getByText('Thanks for the answer.').waitFor();
    const answered = await session.viewer.event((event) => event.type === 'interaction.resolved' && event.answer?.type === 'question', 'the answer');
    assert.deepEqual(answered.answer.answers, [['Blue']]);
    await window.turnEnded('done');
  });

  test('commands, sub-agents, lists and failures each show in their own way', async () => {
    await window.prompt('[[bash:{"cmd":"printf \\"\\\\033[32mgreen\\\\033[0m\\\\n\\"; seq 1 40; exit 3"}]]');
    await window.turnEnded('done');
    const bash = window.find('tool', { tool: 'bash' }).last();
    await bash.getByText('40').last().waitFor();
    await window.prompt('[[subagent]]');
    await window.turnEnded('done');
    await window.find('tool', { tool: 'task' }).waitFor();
    await window.prompt('[[401]]');
    await window.turnEnded('failed');
    await window.screenshot('tools');
  });

  test('a lost connection is said, and afterwards nothing is missing', async () => {
    window.expected.push(/ERR_INTERNET_DISCONNECTED/);
    const gate = newId('gate');
    await window.prompt(`[[gate:{"name":"${gate}"}]]`);
    await window.find('text-part').filter({ hasText: /^before/ }).last().waitFor();
    await window.context.setOffline(true);
    await window.find('session-connection', { state: 'offline' }).waitFor();
    await window.screenshot('offline');
    await window.find('composer').fill('[[text:{"words":3}]] written offline');
    await page.keyboard.press('Enter');
    await system.openGate(gate);
    await session.viewer.until(({ session: now }) => now.activity === 'idle', 'the end of the turn');
    await window.context.setOffline(false);
    await window.find('session-connection', { state: 'live' }).waitFor();
    await window.find('text-part').filter({ hasText: /before\s+after/ }).last().waitFor();
    await session.viewer.event((event) => event.type === 'prompt.queued' && event.prompt.text.includes('written offline'), 'the prompt');
    await window.turnEnded('done', 'written offline');
  });

  test('a draft survives a reload', async () => {
    await window.find('composer').fill('half a thought');
    await page.reload();
    await window.find('composer').waitFor();
    assert.equal(await window.find('composer').inputValue(), 'half a thought');
    await window.find('composer').fill('');
  });

  test('the palette finds sessions and actions', async () => {
    await page.keyboard.press('Control+k');
    await window.find('palette').waitFor();
    await window.assertAccessible('the palette');
    await window.screenshot('palette');
    await page.keyboard.type('all sessions');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${system.origin}/`);
    await page.keyboard.press('Control+k');
    await page.keyboard.type('The work');
    await page.keyboard.press('Enter');
    await page.waitForURL(`**/sessions/${session.id}`);
    await window.find('turn-footer').last().waitFor();
  });

  test('another person sees nothing of it', async () => {
    const stranger = await openWindow(browser);
    await stranger.signIn(system.origin, 'eve');
    await stranger.page.goto(`${system.origin}/sessions/${session.id}`);
    await stranger.find('not-found').waitFor();
    stranger.expected.push(/404/);
    stranger.errors = stranger.errors.filter((text) => !/404|WebSocket/.test(text));
    await stranger.close();
  });

  test('everything works by keyboard alone', async () => {
    const typing = await openWindow(browser);
    const keys = typing.page.keyboard;
    await typing.page.goto(system.origin);
    await typing.find('sign-in-login').waitFor();
    await keys.type('keyboard');
    await keys.press('Enter');
    await typing.find('new-session').waitFor();
    await keys.press('c');
    await typing.find('new-session-dialog').waitFor();
    await keys.press('Control+a');
    await keys.type('[[slow:{"words":300,"ms":40}]]');
    await keys.press('Control+Enter');
    await typing.find('text-part').filter({ hasText: 'the cart holds' }).waitFor();
    await keys.press('Escape');
    await keys.press('Escape');
    await typing.turnEnded('aborted');
    await typing.find('composer').focus();
    await keys.type('[[text:{"words":3}]]');
    await keys.press('Enter');
    await typing.page.getByText('the cart holds.').waitFor();
    await typing.turnEnded('done');
    await typing.close();
  });

  for (const [device, scheme] of [[DESKTOP, 'light'], [DESKTOP, 'dark'], [PHONE, 'light'], [PHONE, 'dark']]) {
    test(`every page is accessible and fits (${device.name}, ${scheme})`, async () => {
      const looking = await openWindow(browser, device, scheme);
      await looking.page.goto(system.origin);
      await looking.find('sign-in-login').waitFor();
      for (const [name, go] of [
        ['sign-in', async () => {}],
        ['list', async () => {
          await looking.signIn(system.origin, 'ada');
          await looking.find('session-row').filter({ visible: true }).first().waitFor();
        }],
        ['dialog', () => looking.newSession()],
        ['session', async () => {
          await looking.page.keyboard.press('Escape');
          await looking.page.goto(`${system.origin}/sessions/${session.id}`);
          await looking.find('prompt-text').filter({ hasText: 'written offline' }).waitFor();
          await looking.assertAtEnd();
        }],
      ]) {
        await go();
        await looking.assertAccessible(`${name}, ${device.name}, ${scheme}`);
        await looking.assertFits(name);
        await looking.screenshot(`${name}-${scheme}`);
      }
      await looking.close();
    });
  }
});
