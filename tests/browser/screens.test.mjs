/**
 * Every screen of a session's life and of an org as a person meets it, at both sizes and in both themes: nothing that keeps
 * somebody from using it, nothing wider than the window, and on a phone nothing to press that is smaller than a finger.
 * Leaves a picture of each in target/screens.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { looks, PHONE, startBrowser } from '../lib/browser.mjs';
import { serveClient } from '../lib/stand-in.mjs';
import { openScreen } from './played.mjs';
import { ORG_SCREENS } from './screens-of-org.mjs';
import { WORK_SCREENS } from './screens-of-work.mjs';

const WIDE = { name: 'wide', viewport: { width: 1440, height: 900 } };
/** The least size of what a finger presses. */
const FINGER = 44;
const SCREENS = { ...WORK_SCREENS, ...ORG_SCREENS };

// Each has a window of its own: while one loads, another is looked at.
describe('every screen', { concurrency: 3 }, () => {
  let client;
  let browser;

  before(async () => {
    [client, browser] = await Promise.all([serveClient(), startBrowser()]);
  });
  after(async () => {
    await browser?.close();
    await client?.stop();
  });

  for (const [name, screen] of Object.entries(SCREENS)) {
    for (const look of looks(WIDE)) {
      const [device, scheme] = look;
      test(`${name} can be used by everybody (${device.name}, ${scheme})`, async () => {
        const { window, page } = await openScreen(browser, client, screen, look);
        await window.screenshot(`${name}-${scheme}`);
        await window.assertAccessible(name);
        await window.assertFits(name);
        assert.deepEqual(await covered(page), [], `covered by something else on ${name}`);
        if (device === PHONE) assert.deepEqual(await tooSmall(page), [], `smaller than a finger on ${name}`);
        await window.close();
      });
    }
  }
});

/** What can be pressed and has something else to press lying on it, as far as it is not scrolled out of sight. */
function covered(page) {
  return page.evaluate(() => {
    const presses = 'button, a[href], input, select, textarea, summary, [role=menuitem], [role=menuitemcheckbox]';
    const name = (node) => node.dataset.testid ?? node.getAttribute('aria-label') ?? node.textContent.slice(0, 30);
    const within = (box, x, y) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
    const inSight = (node, x, y) => {
      for (let above = node.parentElement; above; above = above.parentElement) {
        if (getComputedStyle(above).overflow !== 'visible' && !within(above.getBoundingClientRect(), x, y)) return false;
      }
      return true;
    };
    // A menu lies on the page, for as long as it is open.
    const menu = document.querySelector('[role=menu]') ?? document;
    const shown = [...menu.querySelectorAll(presses)].filter((node) => node.checkVisibility({ visibilityProperty: true }) && !node.closest('[aria-hidden=true], .sr-only'));
    return shown.flatMap((node) => {
      const { left, right, top, height } = node.getBoundingClientRect();
      const points = [left + 8, (left + right) / 2, right - 8].map((x) => [x, top + height / 2]).filter(([x, y]) => inSight(node, x, y));
      const over = points.map(([x, y]) => document.elementFromPoint(x, y)?.closest(presses)).find((hit) => hit && !node.contains(hit) && !hit.contains(node));
      return over ? [`${name(node)}: ${name(over)}`] : [];
    });
  });
}

/**
 * What can be pressed and is smaller than a finger: a finger on its middle would reach something else. Links within a
 * sentence are as high as their line.
 */
function tooSmall(page) {
  return page.evaluate((least) => {
    const presses = 'button, a[href], input, select, textarea, summary, [role=menuitem], [role=menuitemcheckbox]';
    const shown = [...document.querySelectorAll(presses)].filter((node) => {
      if (!node.checkVisibility({ visibilityProperty: true }) || node.closest('[aria-hidden=true], .sr-only')) return false;
      return node.tagName !== 'A' || getComputedStyle(node).display !== 'inline';
    });
    return shown.flatMap((node) => {
      const { left, top, width, height } = node.getBoundingClientRect();
      if (width >= least && height >= least) return [];
      const [x, y] = [left + width / 2, top + height / 2];
      const reach = least / 2 - 1;
      // What is pressed may reach beyond what is seen; nothing else is beyond the edge of the screen.
      const around = [[x - reach, y], [x + reach, y], [x, y - reach], [x, y + reach]].map(([at, down]) => document.elementFromPoint(at, down));
      // A box to tick is pressed by its label as well.
      const whole = node.closest('label') ?? node;
      if (around.every((hit) => hit === null || whole.contains(hit))) return [];
      return [`${node.dataset.testid ?? node.getAttribute('aria-label') ?? node.textContent.slice(0, 30)}: ${Math.round(width)} × ${Math.round(height)}`];
    });
  }, FINGER);
}