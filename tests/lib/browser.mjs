/** Chromium for the browser tests: pages that fail the test on errors in them, screenshots, accessibility checks. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

import { chromium } from 'playwright-core';

import { ROOT } from '../../scripts/lib/paths.mjs';
import { which } from '../../scripts/lib/process.mjs';
import { PATIENCE } from './programs.mjs';

const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SCREENS = path.join(ROOT, 'target', 'screens');

export const DESKTOP = { name: 'desktop', viewport: { width: 1280, height: 800 } };
export const PHONE = { name: 'phone', viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

/** Each size and each theme once; the other two pairs, which rarely tell more, with `ERRAND_ALL_LOOKS=1`. */
export const looks = (desktop = DESKTOP) => [[desktop, 'dark'], [PHONE, 'light'], ...(process.env.ERRAND_ALL_LOOKS ? [[desktop, 'light'], [PHONE, 'dark']] : [])];

/** Starts Chromium: `CHROME_PATH`, or Debian's. */
export async function startBrowser() {
  const executablePath = process.env.CHROME_PATH || which('chromium');
  assert.ok(executablePath, 'Chromium is needed: apt install chromium, or set CHROME_PATH');
  return chromium.launch({
    executablePath,
    // As root, and in containers, Chromium has no sandbox of its own; what it loads here is ours.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-first-run'],
  });
}

/** A new person's window: a context of its own with one page, on which any error fails the test at `close()`. */
export async function openWindow(browser, { name = 'desktop', ...device } = DESKTOP, colorScheme = 'light') {
  const context = await browser.newContext({ ...device, colorScheme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const window = new Window(context, page, name);
  page.on('pageerror', (error) => window.errors.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error' && !window.expected.some((known) => known.test(message.text()))) window.errors.push(message.text());
  });
  return window;
}

class Window {
  errors = [];
  /** Console errors that a test brings about. The browser itself reports a 401 of "who am I?". */
  expected = [/status of 401/];

  constructor(context, page, device) {
    Object.assign(this, { context, page, device });
  }

  /** By test id, with attributes: `find('tool', {tool: 'bash'})`. */
  find(testId, attributes = {}) {
    const more = Object.entries(attributes).map(([name, value]) => `[data-${name}="${value}"]`);
    return this.page.locator(`[data-testid="${testId}"]${more.join('')}`);
  }

  async signIn(origin, login) {
    await this.page.goto(origin);
    await this.find('sign-in-login').fill(login);
    await this.find('sign-in-submit').click();
    await this.find('sign-in-login').waitFor({ state: 'detached' });
  }

  /** Opens the dialog in the way that this device has. */
  async newSession() {
    await this.find(this.device === 'phone' ? 'bottom-new' : 'new-session').first().click();
    await this.find('new-session-dialog').waitFor();
  }

  /** Writes a prompt and sends it. */
  async prompt(text) {
    this.asked = text;
    await this.find('composer').fill(text);
    await this.find('send').click();
  }

  /** The end of the newest turn, which is that of the prompt with this text (the last sent one, when none is named). */
  async turnEnded(outcome, asked = this.asked ?? '') {
    const end = await this.page.waitForFunction((asked) => {
      const last = (name) => [...document.querySelectorAll(`[data-testid="${name}"]`)].at(-1);
      const [turn, footer] = [last('turn'), last('turn-footer')];
      if (!footer || last('abort')) return false;
      // The beginning of a long turn is not in the page: rows far out of sight are not rendered.
      if (asked === '') return footer.dataset.outcome;
      const follows = turn?.textContent.includes(asked) && turn.compareDocumentPosition(footer) & Node.DOCUMENT_POSITION_FOLLOWING;
      return follows ? footer.dataset.outcome : false;
    }, asked);
    assert.equal(await end.jsonValue(), outcome);
    this.asked = undefined;
  }

  /** `target/screens/<device>-<name>.png`. */
  async screenshot(name) {
    fs.mkdirSync(SCREENS, { recursive: true });
    await this.page.screenshot({ path: path.join(SCREENS, `${this.device}-${name}.png`), animations: 'disabled' });
  }

  /** No serious and no critical finding of axe on the page as it is. */
  async assertAccessible(what) {
    const { violations } = await this.page.evaluate(`${AXE}; axe.run(document, { resultTypes: ['violations'] })`);
    const bad = violations
      .filter((found) => ['serious', 'critical'].includes(found.impact))
      .map((found) => `${found.id}: ${found.nodes.map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`);
    assert.deepEqual(bad, [], `axe on ${what}`);
  }

  /** The end of the newest turn is in sight. */
  async assertAtEnd() {
    await this.page.waitForFunction(() => {
      const end = [...document.querySelectorAll('[data-testid="turn-footer"]')].at(-1)?.getBoundingClientRect();
      const frame = document.querySelector('[data-testid="transcript"]')?.getBoundingClientRect();
      return end && frame && end.top >= frame.top && end.bottom <= frame.bottom + 1;
    });
  }

  /** Nothing is wider than the window. */
  async assertFits(what) {
    const [content, window] = await this.page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    assert.ok(content <= window, `${what} is ${content} px wide in a window of ${window} px`);
  }

  async close() {
    await this.context.close();
    assert.deepEqual(this.errors, [], 'errors in the page');
  }
}
