/**
 * A person with one session, who follows the script through all disturbances: repeats every request with the same id
 * until it is answered, answers questions, retries a session in error, and remembers what was accepted.
 */
import { newId } from '../lib/ids.mjs';
import { json } from '../lib/user.mjs';
import { pause } from './installation.mjs';
import { script } from './script.mjs';
import { SteadyViewer } from './viewer.mjs';

const REQUEST_MS = 5000;
const AGAIN_MS = 250;
const REST_MS = 9000;

export class Person {
  /** Accepted prompts, in the order of their acceptance: `{id, name, tag, key, text, acceptedAt, withdrawn?}`. */
  accepted = [];
  problems = [];
  /** How often the session had to be told to try again. */
  retries = 0;
  #stopped = false;
  #answered = new Set();

  constructor({ url, seed, number, sample }) {
    Object.assign(this, { url, seed, number, sample });
    this.id = newId('ses');
    this.path = `/api/sessions/${this.id}`;
  }

  /** Signs in and makes the session. */
  async begin() {
    const { token } = await this.insist('/auth/dev', { method: 'POST', body: { login: `chaos-${this.number}` } });
    this.token = token;
    const body = { id: this.id, title: `Chaos ${this.number}`, repo: { url: this.sample } };
    await this.insist('/api/sessions', { method: 'POST', body });
    this.viewers = [new SteadyViewer(this), new SteadyViewer(this)];
    this.attending = this.#attend();
  }

  get viewer() {
    return this.viewers[0];
  }

  /** Follows the script until [`Person.stop`]; the act in progress is brought to its end. */
  async play() {
    for (const step of script(this.seed, this.number)) {
      if (this.#stopped) return;
      await this.#act(step);
      await pause(step.wait);
    }
  }

  /** No further acts. */
  stop() {
    this.#stopped = true;
  }

  /** The whole log, page by page. */
  async log() {
    const events = [];
    for (;;) {
      const page = await this.insist(`${this.path}/events?after=${events.at(-1)?.seq ?? 0}&limit=500`);
      events.push(...page.events);
      if (page.events.length === 0 || events.at(-1).seq >= page.headSeq) return events;
    }
  }

  async end() {
    this.over = true;
    for (const viewer of this.viewers) await viewer.close();
    await this.attending;
  }

  /** A request that is repeated until it gets an answer that is not the fault's. */
  async insist(path, options = {}) {
    for (;;) {
      const answer = await this.request(path, options);
      if (answer.ok) return answer.body;
      if (answer.status && answer.status < 500 && answer.status !== 429) {
        throw new Error(`${options.method ?? 'GET'} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
      }
      await pause(AGAIN_MS);
    }
  }

  /** One request: `{ok, status, body}`; without a status when no answer came. */
  async request(path, { method = 'GET', body } = {}) {
    try {
      const init = body === undefined ? { method, headers: {} } : json(method, body);
      if (this.token) init.headers.authorization = `Bearer ${this.token}`;
      const response = await fetch(this.url + path, { ...init, signal: AbortSignal.timeout(REQUEST_MS) });
      const text = await response.text();
      return { ok: response.ok, status: response.status, body: text ? JSON.parse(text) : null };
    } catch (error) {
      return { ok: false, error: error.message };
    }
  }

  async #act({ act, prompts }) {
    if (act === 'rest') return pause(REST_MS);
    // Refused while something runs, which is fine; the next prompt undoes either.
    if (act === 'pause' || act === 'archive') return this.request(`${this.path}/${act}`, { method: 'POST', body: {} });
    const asked = [];
    for (const prompt of prompts) {
      if (act === 'steer' && asked.length > 0) await this.#begun(asked[0]);
      asked.push(await this.ask(prompt, act === 'steer'));
    }
    const last = `${this.path}/prompts/${asked.at(-1).id}`;
    if (act === 'withdraw') await this.#mayBeLate(last, { method: 'DELETE' });
    if (act === 'promote') await this.#mayBeLate(last, { method: 'PATCH', body: { promote: true } });
    if (act === 'move') await this.#mayBeLate(last, { method: 'PATCH', body: { to: 'first' } });
    if (act === 'abort') await this.#abort(asked[0]);
    for (const prompt of asked) await this.ended(prompt);
  }

  async ask(prompt, mixed = false) {
    const id = newId('prm');
    const mode = mixed && this.viewer.session?.activity !== 'idle' ? { mode: 'steer' } : {};
    const asked = { ...prompt, id, mixed };
    await this.insist(`${this.path}/prompts`, { method: 'POST', body: { id, text: prompt.text, ...mode } });
    this.accepted.push(Object.assign(asked, { acceptedAt: Date.now() }));
    return asked;
  }

  /** A change of a waiting prompt, until there is an answer; that it does not wait any more is one. */
  async #mayBeLate(path, options) {
    for (;;) {
      const { status } = await this.request(path, options);
      if (status && status < 500) return;
      await pause(AGAIN_MS);
    }
  }

  async #abort(prompt) {
    const { turnId } = await this.#begun(prompt);
    await this.insist(`${this.path}/abort`, { method: 'POST', body: { turnId } });
  }

  #find(prompt, type) {
    return this.viewer.events.find((event) => event.type === type && event.promptId === prompt.id);
  }

  #begun(prompt) {
    return this.viewer.until(() => this.#find(prompt, 'turn.started') ?? this.#find(prompt, 'turn.finished'));
  }

  /** The prompt's end: of its turn, or of the turn that took it in, or by being withdrawn. */
  ended(prompt) {
    return this.viewer.until(() => {
      const steered = this.#find(prompt, 'prompt.steered');
      const { events } = this.viewer;
      if (steered) return events.find(({ type, turnId }) => type === 'turn.finished' && turnId === steered.turnId);
      return this.#find(prompt, 'turn.finished') ?? this.#find(prompt, 'prompt.withdrawn');
    });
  }

  /** What a person does on the side: answers what is asked (twice at once), and retries what failed. */
  async #attend() {
    while (!this.over) {
      const open = this.#open();
      if (open) await this.#answer(open);
      else if (this.viewer.session?.phase === 'error') await this.#retry();
      else await pause(100);
    }
  }

  #open() {
    const settled = new Set(this.viewer.events.filter((event) => event.type === 'interaction.resolved').map((event) => event.interactionId));
    const asks = this.viewer.events.filter((event) => event.type === 'interaction.opened').map((event) => event.interaction);
    return asks.find((ask) => !settled.has(ask.id) && !this.#answered.has(ask.id));
  }

  async #answer({ id }) {
    const body = { answer: { type: 'question', answers: [['Blue']] } };
    const once = () => this.request(`${this.path}/interactions/${id}`, { method: 'POST', body });
    const answers = await Promise.all([once(), once()]);
    if (answers.filter((answer) => answer.ok).length > 1) this.problems.push({ kind: 'duplicated', what: `${id} was answered twice` });
    if (answers.some((answer) => answer.status && answer.status < 500)) this.#answered.add(id);
    else await pause(AGAIN_MS);
  }

  async #retry() {
    this.retries += 1;
    await this.request(`${this.path}/retry`, { method: 'POST', body: {} });
    await pause(1000);
  }
}
