/** What the page does with what a real system does not do on demand: a very long log, being cut off, a start that hangs. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { looks, PHONE, startBrowser } from '../lib/browser.mjs';
import { until } from '../lib/programs.mjs';
import { greeting, longLog, serveClient, summary, TURN_EVENTS } from '../lib/stand-in.mjs';
import { greetBusy, openPlayed, second, startEvents, startup, waits } from './played.mjs';

const LONG = 100_000;
const PAGE = 100;

describe('a page in front of a played server', () => {
  let client;
  let browser;

  before(async () => {
    [client, browser] = await Promise.all([serveClient(), startBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await client?.stop();
  });

  const open = (options) => openPlayed(browser, client, options);

  function longSession() {
    const session = summary({ headSeq: LONG });
    const page = (url) => {
      const before = Number(url.searchParams.get('before'));
      const limit = Number(url.searchParams.get('limit'));
      assert.ok(limit <= PAGE, 'pages are small');
      return { events: longLog(Math.max(1, before - limit), before - 1), headSeq: LONG };
    };
    return { session, answers: { [`/api/sessions/${session.id}/events`]: page } };
  }

  /** Greets as the server does: with the newest page when there is more than one behind the viewer. */
  function greet(session, socket) {
    const firstSeq = Math.max(session.headSeq - PAGE + 1, (socket.after ?? 0) + 1);
    socket.say(greeting(session, { headSeq: session.headSeq, firstSeq }));
    if (firstSeq <= session.headSeq) socket.say({ type: 'events', events: longLog(firstSeq, session.headSeq) });
  }

  test('a log of 100,000 events opens with one page, and older ones come on scrolling', async () => {
    const { session, answers } = longSession();
    const { window, page, played } = await open({ session, answers, onSocket: (socket) => greet(session, socket) });
    await page.getByText(`Shard ${LONG / TURN_EVENTS - 1} passes.`).waitFor();
    await window.assertAtEnd();
    assert.ok(played.calls.filter((call) => call.includes('/events?')).length <= 1, 'one page more at most, for the screen');
    const rows = await page.locator('[data-index]').count();
    assert.ok(rows < 80, `${rows} rows are in the page`);

    const pages = () => played.calls.filter((call) => call.includes('/events?')).length;
    const box = await window.find('transcript').boundingBox();
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    for (let wanted = pages() + 1; wanted < 8; wanted += 1) {
      await until(async () => {
        await page.mouse.wheel(0, -1500);
        return pages() >= wanted;
      }, `page ${wanted}`);
    }
    const asked = played.calls.filter((call) => call.includes('/events?')).map((call) => Number(/before=(\d+)/.exec(call)[1]));
    assert.deepEqual(asked, asked.map((_, at) => LONG - PAGE + 1 - at * PAGE), 'each page once, one after the other');
    await window.close();
  });

  test('a log that grows by tens of thousands of events before one’s eyes does not pile up in the page', async () => {
    const { session, answers } = longSession();
    const start = { ...session, headSeq: 1000 };
    const { window, page, played } = await open({ session: start, answers, onSocket: (socket) => greet(start, socket) });
    await page.getByText('Shard 99 passes.').waitFor();
    const [socket] = played.sockets;
    for (let from = 1001; from < 31_000; from += 500) {
      socket.say({ type: 'events', events: longLog(from, from + 499) });
    }
    socket.say({ type: 'check', sent: 123_456 });
    await page.getByText('Shard 3099 passes.').waitFor();
    await until(() => socket.said.includes('seen 123456'), 'the answer to the check');
    await window.assertAtEnd();
    const shown = Number(await window.find('transcript').getAttribute('data-rows'));
    assert.ok(shown < 2500, `${shown} rows are kept of 31,000 events`);
    await window.close();
  });

  test('a page that was cut off goes on where it was, with nothing lost and nothing twice', async () => {
    const session = summary({ headSeq: 40 });
    let head = 40;
    const { window, page, played } = await open({
      session,
      onSocket: (socket) => {
        const from = (socket.after ?? 0) + 1;
        socket.say(greeting({ ...session, headSeq: head }, { headSeq: head, firstSeq: from }));
        if (from <= head) socket.say({ type: 'events', events: longLog(from, head) });
      },
    });
    await page.getByText('Shard 3 passes.').waitFor();
    head = 60;
    played.sockets[0].close(4429);
    await page.getByText('Shard 5 passes.').waitFor();
    assert.deepEqual(played.sockets.map((socket) => socket.after), [null, 40]);
    for (const shard of [3, 4, 5]) assert.equal(await page.getByText(`Shard ${shard} passes.`).count(), 1);
    await window.close();
  });

  for (const [device, scheme] of looks()) {
    test(`why it waits: where the time goes, what is usual, what is done, what one can do (${device.name}, ${scheme})`, async () => {
      const session = summary({ phase: 'starting', activity: 'starting', headSeq: 4 });
      const answers = { [`/api/sessions/${session.id}/startup`]: startup() };
      const { window, page, played } = await open({
        device, scheme, session, answers,
        onSocket: (socket) => {
          socket.say(greeting(session, { headSeq: 4, firstSeq: 1, queue: [startEvents()[0].prompt] }));
          socket.say({ type: 'events', events: startEvents() });
        },
      });
      const card = window.find('startup');
      await card.getByText('The repository is being fetched.').waitFor();
      await card.getByText('slow today').waitFor();
      assert.match(await window.find('bar', { point: 'booting' }).innerText(), /Sandbox boots\s+2\.0\ss\s+usually 1\.0\ss, 95 % ≤ 3\.0\ss/);
      assert.equal(await window.find('bar', { point: 'cloning' }).getAttribute('data-state'), 'now');
      assert.equal(await window.find('bar', { point: 'engine' }).getAttribute('data-state'), 'todo');
      const left = await window.find('patience').innerText();
      await page.waitForFunction((before) => document.querySelector('[data-testid=patience]').textContent !== before, left);
      await window.assertAccessible(`the card, ${device.name}, ${scheme}`);
      await window.assertFits('the card');
      await window.screenshot(`startup-card-${scheme}`);

      await window.find('startup-details').click();
      const dialog = window.find('startup-dialog');
      await dialog.getByText('Of this repository’s last 23 starts').waitFor();
      await dialog.getByText('Try 2 of 3 begins in a moment.').waitFor();
      await dialog.getByText('1 earlier one', { exact: true }).waitFor();
      await window.find('earlier-start').first().click();
      await window.assertAccessible(`the dialog, ${device.name}, ${scheme}`);
      await window.screenshot(`startup-dialog-${scheme}`);
      await dialog.getByTestId('remedy').click();
      await window.find('terminate-dialog').waitFor();
      await window.find('terminate-confirm').click();
      await until(() => played.sockets[0].said.some((text) => text.includes('"terminate"')), 'the command');
      await window.close();
    });
  }

  for (const [device, scheme] of looks()) {
    test(`a busy session: its queue, its menus, what they say (${device.name}, ${scheme})`, async () => {
      const session = summary({ activity: 'tool', headSeq: 28, queue: 3, forkedFrom: { sessionId: 'ses_00000000000000000000000002', turnId: 'trn_x' } });
      const queue = [
        waits('wait1', 'Use the existing helper for rounding, do not write another one', { mode: 'steer' }),
        waits('wait2', 'Then add a test for the empty cart'),
        waits('wait3', 'لخّص التغييرات باللغة العربية، ثم 请用中文写一遍，尽量详细一些，不要遗漏任何文件'),
      ];
      const { window, page, played } = await open({
        device, scheme, session,
        answers: { '/api/sessions/ses_00000000000000000000000002': summary({ title: 'The original piece of work' }) },
        onSocket: (socket) => greetBusy(socket, session, queue),
      });
      await window.find('forked-from').getByText('The original piece of work').waitFor();
      await window.find('steer-label').waitFor();
      assert.equal(await window.find('steer-label').count(), 1);
      await window.find('composer').fill('Also mind the currency');
      await window.find('steer').waitFor();
      await window.assertAccessible(`busy, ${device.name}, ${scheme}`);
      await window.assertFits('busy');
      await window.screenshot(`busy-${scheme}`);
      await window.find('queue-menu').nth(1).click();
      await window.find('promote').getByText('What it has done stays').waitFor();
      await window.assertAccessible(`queue menu, ${device.name}, ${scheme}`);
      await window.screenshot(`queue-menu-${scheme}`);
      await page.keyboard.press('Escape');
      await window.find('session-menu').click();
      await window.find('menu-pause').getByText('A turn runs: stop it or let it finish first.').waitFor();
      assert.equal(await window.find('menu-pause').getAttribute('aria-disabled'), 'true');
      await window.assertAccessible(`session menu, ${device.name}, ${scheme}`);
      await window.screenshot(`session-menu-${scheme}`);
      await page.keyboard.press('Escape');

      // The page moves it at once; the server refuses; it goes back and says why.
      await window.find('queue-menu').nth(2).click();
      await window.find('move-first').click();
      const texts = () => window.find('queued-prompt').evaluateAll((rows) => rows.map((row) => row.dataset.promptId));
      assert.deepEqual(await texts(), ['prm_wait3', 'prm_wait1', 'prm_wait2']);
      const command = JSON.parse(played.sockets[0].said.at(-1));
      assert.deepEqual([command.type, command.to], ['move_prompt', 'first']);
      played.sockets[0].say({ type: 'reject', id: command.id, code: 'conflict', message: 'This prompt is being handed to the agent.' });
      await window.find('refused').getByText('This prompt is being handed to the agent.').waitFor();
      assert.deepEqual(await texts(), ['prm_wait1', 'prm_wait2', 'prm_wait3']);
      await window.screenshot(`refused-${scheme}`);

      // The agent takes it in: it stands in the turn from now on.
      played.sockets[0].say({ type: 'event', event: { seq: 29, at: second(0), type: 'prompt.steered', promptId: 'prm_wait1', turnId: longLog(22, 22)[0].turnId } });
      await window.find('steered-prompt').getByText('told to the agent while it worked').waitFor();
      assert.deepEqual(await texts(), ['prm_wait2', 'prm_wait3']);
      await page.waitForFunction(() => {
        const [working, frame] = ['working', 'transcript'].map((name) => document.querySelector(`[data-testid=${name}]`)?.getBoundingClientRect());
        return working && working.bottom <= frame.bottom;
      });
      await window.screenshot(`steered-${scheme}`);
      await window.find('turn-menu').last().click();
      await window.find('fork').click();
      await window.find('fork-dialog').waitFor();
      await window.assertAccessible(`fork dialog, ${device.name}, ${scheme}`);
      await window.screenshot(`fork-dialog-${scheme}`);
      await window.close();
    });
  }

  test('a waiting prompt is dragged by finger', async () => {
    const session = summary({ activity: 'tool', headSeq: 28, queue: 3 });
    const queue = ['a', 'b', 'c'].map((name) => waits(name, name));
    const { window, page, played } = await open({
      device: PHONE, session,
      onSocket: (socket) => greetBusy(socket, session, queue),
    });
    await window.find('queued-prompt').nth(2).waitFor();
    const [from, to] = [await window.find('queue-handle').nth(0).boundingBox(), await window.find('queue-handle').nth(2).boundingBox()];
    const finger = await page.context().newCDPSession(page);
    const touch = (type, y) => finger.send('Input.dispatchTouchEvent', { type, touchPoints: y === undefined ? [] : [{ x: from.x + 16, y }] });
    const [start, end] = [from, to].map((box) => box.y + box.height / 2);
    await touch('touchStart', start);
    for (let step = 1; step <= 8; step += 1) await touch('touchMove', start + ((end - start) * step) / 8);
    await touch('touchEnd');
    await until(() => played.sockets[0].said.length === 1, 'the command');
    const { type, promptId, to: place } = JSON.parse(played.sockets[0].said[0]);
    assert.deepEqual([type, promptId, place], ['move_prompt', 'prm_a', 'last']);
    await window.close();
  });

  test('the card asks again when the session has moved on, and not more often than once a second', async () => {
    const session = summary({ phase: 'starting', activity: 'starting', headSeq: 4 });
    const asked = [];
    const answers = {
      [`/api/sessions/${session.id}/startup`]: () => {
        asked.push(Date.now());
        return startup();
      },
    };
    const { window, played } = await open({
      session, answers,
      onSocket: (socket) => {
        socket.say(greeting(session, { headSeq: 4, firstSeq: 1 }));
        socket.say({ type: 'events', events: startEvents() });
      },
    });
    await window.find('startup').getByText('slow today').waitFor();
    const before = asked.length;
    for (let seq = 5; seq < 25; seq += 1) {
      const trouble = { type: 'sandbox.trouble', generation: 2, cause: { code: 'x', message: `Trouble ${seq}` } };
      played.sockets[0].say({ type: 'event', event: { seq, at: second(0), ...trouble } });
    }
    await until(() => asked.length > before, 'the next question');
    const gaps = asked.slice(1).map((at, index) => at - asked[index]);
    assert.ok(asked.length - before <= 2, `${asked.length - before} questions for twenty events`);
    assert.ok(gaps.every((gap) => gap > 0), 'one at a time');
    await window.close();
  });
});
