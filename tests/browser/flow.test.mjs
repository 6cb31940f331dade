/** The main job in a browser, at desktop and phone size: sign in, start, watch, reload, go on, stop. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { DESKTOP, openWindow, PHONE, startBrowser } from '../lib/browser.mjs';
import { startSystem } from '../lib/system.mjs';

/** A sandbox and its engine may take long on a machine that does other things too. */
const START_PATIENCE = 90_000;

describe('in a browser', () => {
  let system;
  let browser;

  before(async () => {
    [system, browser] = await Promise.all([startSystem(), startBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await system?.stop();
  });

  for (const device of [DESKTOP, PHONE]) {
    test(`the sample is fixed before one's eyes, survives a reload, and goes on (${device.name})`, async () => {
      const window = await openWindow(browser, device);
      const { page } = window;
      page.setDefaultTimeout(START_PATIENCE);
      await page.addInitScript(noteStreaming);
      await page.goto(system.origin);
      await window.find('sign-in-login').waitFor();
      await window.assertFits('sign-in');
      await window.signIn(system.origin, `${device.name}-person`);

      await window.newSession();
      assert.equal(await window.find('new-session-repo').inputValue(), system.sample, 'the sample is offered');
      assert.match(await window.find('new-session-prompt').inputValue(), /test fails/);
      await window.find('new-session-submit').click();
      await window.find('session').waitFor();
      await window.find('startup').waitFor();

      // Text shows while the turn runs.
      await page.waitForFunction(() => window.streamed);
      await window.screenshot('streaming');
      await window.turnEnded('done');
      await page.getByText(/Fixed: all \d+ tests pass/).waitFor();
      await window.find('tool', { tool: 'edit' }).last().waitFor();
      await window.find('changed-file', { path: 'src/cart.mjs' }).waitFor();
      await window.assertFits('the session');
      await window.screenshot('fixed');

      const shown = await transcript(window);
      await page.reload();
      await window.find('turn-footer').waitFor();
      await page.getByText(/Fixed: all \d+ tests pass/).waitFor();
      assert.deepEqual(await transcript(window), shown, 'the reload shows the same');

      await window.find('composer').fill('Now add a test for an empty cart.');
      await page.keyboard.press('Enter');
      await page.getByText(/Added the test “an empty cart costs nothing”/).waitFor();
      await window.turnEnded('done');
      await window.screenshot('follow-up');

      await window.prompt('[[slow:{"words":400,"ms":40}]]');
      await window.find('text-part').filter({ hasText: 'the cart holds every line' }).waitFor();
      await window.find('abort').click();
      await window.turnEnded('aborted');
      await window.screenshot('aborted');
      await window.close();
    });
  }
});

/** In the page: whether the agent's text was ever there while its turn ran. Looking now and then may miss it. */
function noteStreaming() {
  const has = (name) => document.querySelector(`[data-testid="${name}"]`);
  const look = () => {
    if (has('text-part')?.textContent.includes('look around') && has('abort') && !has('turn-footer')) window.streamed = true;
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
}

/** What the transcript shows at its end, without times, which go on. */
async function transcript(window) {
  const text = await window.find('transcript').innerText();
  return text
    .split('\n')
    .map((line) => line.replace(/\d+([.,]\d+)? ?(ms|s|min|h)\b/g, '…').trim())
    .filter(Boolean)
    .slice(-12);
}
