/**
 * Stand-ins for GitHub and Google: their OAuth endpoints and profiles, in their own wire formats and with their ways of
 * failing. `people` are who signs in next; `say` replaces one answer.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';

import { startServer } from './harness.mjs';

export const CLIENT_ID = 'Iv1.client';
export const CLIENT_SECRET = 'client-secret-of-the-installation';

const json = (response, status, body, headers = {}) => {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', ...headers });
  response.end(JSON.stringify(body));
};

/** Both providers on one port. `codes` maps a code to `{person, challenge, redirect}`; each is good once. */
export async function startProviders() {
  const codes = new Map();
  const tokens = new Map();
  const overrides = new Map();
  const handle = (request, response, body) => {
    const url = new URL(request.url, 'http://provider');
    const override = overrides.get(url.pathname);
    if (override) return override(request, response, body);
    switch (url.pathname) {
      case '/login/oauth/access_token': return exchange(response, body, 200, 'bad_verification_code', 'incorrect_client_credentials');
      case '/token': return exchange(response, body, 400, 'invalid_grant', 'invalid_client');
      case '/user': return profile(request, response, (person) => json(response, 200, { id: person.id, login: person.login, name: person.name ?? null, email: null }));
      case '/user/emails': return profile(request, response, (person) => json(response, 200, person.emails ?? []));
      case '/v1/userinfo': return profile(request, response, (person) => json(response, 200, person.google));
      default: return json(response, 404, { message: 'Not Found' });
    }
  };
  const exchange = (response, body, status, badCode, badClient) => {
    const form = new URLSearchParams(body.toString());
    if (form.get('client_id') !== CLIENT_ID || form.get('client_secret') !== CLIENT_SECRET) return json(response, status === 200 ? 200 : 401, { error: badClient });
    const known = codes.get(form.get('code'));
    const challenge = crypto.createHash('sha256').update(form.get('code_verifier') ?? '').digest('base64url');
    if (!known || known.challenge !== challenge || known.redirect !== form.get('redirect_uri')) return json(response, status, { error: badCode, error_description: 'The code is incorrect or expired.' });
    codes.delete(form.get('code'));
    const token = `gho_${crypto.randomBytes(12).toString('hex')}`;
    tokens.set(token, known.person);
    return json(response, 200, { access_token: token, scope: 'repo,read:user,user:email', token_type: 'bearer' });
  };
  const profile = (request, response, answer) => {
    const person = tokens.get(request.headers.authorization?.replace(/^Bearer /, ''));
    if (!person || !request.headers['user-agent']) return json(response, 401, { message: 'Bad credentials' });
    return answer(person);
  };
  const server = await startServer(handle);
  return {
    ...server,
    tokens,
    vars: {
      GITHUB_CLIENT_ID: CLIENT_ID, GITHUB_CLIENT_SECRET: CLIENT_SECRET, GITHUB_URL: server.url, GITHUB_API_URL: server.url,
      GOOGLE_CLIENT_ID: CLIENT_ID, GOOGLE_CLIENT_SECRET: CLIENT_SECRET, GOOGLE_URL: server.url, GOOGLE_TOKEN_URL: server.url, GOOGLE_API_URL: server.url,
    },
    /** Answers `path` with `handler` until `restore()`. */
    say(path, handler) {
      overrides.set(path, handler);
      return () => overrides.delete(path);
    },
    /** What the person's browser does at the provider: agrees, and gets a code for the address it was sent to. */
    agree(location, person) {
      const query = new URL(location).searchParams;
      assert.equal(query.get('client_id'), CLIENT_ID);
      assert.equal(query.get('code_challenge_method'), 'S256');
      const code = crypto.randomBytes(10).toString('hex');
      codes.set(code, { person, challenge: query.get('code_challenge'), redirect: query.get('redirect_uri') });
      return { code, state: query.get('state'), scope: query.get('scope'), redirect: query.get('redirect_uri') };
    },
  };
}

/** A person at GitHub. */
let lastId = 1000;
export const githubber = (over = {}) => {
  lastId += 1;
  const login = over.login ?? `octo${lastId}`;
  return { id: lastId, login, name: `Octo ${lastId}`, emails: [{ email: `${login}@x.example`, primary: true, verified: true }], ...over };
};

/** A person at Google. */
export const googler = (over = {}) => {
  lastId += 1;
  return { google: { sub: `10${lastId}`, email: `g${lastId}@x.example`, email_verified: true, name: `G ${lastId}`, ...over } };
};

/** A browser: keeps cookies of one Worker. */
export class Browser {
  cookies = new Map();

  constructor(worker) {
    this.worker = worker;
  }

  async get(path, headers = {}) {
    const cookie = [...this.cookies].map((pair) => pair.join('=')).join('; ');
    const response = await this.worker.fetch(path, { headers: { ...(cookie && { cookie }), ...headers } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (/Max-Age=0/.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }

  /** Goes to the provider and agrees; resolves to the path of the callback. */
  async leave(providers, person, { provider = 'github', query = '' } = {}) {
    const sent = await this.get(`/auth/${provider}${query}`);
    assert.equal(sent.status, 303, await sent.clone().text());
    const { code, state } = providers.agree(sent.headers.get('location'), person);
    return `/auth/${provider}/callback?code=${code}&state=${state}`;
  }

  /** All the way in; resolves to the callback's answer. */
  async signIn(providers, person, options) {
    return this.get(await this.leave(providers, person, options));
  }

  /** Calls the API with the cookie. */
  async api(path, { origin = 'http://errand.test', ...init } = {}) {
    const cookie = [...this.cookies].map((pair) => pair.join('=')).join('; ');
    return this.worker.fetch(path, { ...init, headers: { cookie, origin, ...init.headers } });
  }
}
