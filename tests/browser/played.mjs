/** Pages in front of a played server: how one is opened, and the sessions that several tests look at. */
import { DESKTOP, openWindow } from '../lib/browser.mjs';
import { greeting, longLog, StandIn, summary } from '../lib/stand-in.mjs';

/** The time so many seconds from now. */
export const second = (n) => new Date(Date.now() + n * 1000).toISOString();

/** A window on a session whose socket says what `onSocket` lets it say. `path`: another page than the session's. */
export async function openPlayed(browser, client, { device = DESKTOP, scheme, session, path, answers = {}, onSocket = () => {} }) {
  const window = await openWindow(browser, device, scheme);
  const played = new StandIn();
  const nothingSpent = { session: { calls: 0, estimated: 0, sandboxSeconds: 0, cost: 0, tokens: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, reasoning: 0 } }, turns: [] };
  Object.assign(played.answers, { [`/api/sessions/${session.id}`]: session, [`/api/sessions/${session.id}/usage`]: nothingSpent }, answers);
  await played.install(window.page, onSocket);
  await window.page.goto(`${client.origin}${path ?? `/sessions/${session.id}`}`);
  if (path === undefined) await window.find('session').waitFor();
  return { window, page: window.page, played };
}

/** Opens one of the screens (`screens-of-*.mjs`) and goes to where it is to be looked at. */
export async function openScreen(browser, client, { session, go, stays = true, onSocket = greetResting(session), ...rest }, [device, scheme]) {
  // A socket that is to stay away is answered once only.
  let greeted = false;
  const opened = await openPlayed(browser, client, {
    device, scheme, session, ...rest,
    onSocket: (socket) => {
      if (greeted && !stays) return socket.close(1011);
      greeted = true;
      return onSocket(socket);
    },
  });
  opened.window.expected.push(/status of (404|403)/);
  const find = (testId, more) => opened.window.find(testId, more).filter({ visible: true });
  await go({ ...opened, find });
  await settled(opened.page);
  return opened;
}

/** The transcript is at its end, where a page opens; what is measured late may still move it. */
async function settled(page) {
  await page.waitForFunction(() => {
    const frame = document.querySelector('[data-testid=transcript]');
    return !frame || frame.scrollHeight - frame.scrollTop - frame.clientHeight < 2;
  });
}

/** Greets on a session in which nothing runs; `change` goes into the greeting. */
export const greetResting = (session, change) => (socket) => {
  socket.say(greeting(session, { headSeq: 40, ...change }), { type: 'events', events: longLog(1, 40) });
};

/** A prompt that waits. */
export function waits(name, text, more) {
  return { id: `prm_${name}`, text, author: summary().owner, state: 'queued', createdAt: second(-5), ...more };
}

/** Greets on a session in which a turn runs and `queue` waits; `more` goes into the greeting. */
export function greetBusy(socket, session, queue, more) {
  const events = longLog(1, 28);
  const turn = { id: events[21].turnId, promptId: events[20].prompt.id, startedAt: second(-20), aborting: false };
  socket.say(greeting(session, { headSeq: 28, queue, turn, ...more }), { type: 'events', events });
}

/** The events of a start that goes on. */
export function startEvents() {
  const prompt = waits('00000000000000000000000001', 'Fix the failing test', { createdAt: second(-9) });
  const step = (name) => ({ type: 'sandbox.step', generation: 2, step: name, attempt: 2 });
  return [{ type: 'prompt.queued', prompt }, step('requested'), step('booting'), step('cloning')].map((body, at) => ({
    seq: at + 1, at: second(-9 + at * 2), ...body,
  }));
}

/** What `GET …/startup` answers while that start goes on, after one that failed. */
export function startup() {
  const mark = (point, at) => ({ point, at: second(at) });
  const failed = { code: 'start_timeout', message: 'The sandbox did not come up within 120 s.' };
  return {
    starts: [
      {
        generation: 2, attempt: 2, resumed: false, outcome: 'going',
        marks: [mark('queued', -9), mark('admitted', -9), mark('requested', -9), mark('booting', -8), mark('cloning', -6)],
      },
      {
        generation: 1, attempt: 1, resumed: false, outcome: 'failed', cause: failed, endedAt: second(-12),
        marks: [mark('queued', -140), mark('admitted', -140), mark('requested', -139), mark('booting', -132)],
      },
    ],
    verdicts: [
      { at: second(-12), watchdog: 'start', cause: failed, action: 'Try 2 of 3 begins in a moment.' },
      { at: second(-600), watchdog: 'idle', cause: { code: 'idle', message: 'Nothing was asked of the sandbox for a while.' }, action: 'It is paused; the next prompt wakes it.' },
      { at: second(-900), watchdog: 'accept', cause: { code: 'prompt_not_taken', message: 'The runner did not take the prompt in time.' }, action: 'It was handed over again.' },
      { at: second(-950), watchdog: 'reconnect', cause: { code: 'runner_lost', message: 'The connection to the sandbox was lost.' }, action: 'Its provider was asked.' },
    ],
    waiting: {
      since: second(-9), reason: 'The repository is being fetched.', doing: 'Try 2 of 3; should it take too long, the start is tried again.',
      deadline: second(594), remedy: { type: 'terminate' },
    },
    typical: {
      samples: 23, readyP50: 4200, readyP95: 8100,
      spans: [
        { point: 'queued', p50: 0, p95: 10 }, { point: 'requested', p50: 400, p95: 1900 }, { point: 'booting', p50: 1000, p95: 3000 },
        { point: 'cloning', p50: 900, p95: 2500 }, { point: 'engine', p50: 1800, p95: 3900 }, { point: 'ready', p50: 900, p95: 3000 },
      ],
    },
  };
}
