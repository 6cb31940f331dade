/**
 * An attacker in a sandbox of a real session: as the agent, by its shell; and as root with every capability that the
 * sandbox's own namespaces can give, entered from outside. Neither finds a key, a credential of anybody else, or a way out.
 * What it may see is the sandbox's own token, good for this session only: what that can and cannot do is shown here, too.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { readProc } from '../lib/programs.mjs';
import { makeRepository } from '../lib/repositories.mjs';
import { PROVIDER_KEY, startSystem } from '../lib/system.mjs';

/** Nothing but `end` may come of a command that looks for something it must not find. */
const NOTHING = 'end';

describe('an attacker in a sandbox', () => {
  let system;
  let victim;
  let theirs;
  let session;
  let namespaces;
  /** What must not be found, by name. */
  let secrets;

  before(async () => {
    // As `npm start` does it: the sandbox reaches the port at which people sign in, and their names are no secret.
    system = await startSystem({ permissions: { external_directory: 'allow' }, vars: { SIGN_IN_CODE: 'abcd-2345' } });
    const { isolation } = await (await fetch(`${system.url}/api/config`)).json();
    namespaces = isolation === 'namespaces';
    const attacker = await system.signIn();
    victim = await system.signIn();
    const put = async (who, where, value) => assert.equal((await who.fetch(where, { method: 'PUT', body: { value } })).status, 200);
    // The attacker's own org has secrets that the policy does not give to this repository, and another org has its own.
    await put(attacker, '/api/admin/secrets/NOT_GIVEN', 'value-that-is-not-given-1');
    await put(attacker, '/api/secrets/NOT_GIVEN_EITHER', 'value-that-is-not-given-2');
    await put(victim, '/api/secrets/THEIRS', 'value-of-the-victim-3');
    const url = makeRepository(path.join(system.home, 'repos', 'attacked'), { 'README.md': '# Attacked\n' });
    await attacker.api('/api/admin/repositories', { method: 'PUT', body: { url, secrets: [] } });
    theirs = await victim.create({ prompt: '[[write:{"path":"private.txt","content":"private-work-of-the-victim"}]]' });
    await theirs.firstTurn();
    session = await attacker.create({ repo: { url } });
    await session.run('[[text:{"words":3}]]');
    const { masterKey, hostSecret } = system.context;
    secrets = {
      'the master key': masterKey, 'the host\'s secret': hostSecret, 'the model key': PROVIDER_KEY,
      'the person\'s sign-in': attacker.token, 'another person\'s sign-in': victim.token, 'another sandbox\'s token': tokenOf(theirs),
      'a secret that is not given': 'value-that-is-not-given-1', 'an own one that is not given': 'value-that-is-not-given-2',
      'another org\'s secret': 'value-of-the-victim-3', 'another session\'s work': 'private-work-of-the-victim',
    };
  });
  after(() => system?.stop());

  /** As the host handed it to the runner. */
  const tokenOf = (of) => JSON.parse(fs.readFileSync(path.join(system.sandboxDir(of), 'launch.json'), 'utf8')).env.ERRAND_TOKEN;

  /** What a command prints, run by the agent. */
  async function agent(cmd) {
    const turn = await session.run(`[[bash:{"cmd":${JSON.stringify(cmd)}}]]`);
    const [bash] = turn.tools('bash');
    return (bash.output ?? bash.error).trim();
  }

  /** A process of the sandbox. */
  const processOf = (pattern) => system.sandboxProcesses(session, pattern).find(({ pid }) => readProc(pid, 'status').match(/^NSpid:.*\t\d+\t\d+/m));

  /** What a command prints, run with all capabilities in the sandbox's namespaces; `null` where this machine cannot do that. */
  async function root(cmd, input = '') {
    const engine = processOf(/opencode\S* serve/);
    if (process.getuid() !== 0 || !engine) return null;
    const args = ['-t', String(engine.pid), '-U', '-m', '-p', '-n', '-i', '-u', '--preserve-credentials', '/bin/sh', '-c', cmd];
    const child = spawn('nsenter', args, { env: { PATH: process.env.PATH, HOME: '/home/errand' }, timeout: 60_000 });
    let stdout = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.stderr.resume();
    child.stdin.on('error', () => {}).end(input);
    const status = await new Promise((resolve) => child.once('error', () => resolve(null)).once('close', resolve));
    return status === 0 ? stdout : null;
  }

  function assertNothingSecret(text, where) {
    for (const [name, secret] of Object.entries(secrets)) assert.ok(!text.includes(secret), `${name} in ${where}`);
  }

  test('finds nothing in environments, command lines and the files of its sandbox', async (t) => {
    if (!namespaces) return t.skip('no namespaces here');
    assertNothingSecret(await agent("cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'"), 'the processes');
    // The first letter in brackets, so that the command does not find itself.
    const patterns = Object.entries(secrets).filter(([name]) => !/work|sign-in|own one/.test(name)).map(([, secret]) => `[${secret[0]}]${secret.slice(1, 12).replaceAll('.', '\\.')}`);
    const found = await agent(`grep -rlaE '${patterns.join('|')}' / --exclude-dir=proc --exclude-dir=sys --exclude-dir=usr 2>/dev/null | grep -v -e opencode.db -e spool.jsonl -e runner.json; echo end`);
    assert.equal(found.split('\n').at(-1), NOTHING);
    assert.deepEqual(found.split('\n').slice(0, -1), []);
  });

  test('finds nothing in the memory of any process as root, but the sandbox\'s own token', async (t) => {
    // Only pages that are there: of what the engine has reserved most was never used.
    const look = `const fs = require('fs'); const needles = fs.readFileSync(0, 'utf8').trim().split('\\n').map((b) => Buffer.from(b, 'base64'));
      let seen = 0; const found = new Set(); const PAGE = 4096; const MOST = 1024;
      for (const pid of fs.readdirSync('/proc').filter((n) => /^\\d+$/.test(n) && Number(n) !== process.pid)) {
        let maps, mem, pages;
        try { maps = fs.readFileSync('/proc/' + pid + '/maps', 'utf8'); mem = fs.openSync('/proc/' + pid + '/mem'); pages = fs.openSync('/proc/' + pid + '/pagemap'); } catch { continue; }
        for (const line of maps.split('\\n')) {
          const m = line.match(/^([0-9a-f]+)-([0-9a-f]+) rw/); if (!m) continue;
          const [from, to] = [parseInt(m[1], 16), parseInt(m[2], 16)];
          for (let at = from; at < to; at += MOST * PAGE) {
            const count = Math.min(MOST, (to - at) / PAGE); const map = Buffer.alloc(count * 8);
            try { fs.readSync(pages, map, 0, map.length, at / PAGE * 8); } catch { continue; }
            for (let n = 0; n < count; n += 1) {
              if (!(map[n * 8 + 7] & 0xc0)) continue;
              let end = n; while (end < count && map[end * 8 + 7] & 0xc0) end += 1;
              const piece = Buffer.alloc((end - n) * PAGE); let got = 0;
              try { got = fs.readSync(mem, piece, 0, piece.length, at + n * PAGE); } catch {}
              seen += got; needles.forEach((needle, i) => piece.subarray(0, got).includes(needle) && found.add(i)); n = end;
            }
          }
        }
      }
      console.log(JSON.stringify({ seen, found: [...found] }));`;
    const own = tokenOf(session);
    // The person's own sign-in and secrets never enter; what the person typed does.
    const list = [...Object.entries(secrets), ['the own token', own]];
    const looked = await root(`node -e '${look.replaceAll("'", `'"'"'`)}'`, `${list.map(([, secret]) => Buffer.from(secret).toString('base64')).join('\n')}\n`);
    if (!namespaces || looked === null) return t.skip('cannot enter the sandbox as root here');
    const { seen, found } = JSON.parse(looked);
    assert.ok(seen > 10 * 1024 * 1024, `memory was read: ${seen}`);
    assert.deepEqual(found.map((at) => list[at][0]).filter((name) => name !== 'the own token'), []);
  });

  test('as the agent cannot look into the runner, nor into what started it', async (t) => {
    if (!namespaces) return t.skip('no namespaces here');
    // By its own name: the command line of bubblewrap, which started it, has it too.
    const runner = "for p in /proc/[0-9]*; do case \"$(tr '\\0' '\\n' < $p/cmdline 2>/dev/null | head -1)\" in */errand-runner) echo ${p#/proc/};; esac; done";
    assert.match(await agent(runner), /^\d+$/, 'it sees that the runner is there');
    // To open the memory is what takes leave; at its beginning there is none. (Where the host's user is root, the numbers of its
    // open files are seen, and not what they are.)
    const tries = ['head -c 100 /proc/$R/environ', ': < /proc/$R/mem', 'readlink /proc/$R/fd/* | grep .', 'head -c 0 /proc/$R/fd/1', 'cat /proc/$R/maps', 'readlink /proc/$R/exe', 'ls /proc/$R/root', 'ls /proc/$R/cwd', 'cat /proc/$R/syscall', 'cat /proc/$R/stack'];
    const outcome = await agent(`R=$(${runner}); for t in ${tries.map((cmd) => `'${cmd}'`).join(' ')}; do (eval "$t") > /dev/null 2>&1 && echo "could: $t"; done; echo end`);
    assert.equal(outcome, NOTHING);
    // What started it is in the same sandbox, and holds nothing that leads out.
    const first = await agent("ls -id / /proc/1/root/ | cut -d/ -f1 | sort -u | wc -l; readlink /proc/1/fd/*; timeout 5 head -c 100 /proc/1/fd/0; grep -E '^(Cap...|NoNewPrivs|Seccomp):' /proc/1/status");
    const [roots, ...lines] = first.split('\n').map((line) => line.trim());
    assert.equal(roots, '1', 'its root is the sandbox\'s');
    const held = lines.filter((line) => !/:\t/.test(line));
    assert.ok(held.length >= 3 && held.every((line) => /^(pipe:\[\d+\]|anon_inode:\[eventfd\]|\/dev\/null)$/.test(line)), first);
    assert.deepEqual(lines.filter((line) => /:\t/.test(line)).map((line) => line.split('\t')[1]), [...Array(5).fill('0'.repeat(16)), '1', '2'], first);
    assert.doesNotMatch(await agent("tr '\\0' '\\n' < /proc/1/environ"), /eyJ[\w-]{10,}\./);
    const traced = await agent(`R=$(${runner}); command -v python3 > /dev/null && python3 -c 'import ctypes,sys; l=ctypes.CDLL(None,use_errno=True); print(l.ptrace(16,int(sys.argv[1]),0,0), l.process_vm_readv(int(sys.argv[1]),None,0,None,0,0))' $R 2>&1 || gdb -p $R -batch 2>&1 | head -1; echo end`);
    assert.doesNotMatch(traced, /^0 /, traced);
  });

  test('cannot mount, make namespaces, load or change anything of the kernel, or read its memory', async (t) => {
    if (!namespaces) return t.skip('no namespaces here');
    // Files are opened for writing and nothing is written: a machine on which this fails shall survive it. (Below /dev that
    // would make files: there devices are looked for.)
    const writable = ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/modprobe', '/proc/sys/kernel/hotplug', '/proc/sys/kernel/hostname', '/proc/sys/vm/panic_on_oom', '/proc/sys/fs/file-max', '/proc/sys/fs/binfmt_misc/register', '/proc/sysrq-trigger', '/proc/irq/default_smp_affinity', '/proc/mtrr', '/proc/acpi/wakeup', '/etc/passwd', '/etc/resolv.conf', '/usr/bin/env', '/opt/errand/bin/errand-runner'];
    const devices = ['kmsg', 'mem', 'kmem', 'port', 'sda', 'vda', 'nvme0', 'loop0', 'fuse', 'kvm', 'net/tun', 'cuse', 'uinput', 'mapper/control', 'vsock'];
    const tries = [
      ...writable.map((file) => `: >> ${file}`), ...devices.map((name) => `test -b /dev/${name} || test -c /dev/${name}`),
      'mount -t tmpfs none /mnt', 'mount --bind / /mnt', 'umount /proc/sys', 'unshare -U true', 'unshare -m true', 'unshare -Urm true', 'chroot / true', 'nsenter -t 1 -a true',
      'insmod x', 'modprobe dummy', 'dmesg | grep .', ...['kcore', 'kmsg', 'slabinfo', 'iomem', 'keys', 'timer_list', 'vmallocinfo', 'config.gz'].map((name) => `head -c 1 /proc/${name} | grep -q .`),
      'ls /sys/kernel', 'ls /sys/fs/cgroup', 'ls /sys/kernel/debug', 'mknod /tmp/m c 1 1', 'ls /run/docker.sock', 'ls /var/run/docker.sock',
      'ip link add x type dummy', 'iptables -L', 'su -c true', 'sudo -n true', 'chown 1 /tmp', 'cat /etc/shadow', 'touch /usr/x', 'touch /etc/x', 'touch /opt/errand/x',
      'test "$(id -u)" = 0', 'grep -v 0000000000000000 /proc/self/status | grep -E "^Cap(Eff|Prm|Inh|Amb)"', 'grep -q "NoNewPrivs:.0" /proc/self/status', 'find /proc/sys /proc/irq /proc/bus /proc/fs -type f -writable 2>/dev/null | grep .',
    ];
    const could = await agent(`${tries.map((cmd) => `(${cmd}) > /dev/null 2>&1 && echo 'could: ${cmd.replaceAll("'", '"')}'`).join('; ')}; echo end`);
    assert.equal(could, NOTHING);
  });

  test('gets no file of the host or of others, as root in its namespaces neither', async (t) => {
    const paths = [system.home, path.join(system.home, 'secrets.json'), path.join(system.sandboxDir(theirs), 'workspace', 'private.txt'), '/etc/shadow', '/root/.bashrc', '/var/lib'];
    const cmd = `for f in ${paths.join(' ')} ; do cat $f 2>/dev/null; done; find / -xdev \\( -name secrets.json -o -name private.txt -o -name 'launch.json' -o -name 'egress.json' \\) -not -path '/usr/*' 2>/dev/null; echo end`;
    if (!namespaces) return t.skip('no namespaces here');
    assert.equal(await agent(cmd), NOTHING);
    const looked = await root(`${cmd}; for p in /proc/[0-9]*/root; do cat $p${system.home}/secrets.json 2>/dev/null; done; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'`);
    if (looked === null) return;
    assert.ok(looked.startsWith('end'), looked.slice(0, 200));
    assertNothingSecret(looked, 'what root in the sandbox reads');
  });

  test('learns from the engine\'s own interface nothing but the key of its relay', async () => {
    const ask = (where) => `curl -s -m 10 -u "opencode:$OPENCODE_SERVER_PASSWORD" "http://127.0.0.1:$P${where}"`;
    const engine = `export $(tr '\\0' '\\n' < /proc/$(pgrep -f 'opencode.* serve' | head -1)/environ | grep ^OPENCODE_SERVER_PASSWORD=); P=$(tr '\\0' ' ' < /proc/$(pgrep -f 'opencode.* serve' | head -1)/cmdline | sed 's/.*--port \\([0-9]*\\).*/\\1/')`;
    const said = await agent(`${engine}; for w in /config /config/providers /provider /provider/auth /auth /project /path; do ${ask('$w')}; echo; done`);
    assert.ok(said.includes('127.0.0.1'), said.slice(0, 500));
    assertNothingSecret(said, 'the engine');
    assert.doesNotMatch(said, /eyJ[\w-]{10,}\.[\w-]{10,}\./);
  });

  test('reaches no metadata service, nothing of the host, and no other sandbox', async (t) => {
    if (!namespaces) return t.skip('no namespaces here');
    const { port, hostPort, demoPort } = system.context;
    const other = system.sandboxProcesses(theirs, /opencode\S* serve/).map(({ command }) => command.match(/--port (\d+)/)?.[1]).find(Boolean);
    const urls = [
      ...['169.254.169.254/latest/meta-data/', '[fd00:ec2::254]/', 'metadata.google.internal/', '100.100.100.200/', '10.0.0.1/', '192.168.0.1/', '0.0.0.0/', `[::1]:${hostPort}/`],
      ...[hostPort, demoPort, other, 22, 2375].map((each) => `127.0.0.1:${each}/`), `localhost:${hostPort}/v1/health`, `0x7f000001:${demoPort}/`, `2130706433:${demoPort}/`, `127.0.0.2:${port}/`,
    ];
    const tried = await agent(`for u in ${urls.map((url) => `'http://${url}'`).join(' ')}; do OUT=$(curl -s -g -m 3 "$u") && case "$u $OUT" in *'this sandbox may not reach'*|*metadata.google.internal*' Errand: '*) ;; *) echo "could: $u";; esac; done; echo end`);
    assert.equal(tried, NOTHING);
    const looked = await root(`for u in ${urls.map((url) => `'http://${url}'`).join(' ')}; do OUT=$(curl -s -g -m 3 "$u") && case "$u $OUT" in *'this sandbox may not reach'*|*metadata.google.internal*' Errand: '*) ;; *) echo "could: $u";; esac; done; echo end`);
    if (looked !== null) assert.equal(looked.trim(), NOTHING);
  });

  test('can do with its token what a sandbox does, for its own session, and nothing else', async () => {
    const { port } = system.context;
    const at = namespaces ? '/tmp' : path.join(system.sandboxDir(session), 'tmp');
    const file = path.join(system.sandboxDir(session), 'tmp', 'token.txt');
    fs.writeFileSync(file, `authorization: Bearer ${tokenOf(session)}\n`, { mode: 0o644 });
    // Files that the host's user makes belong to the sandbox's; there is one user.
    const call = (method, where, body) => `echo "$(curl -s -m 10 -o /dev/null -w '%{http_code}' -X ${method} -H @${at}/token.txt -H 'content-type: application/json' ${body ? `--data '${body}'` : ''} 'http://127.0.0.1:${port}${where}') ${method} ${where}"`;
    const message = '{"model":"scripted","messages":[{"role":"user","content":"hi"}],"stream":false}';
    const { id } = theirs;
    const refused = [
      ['GET', '/api/auth/me'], ['GET', '/api/sessions'], ['POST', '/api/sessions', '{}'], ['GET', `/api/sessions/${session.id}`], ['GET', `/api/sessions/${session.id}/transcript`], ['DELETE', `/api/sessions/${session.id}`],
      ['POST', `/api/sessions/${session.id}/egress/allow`, '{"host":"evil.example"}'], ['GET', `/api/sessions/${session.id}/snapshot`], ['GET', `/api/sessions/${id}`], ['GET', `/api/sessions/${id}/snapshot`],
      ['GET', '/api/secrets'], ['PUT', '/api/secrets/X', '{"value":"v"}'], ['GET', '/api/keys'], ['POST', '/api/keys', '{"name":"k","scopes":["admin:*"]}'], ['GET', '/api/usage'], ['GET', '/api/repos'], ['GET', '/api/events'],
      ...['members', 'invitations', 'settings', 'audit', 'budgets', 'prices', 'secrets', 'repositories'].map((each) => ['GET', `/api/admin/${each}`]),
      ['PUT', '/api/admin/repositories', '{"url":"/srv/x"}'], ['PUT', '/api/admin/secrets/X', '{"value":"v"}'],
      ['POST', '/auth/dev', `{"login":"${victim.person.name}"}`], ['POST', '/auth/dev', `{"login":"${victim.person.name}","code":"2345-abcd"}`],
      ['GET', `/runner/${id}/environment`], ['GET', `/runner/${id}`], ['GET', `/runner/${id}/snapshots/snp_1`], ['PUT', `/runner/${id}/snapshots/snp_1`, 'x'],
    ];
    const answers = await agent(refused.map((each) => call(...each)).join('; '));
    const allowed = answers.split('\n').filter((line) => !/^(401|403|404) /.test(line));
    assert.deepEqual(allowed, [], 'all of these are refused');
    assert.equal(answers.split('\n').length, refused.length);
    const [demo] = JSON.parse(system.context.vars.MODELS);
    const own = await agent([call('GET', `/runner/${session.id}/environment`), call('POST', `/llm/${demo.provider}/v1/chat/completions`, message.replace('scripted', demo.model)), call('GET', '/health')].join('; '));
    assert.deepEqual(own.split('\n').map((line) => line.slice(0, 3)), ['200', '200', '200'], own);
    fs.rmSync(file);
  });

  test('left nothing in its snapshot, log and transcript', async () => {
    const turn = await session.run('[[write:{"path":"work.txt","content":"work\\n"}]]');
    await session.viewer.event((event) => event.type === 'sandbox.snapshot' && event.turnId === turn.id, 'the snapshot of it');
    const answer = await session.user.fetch(`${session.path}/snapshot`);
    assert.equal(answer.status, 200);
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'errand-snapshot-'));
    try {
      fs.writeFileSync(path.join(dir, 'snapshot.tar.gz'), Buffer.from(await answer.arrayBuffer()));
      execFileSync('tar', ['-xzf', 'snapshot.tar.gz'], { cwd: dir });
      const git = (...args) => execFileSync('git', args, { cwd: path.join(dir, 'git'), encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
      execFileSync('git', ['clone', '-q', '--bare', path.join(system.home, 'repos', 'attacked'), path.join(dir, 'git')]);
      git('fetch', '-q', path.join(dir, 'work.bundle'), '+refs/*:refs/snapshot/*');
      const objects = git('cat-file', '--batch-all-objects', '--batch');
      assert.match(objects, /^work$/m, 'the objects were unpacked');
      assertNothingSecret(objects, 'the work');
      let read = 0;
      for (const entry of fs.readdirSync(dir, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || entry.parentPath.includes(`${dir}/git`)) continue;
        assertNothingSecret(fs.readFileSync(path.join(entry.parentPath, entry.name), 'latin1'), entry.name);
        read += 1;
      }
      assert.ok(read >= 3, 'meta, bundle and conversation');
    } finally {
      fs.rmSync(dir, { recursive: true });
    }
    const { 'another session\'s work': _, ...keys } = secrets;
    const shown = JSON.stringify([session.viewer.frames, await session.log(), await session.transcript()]);
    for (const [name, secret] of Object.entries(keys)) assert.ok(!shown.includes(secret), name);
  });
});
