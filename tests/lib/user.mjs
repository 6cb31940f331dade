/** A signed-in person with scripts: the REST API and sessions over it. */
import assert from 'node:assert/strict';

import { Viewer } from './viewer.mjs';

/** Somebody signed in at `url`, with the code that it asks for, if any. */
export async function signIn(url, login, code) {
  const response = await fetch(`${url}/auth/dev`, json('POST', { login, code }));
  assert.equal(response.status, 200, await response.clone().text());
  const { token, user } = await response.json();
  return new User(url, token, user);
}

/** `fetch` options for a JSON body. */
export function json(method, body) {
  return { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

export class User {
  constructor(url, token, person) {
    Object.assign(this, { url, token, person });
  }

  /** One request; resolves to the response. */
  fetch(path, { method = 'GET', body, headers } = {}) {
    return fetch(this.url + path, {
      ...(body === undefined ? { method } : json(method, body)),
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), authorization: `Bearer ${this.token}`, ...headers },
    });
  }

  /** One request that must succeed; resolves to its JSON. */
  async api(path, options) {
    const response = await this.fetch(path, options);
    const text = await response.text();
    assert.ok(response.ok, `${options?.method ?? 'GET'} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  /** One request that must fail with this status and code; resolves to the error. */
  async refused(path, options, status, code) {
    const response = await this.fetch(path, options);
    const text = await response.text();
    assert.equal(response.status, status, text);
    const { error } = JSON.parse(text);
    assert.equal(error.code, code, text);
    return error;
  }

  /** Looks at a session that was made otherwise. */
  async adopt(created) {
    const session = new Session(this, created);
    await session.viewer.open(0);
    return session;
  }

  /** Creates a session and looks at it. */
  async create(request = {}) {
    const session = new Session(this, await this.api('/api/sessions', { method: 'POST', body: request }));
    await session.viewer.open();
    return session;
  }
}

/** A session of a person, with one viewer that looks at it from its beginning. */
export class Session {
  constructor(user, created) {
    this.user = user;
    this.created = created;
    this.id = created.id;
    this.path = `/api/sessions/${this.id}`;
    this.viewer = this.newViewer();
  }

  /** Another viewer, not connected yet. */
  newViewer() {
    const { user } = this;
    return new Viewer((after) => ({
      url: `${user.url.replace('http', 'ws')}${this.path}/ws${after === undefined ? '' : `?after=${after}`}`,
      headers: { authorization: `Bearer ${user.token}` },
    }));
  }

  get = () => this.user.api(this.path);
  transcript = () => this.user.api(`${this.path}/transcript`);
  abort = (turnId) => this.user.api(`${this.path}/abort`, { method: 'POST', body: { turnId } });
  end = () => this.user.api(this.path, { method: 'DELETE' });

  /** Queues a prompt; resolves to it. */
  async prompt(text, more = {}) {
    const { prompt } = await this.user.api(`${this.path}/prompts`, { method: 'POST', body: { text, ...more } });
    return prompt;
  }

  /** Queues a prompt and waits for the end of its turn; resolves to the [`Turn`]. */
  async run(text, more) {
    const prompt = await this.prompt(text, more);
    const { turnId } = await this.viewer.finished({ promptId: prompt.id });
    return new Turn(this.viewer, turnId);
  }

  /** The turn of the session's first prompt, once it has ended. */
  async firstTurn() {
    const { turnId } = await this.viewer.event((event) => event.type === 'turn.finished', 'the end of the first turn');
    return new Turn(this.viewer, turnId);
  }

  /** Answers an interaction; resolves to the response. */
  answer(interactionId, answer) {
    return this.user.fetch(`${this.path}/interactions/${interactionId}`, { method: 'POST', body: { answer } });
  }

  /** The whole log, page by page. */
  async log() {
    const events = [];
    for (;;) {
      const page = await this.user.api(`${this.path}/events?after=${events.at(-1)?.seq ?? 0}&limit=500`);
      events.push(...page.events);
      if (page.events.length === 0 || events.at(-1).seq >= page.headSeq) return events;
    }
  }
}

/** A turn that has ended, as a viewer saw it. */
export class Turn {
  constructor(viewer, id) {
    this.id = id;
    this.events = viewer.events.filter((event) => event.turnId === id || event.interaction?.turnId === id);
    this.end = this.events.find((event) => event.type === 'turn.finished');
    this.parts = this.events.filter((event) => event.type === 'part.finished').map((event) => event.part);
    const ids = new Set(this.parts.map((part) => part.id));
    this.deltas = viewer.frames.filter((frame) => frame.type === 'delta' && ids.has(frame.partId));
  }

  tools(name) {
    return this.parts.filter((part) => part.type === 'tool' && (!name || part.tool === name));
  }

  /** The agent's prose. */
  get text() {
    return this.parts.filter((part) => part.type === 'text').map((part) => part.text).join('\n');
  }
}
