/** What an agent tries to reach and may not: refused where it is, and told to those who watch. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { assertWhole } from '../lib/checks.mjs';
import { startSystem } from '../lib/system.mjs';

describe('the network of a sandbox', () => {
  let system;
  let session;
  let support;

  before(async () => {
    system = await startSystem();
    const health = await fetch(`http://127.0.0.1:${system.context.hostPort}/v1/health`);
    support = (await health.json()).egress;
    session = await (await system.signIn()).create({ repo: { url: system.sample } });
  });
  after(() => system?.stop());

  async function shell(cmd) {
    const turn = await session.run(`[[bash:{"cmd":${JSON.stringify(cmd)}}]]`);
    const [bash] = turn.tools('bash');
    return bash.output ?? bash.error;
  }

  test('leads to the control plane, and to nothing else of its host', async (t) => {
    if (support !== 'names') return t.skip('this machine cannot make networks');
    const { port, hostPort, demoPort } = system.context;
    const code = (url) => `curl -s -m 5 -o /dev/null -w '%{http_code} ' ${url}`;
    const urls = [port, hostPort, demoPort].map((each) => `http://127.0.0.1:${each}/health`);
    assert.equal((await shell(urls.map(code).join('; '))).trim(), '200 000 000');
  });

  test('refuses what is private, and each refusal is an event of the session', async (t) => {
    if (support !== 'names') return t.skip('this machine cannot make networks');
    const said = await shell('curl -sS -m 5 http://169.254.169.254/latest/meta-data/; curl -sS -m 5 http://10.0.0.1:8080/');
    assert.match(said, /this sandbox may not reach 169\.254\.169\.254:80: it is not on the public internet/);
    const refused = (host) => (event) => event.type === 'sandbox.egress_refused' && event.host === host;
    const first = await session.viewer.event(refused('169.254.169.254'), 'the refusal');
    assert.deepEqual([first.port, first.reason], [80, 'private']);
    await session.viewer.event(refused('10.0.0.1'), 'the other refusal');
    await shell('curl -sS -m 5 http://169.254.169.254/ > /dev/null');
    const log = await session.log();
    assert.equal(log.filter(refused('169.254.169.254')).length, 1, 'told once');
    await assertWhole(session);
  });
});
