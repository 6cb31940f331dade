/**
 * An installation with people and things in it, for requests that nobody thought of: an org with an owner and a viewer,
 * sessions of theirs in several states, and one of everything else that has an id.
 */
import assert from 'node:assert/strict';

import { json, MODEL, models, sandboxToken, startServer } from '../worker/harness.mjs';
import { startRestartable } from '../worker/restartable.mjs';

/**
 * Starts it, as `npm start` runs it: `{worker, owner, viewer, sandbox, ids, assertNoPanics(), stop()}`; `sandbox` is the
 * token of the second session's sandbox, `ids` has the existing ids by their prefixes.
 */
export async function startWorld() {
  const host = await startServer(answerAsHost);
  const model = await startServer((_, response) => response.end('{}'));
  const worker = await startRestartable({
    vars: {
      SANDBOX_HOST_URL: host.url, MODELS: models(`${model.url}/v1`), SAMPLE_REPO: '/srv/samples/calc',
      GITHUB_CLIENT_ID: 'app', GITHUB_CLIENT_SECRET: 'secret', GITHUB_URL: model.url, GITHUB_API_URL: model.url,
    },
  });
  const owner = await worker.signIn('owner');
  const { org } = await (await owner.api('/api/auth/me')).json();
  const viewer = await invited(owner, await worker.signIn('viewer'), org, 'viewer');
  const ids = await things(owner, viewer);
  const stop = async () => {
    await worker.stop();
    await host.stop();
    await model.stop();
  };
  const assertNoPanics = () => assert.doesNotMatch(worker.output(), /Critical|panic|Reinitializing|Uncaught/);
  const sandbox = sandboxToken(ids.ses[1], { claims: { org: org.id } });
  return { worker, owner, viewer, sandbox, ids: { ...ids, org: [org.id] }, assertNoPanics, stop };
}

/** Makes somebody a member of an org, in which they act from then on. */
async function invited(owner, person, org, role) {
  const invitation = await owner.api('/api/admin/invitations', json('POST', { role }));
  const { code } = await invitation.json();
  const joined = await person.api('/api/auth/invitations', json('POST', { code }));
  assert.equal(joined.status, 200, await joined.text());
  const switched = await person.api('/api/auth/org', json('POST', { org: org.id }));
  assert.equal((await switched.json()).role, role);
  return person;
}

/** A host on which no sandbox ever comes up. */
function answerAsHost(request, response) {
  const name = request.url.split('?')[0].split('/')[3];
  const health = { version: '1', isolation: 'namespaces', limits: [], egress: 'names', running: 0, capacity: 4 };
  if (request.method === 'DELETE') return response.writeHead(204).end();
  response.writeHead(request.method === 'PUT' ? 202 : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify(request.url.startsWith('/v1/health') ? health : { name, state: 'running', isolation: 'namespaces', labels: {} }));
}

async function things(owner, viewer) {
  const make = async (path, body) => {
    const answer = await owner.api(path, json('POST', body));
    const text = await answer.text();
    assert.ok([201, 202].includes(answer.status), `${path}: ${text}`);
    return JSON.parse(text);
  };
  const session = (body) => make('/api/sessions', { model: MODEL, ...body });
  const ses = [];
  for (const body of [{ title: 'Nothing to do' }, { prompt: 'Work' }, { repo: { url: '/srv/samples/calc' }, prompt: 'Work' }]) {
    ses.push((await session(body)).id);
  }
  const doomed = [(await session({ title: 'To be ended' })).id];
  const prompts = [await make(`/api/sessions/${ses[1]}/prompts`, { text: 'More' })];
  await owner.api(`/api/sessions/${ses[2]}`, json('PATCH', { visibility: 'org' }));
  const { share } = await make(`/api/sessions/${ses[0]}/shares`, { role: 'viewer' });
  const { apiKey } = await make('/api/keys', { name: 'A script', scopes: ['sessions:read'] });
  const { invitation } = await make('/api/admin/invitations', { role: 'member' });
  const budget = await make('/api/admin/budgets', { dimension: 'user', period: 'month', limit: 1_000_000 });
  return {
    ses, doomed, prm: prompts.map(({ prompt }) => prompt.id), shr: [share.id], key: [apiKey.id], inv: [invitation.id], bdg: [budget.id],
    usr: [viewer.user.id],
  };
}
