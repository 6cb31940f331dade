/** Repositories of every kind: those that work, and a clear sentence for those that do not. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';

import { assertWhole } from '../lib/checks.mjs';
import { commit, git, makeRepository, privateServer } from '../lib/repositories.mjs';
import { startSystem } from '../lib/system.mjs';

describe('repositories', () => {
  let system;
  let user;
  let server;
  const at = (name) => path.join(system.home, 'repos', name);

  before(async () => {
    system = await startSystem();
    user = await system.signIn();
    server = await privateServer();
  });
  after(async () => {
    await server?.stop();
    await system?.stop();
  });

  /** The session's error, after a start on this repository. */
  async function failing(repo) {
    const session = await user.create({ repo, prompt: '[[text:{"words":3}]]' });
    const { cause } = await session.viewer.untilSession((now) => now.phase === 'error', `the failure on ${repo.url}`);
    const log = await session.log();
    assert.ok(log.some((event) => event.type === 'prompt.queued'), 'the prompt is kept');
    await session.end();
    return cause;
  }

  async function works(repo, marker) {
    const session = await user.create({ repo, prompt: marker });
    const turn = await session.firstTurn();
    assert.equal(turn.end.outcome, 'done', JSON.stringify(turn.end.cause));
    await assertWhole(session);
    return { session, turn };
  }

  test('a path on this machine, with a branch, names with spaces and binary files', async () => {
    const repo = makeRepository(at('with space'), { 'a file.txt': 'old\n', 'picture.bin': Buffer.from([0, 255, 0, 1, 2, 3]) });
    git(repo, 'checkout', '-q', '-b', 'feature/one');
    commit(repo, { 'only-here.txt': 'on the branch\n' });
    const head = git(repo, 'rev-parse', 'HEAD');
    git(repo, 'checkout', '-q', 'main');
    const cmd = JSON.stringify("cat only-here.txt && printf '\\0\\1\\2changed' > picture.bin && rm 'a file.txt' && echo new > 'fresh file.txt'");
    const { session, turn } = await works({ url: repo, branch: 'feature/one' }, `[[bash:{"cmd":${cmd}}]]`);
    const cloned = session.viewer.events.find((event) => event.type === 'git.cloned');
    assert.deepEqual([cloned.branch, cloned.commit], ['feature/one', head]);
    assert.match(turn.tools('bash')[0].output, /on the branch/);
    const files = Object.fromEntries(turn.end.files.map((file) => [file.path, file.status]));
    assert.deepEqual(files, { 'a file.txt': 'deleted', 'fresh file.txt': 'added', 'picture.bin': 'modified' });
    assert.ok(!(turn.end.files.find((file) => file.path === 'picture.bin').patch ?? '').includes('\0'));
    assert.equal(fs.readFileSync(path.join(repo, 'a file.txt'), 'utf8'), 'old\n', 'the original is not touched');
    await session.end();
  });

  test('a file:// address', async () => {
    const repo = makeRepository(at('by-url'), { 'README.md': '# By address\n' });
    const { session, turn } = await works({ url: pathToFileURL(repo).href }, '[[read:{"path":"README.md"}]]');
    assert.match(turn.tools('read')[0].output, /By address/);
    await session.end();
  });

  test('a bare repository, and a repository without commits', async () => {
    const source = makeRepository(at('source'), { 'README.md': '# Bare\n' });
    git(system.home, 'clone', '-q', '--bare', source, at('bare.git'));
    const bare = await works({ url: at('bare.git') }, '[[bash:{"cmd":"cat README.md"}]]');
    assert.match(bare.turn.tools('bash')[0].output, /# Bare/);
    await bare.session.end();
    const empty = await works({ url: makeRepository(at('no-commits')) }, '[[write:{"path":"first.txt","content":"one\\n"}]]');
    assert.deepEqual(empty.turn.end.files.map((file) => [file.path, file.status]), [['first.txt', 'added']]);
    await empty.session.end();
  });

  test('a path that climbs out of the workspace needs a permission', async () => {
    const repo = makeRepository(at('inside'), { 'README.md': '# Inside\n' });
    const session = await user.create({ repo: { url: repo }, prompt: '[[write:{"path":"../../outside.txt","content":"x"}]]' });
    const { interaction } = await session.viewer.event((event) => event.type === 'interaction.opened', 'the permission');
    assert.equal(interaction.permission, 'external_directory');
    await session.answer(interaction.id, { type: 'permission', reply: 'reject', message: 'Stay inside.' });
    await session.firstTurn();
    assert.equal(fs.existsSync(path.join(system.sandboxDir(session), '..', 'outside.txt')), false);
    await session.end();
  });

  test('repositories that cannot be used end in one clear sentence each', async () => {
    const full = makeRepository(at('full'), { 'README.md': '# Full\n' });
    fs.mkdirSync(at('no-repository'), { recursive: true });
    for (const [repo, code, words] of [
      [{ url: at('missing') }, 'sandbox_refused', /missing does not exist/],
      [{ url: at('no-repository') }, 'sandbox_refused', /no-repository is not a git repository/],
      [{ url: `${server.url}/404/none.git` }, 'repo_not_found', /none/],
      [{ url: full, branch: 'nowhere' }, 'branch_not_found', /nowhere/],
      [{ url: `${server.url}/team/private.git` }, 'repo_auth', /credential|sign|password|private|access/i],
    ]) {
      const cause = await failing(repo);
      assert.equal(cause.code, code, JSON.stringify(cause));
      assert.match(cause.message, words);
      assert.match(cause.message, /^[A-Z].*\.$/s, 'a sentence');
      assert.doesNotMatch(cause.message, /fatal:|errand-e2e-\w+\/host|\/workspace/, 'no internals');
    }
  });

  test('a repository that cannot be reached is tried again before the session gives up', async () => {
    const session = await user.create({ repo: { url: 'http://127.0.0.1:9/team/repo.git' }, prompt: '[[text:{"words":3}]]' });
    const { cause } = await session.viewer.untilSession((now) => now.phase === 'error', 'the failure');
    assert.equal(cause.code, 'repo_unreachable', JSON.stringify(cause));
    const attempts = session.viewer.events.filter((event) => event.type === 'sandbox.step' && event.step === 'requested').map((event) => event.attempt);
    assert.deepEqual(attempts, [1, 2, 3]);
    await session.end();
  });

  test('after the repository is there, a retry starts the session and the waiting prompt runs', async () => {
    const session = await user.create({ repo: { url: at('later') }, prompt: '[[bash:{"cmd":"ls"}]]' });
    await session.viewer.untilSession((now) => now.phase === 'error', 'the failure');
    makeRepository(at('later'), { 'now.txt': 'there\n' });
    await user.api(`${session.path}/retry`, { method: 'POST' });
    const turn = await session.firstTurn();
    assert.match(turn.tools('bash')[0].output, /now\.txt/);
    await assertWhole(session);
    await session.end();
  });
});
