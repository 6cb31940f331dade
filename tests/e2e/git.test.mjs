/** A private repository end to end: the agent clones, commits and pushes with plain git, and holds no credential. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { assertWhole } from '../lib/checks.mjs';
import { git, PASSWORD, startGitServer, USERNAME } from '../lib/git-server.mjs';
import { GIT_SERVER } from '../lib/repositories.mjs';
import { startSystem } from '../lib/system.mjs';

describe('git through the control plane', () => {
  let server;
  let system;
  let session;
  let url;

  before(async () => {
    server = await startGitServer();
    server.repository('team/app', { 'README.md': '# Private\n' });
    const host = `${GIT_SERVER}:${server.port}`;
    url = `http://${host}/team/app`;
    const hosts = [{ host, url: server.url, username: USERNAME, secret: PASSWORD }];
    system = await startSystem({ vars: { GIT_HOSTS: JSON.stringify(hosts) }, permissions: { external_directory: 'allow' } });
    const user = await system.signIn();
    await user.api('/api/admin/settings', { method: 'PUT', body: { coAuthorTrailer: true } });
    session = await user.create({ repo: { url } });
  });
  after(async () => {
    await system?.stop();
    await server?.stop();
  });

  async function shell(cmd) {
    const turn = await session.run(`[[bash:{"cmd":${JSON.stringify(cmd)}}]]`);
    const [bash] = turn.tools('bash');
    return bash.output ?? bash.error;
  }
  const upstream = (...args) => git(path.join(server.root, 'team/app.git'), ...args);

  test('a private repository is cloned, and its origin is its own address', async () => {
    assert.match(await shell('cat README.md'), /# Private/);
    const origin = await shell('git config --local remote.origin.url');
    assert.equal(origin.trim(), `${url}.git`);
    const cloned = session.viewer.events.find((event) => event.type === 'git.cloned');
    assert.equal(cloned.commit, upstream('rev-parse', 'main'));
  });

  test('what the agent commits and pushes is the person\'s, committed by the app', async () => {
    const output = await shell('echo more >> README.md && git commit -qam "Add more" && git push 2>&1');
    assert.match(output, /HEAD -> errand\/ses_/, output);
    const branch = `errand/${session.id}`;
    const [author, committer, body] = upstream('log', '-1', '--format=%an <%ae>%x00%cn <%ce>%x00%B', branch).split('\0');
    const { name, email } = session.user.person;
    assert.equal(author, `${name} <${email}>`);
    assert.equal(committer, 'Errand <errand@localhost>');
    assert.match(body, /^Co-authored-by: Errand <errand@localhost>$/m);
    const pushed = await session.viewer.event((event) => event.type === 'git.pushed', 'the push');
    assert.deepEqual([pushed.branch, pushed.commit], [branch, upstream('rev-parse', branch)]);
    assert.deepEqual((await session.get()).pushed, { branch, commit: pushed.commit });
    await assertWhole(session);
  });

  test('its address leads through the control plane however it is written, and that of others does not', async () => {
    for (const spelling of [url, `${url}/`, `${url}.git`, `${url}.git/`]) {
      assert.match(await shell(`git ls-remote ${spelling} main 2>&1`), new RegExp(`^${upstream('rev-parse', 'main')}\\s+refs/heads/main`), spelling);
    }
    const output = await shell(`git push ${url} HEAD:errand/${session.id}-again 2>&1`);
    assert.match(output, /HEAD -> errand\/ses_\w+-again/, output);
    // Names that go on behind this one's are other repositories: not asked for with this one's rights.
    for (const other of [`${url}-infra`, `${url}.github.io`, `${url}.git-tools.git`]) {
      assert.equal((await shell(`git ls-remote --get-url ${other}`)).trim(), other);
    }
  });

  test('other branches are refused with a reason that the agent reads', async () => {
    const before = upstream('for-each-ref');
    const output = await shell('git push origin HEAD:main 2>&1; git push origin :main 2>&1; git tag v1; git push --tags 2>&1');
    assert.match(output, /! \[remote rejected\] HEAD -> main \(Errand: this session pushes only to errand\/ses_/);
    assert.match(output, /no tags/);
    assert.equal(upstream('for-each-ref'), before);
  });

  test('the host\'s credential is nowhere in the sandbox', async () => {
    const basic = Buffer.from(`${USERNAME}:${PASSWORD}`).toString('base64');
    const encoded = [PASSWORD, basic].map((secret) => secret.slice(0, 12));
    const places = '/state /workspace /tmp /home "$HOME" .git';
    // The pattern must not find itself: in the prompt, the engine's database, the process list.
    const pattern = encoded.map((secret) => `${secret.slice(0, 1)}[${secret.slice(1, 2)}]${secret.slice(2)}`).join('|');
    const found = await shell(`grep -rlaE '${pattern}' ${places} 2>/dev/null; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep -aE '${pattern}'; echo end`);
    assert.equal(found.trim(), 'end');
    const seen = await shell('env; git remote -v; git config --list --show-origin; cat .git/config; git reflog; GIT_TRACE=1 GIT_CURL_VERBOSE=1 git ls-remote 2>&1');
    for (const secret of [PASSWORD, basic]) assert.ok(!seen.includes(secret), seen);
    assert.doesNotMatch(await shell('git remote -v'), /@|Bearer|[0-9a-f]{32}/, 'no credential of any kind in an address');
    assert.doesNotMatch(seen, /eyJ[\w-]{10,}\./, 'and no sandbox token');
  });

  test('the host itself cannot be reached past the control plane', async (t) => {
    const health = await (await fetch(`http://127.0.0.1:${system.context.hostPort}/v1/health`)).json();
    if (health.egress !== 'names') return t.skip('this machine cannot make networks');
    const code = await shell(`curl -s -m 5 -o /dev/null -w '%{http_code}' ${server.url}/team/app.git/info/refs?service=git-upload-pack`);
    assert.match(code, /000/);
  });

  test('a repository that the credential does not open is told in words', async () => {
    const other = await session.user.create({ repo: { url: url.replace('app', 'missing') }, prompt: '[[text:{"words":3}]]' });
    const { cause } = await other.viewer.untilSession((now) => now.phase === 'error', 'the failure');
    assert.equal(cause.code, 'repo_not_found', JSON.stringify(cause));
    assert.match(cause.message, /^The repository http.*\/team\/missing could not be fetched: .* knows no repository .*\.$/s);
    await other.end();
  });
});
