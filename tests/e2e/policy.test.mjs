/** A repository's policy in the whole product: a list of hosts with its one click, a set-up script, secrets for the agent. */
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { assertWhole } from '../lib/checks.mjs';
import { GIT_SERVER, makeRepository } from '../lib/repositories.mjs';
import { startSystem } from '../lib/system.mjs';

const SECRET = 'tok-for-the-agent-4711';

describe('the policy of a repository', () => {
  let system;
  let admin;
  let site;
  let names;

  before(async () => {
    site = http.createServer((_, response) => response.end('hello from the site\n'));
    await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
    system = await startSystem();
    const health = await fetch(`http://127.0.0.1:${system.context.hostPort}/v1/health`);
    names = (await health.json()).egress === 'names';
    admin = await system.signIn();
  });
  after(async () => {
    site?.closeAllConnections();
    site?.close();
    await system?.stop();
  });

  const repository = (name) => makeRepository(path.join(system.home, 'repos', name), { 'README.md': `# ${name}\n` });
  const put = (policy) => admin.api('/api/admin/repositories', { method: 'PUT', body: policy });
  const bash = (cmd) => `[[bash:{"cmd":${JSON.stringify(cmd)}}]]`;
  const output = (turn) => turn.tools('bash')[0].output ?? turn.tools('bash')[0].error;
  const setUpOutput = (session) => session.viewer.events.filter(({ type }) => type === 'sandbox.setup_output').map(({ text }) => text).join('');

  test('what is not on the list is refused, and one click allows it where it was refused', async (t) => {
    if (!names) return t.skip('this machine cannot make networks');
    const url = repository('listed');
    await put({ url, egress: { mode: 'allowlist', hosts: [] } });
    const host = `${GIT_SERVER}:${site.address().port}`;
    const fetchIt = bash(`curl -sS -m 5 http://${host}/`);
    const session = await admin.create({ repo: { url }, prompt: fetchIt });
    assert.match(output(await session.firstTurn()), /may not reach/);
    const refused = await session.viewer.event((event) => event.type === 'sandbox.egress_refused' && event.host === GIT_SERVER, 'the refusal');
    assert.deepEqual([refused.port, refused.reason], [site.address().port, 'not_allowed']);
    const body = { host: `${refused.host}:${refused.port}` };
    await admin.api(`${session.path}/egress/allow`, { method: 'POST', body });
    assert.match(output(await session.run(fetchIt)), /hello from the site/);
    // Taken away again, also from the sandbox that runs.
    await put({ url, egress: { mode: 'allowlist', hosts: [] } });
    const again = await session.viewer.untilSession((now) => now.activity === 'idle', 'rest').then(() => session.run(bash(`for n in 1 2 3 4 5 6 7 8; do curl -sS -m 5 http://${host}/ 2>&1 | grep 'may not' && break; sleep 0.5; done`)));
    assert.match(output(again), /may not reach/);
    await assertWhole(session);
    await session.end();
  });

  test('the set-up script has run before the agent, with the secrets, which nobody sees', async () => {
    const url = repository('set-up');
    assert.equal((await admin.fetch('/api/secrets/AGENT_TOKEN', { method: 'PUT', body: { value: SECRET } })).status, 200);
    await put({ url, secrets: ['AGENT_TOKEN'], setup: 'echo "signing in with $AGENT_TOKEN"\ntest -n "$AGENT_TOKEN"\necho ready > set-up.txt\n' });
    const cmd = 'cat set-up.txt; echo "it is $AGENT_TOKEN"; env | grep AGENT_; test ${#AGENT_TOKEN} = 22 && echo whole';
    const session = await admin.create({ repo: { url }, prompt: bash(cmd) });
    const turn = await session.firstTurn();
    assert.equal(output(turn), 'ready\nit is ***\nAGENT_TOKEN=***\nwhole\n');
    assert.equal(setUpOutput(session), 'signing in with ***\n');
    const steps = session.viewer.events.filter(({ type }) => type === 'sandbox.step').map(({ step }) => step);
    assert.deepEqual(steps.filter((step) => step !== 'booting'), ['requested', 'cloning', 'setup', 'engine']);
    await assertWhole(session);
    await session.viewer.event((event) => event.type === 'sandbox.snapshot', 'the snapshot');
    for (const [where, text] of [
      ['frames', JSON.stringify(session.viewer.frames)], ['transcript', JSON.stringify(await session.transcript())],
      ['log', JSON.stringify(await session.log())], ['worker', system.worker.output], ['host', system.host.output],
    ]) assert.ok(!text.includes(SECRET), where);
    const { entries } = await admin.api(`/api/admin/audit?target=${session.id}&action=use%20secret`);
    assert.deepEqual(entries.map(({ action }) => action), ['use secret AGENT_TOKEN of user']);
    // After a rest on its own host: the secrets are there, the script has not run again.
    await admin.api(`${session.path}/pause`, { method: 'POST' });
    await session.viewer.untilSession((now) => now.phase === 'paused', 'the pause');
    assert.equal(output(await session.run(bash('cat set-up.txt; echo "it is $AGENT_TOKEN"'))), 'ready\nit is ***\n');
    assert.equal(setUpOutput(session), 'signing in with ***\n');
    await session.end();
  });

  test('a set-up script that fails keeps the session from starting, until it is mended', async () => {
    const url = repository('broken');
    await put({ url, setup: 'echo installing things\nexit 3\n' });
    const session = await admin.create({ repo: { url }, prompt: bash('cat mended.txt') });
    const { cause } = await session.viewer.untilSession((now) => now.phase === 'error', 'the failure');
    assert.equal(cause.code, 'setup_failed');
    assert.match(cause.message, /exit status: 3.*installing things/);
    assert.equal(setUpOutput(session), 'installing things\n');
    const startup = await admin.api(`${session.path}/startup`);
    assert.ok(startup.starts.at(-1).marks.some(({ point }) => point === 'setup'), JSON.stringify(startup.starts));
    await put({ url, setup: 'echo mended > mended.txt\n' });
    await admin.api(`${session.path}/retry`, { method: 'POST' });
    assert.equal(output(await session.firstTurn()), 'mended\n');
    await session.end();
  });
});
