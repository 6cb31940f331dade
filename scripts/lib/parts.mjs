/** The programs that make up an installation, as supervised parts. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';

import { nativeBinary, ROOT } from './paths.mjs';
import { Part } from './supervisor.mjs';

/** Enough environment for our own programs; what else the person's shell holds is none of their business. */
function plainEnv(extra = {}) {
  const kept = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TMPDIR', 'TZ', 'NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];
  const env = Object.fromEntries(kept.filter((name) => name in process.env).map((name) => [name, process.env[name]]));
  return { ...env, ...extra };
}

/** The scripted model that works without any account. */
export function demoModelPart({ home, demoPort }) {
  const script = path.join(ROOT, 'sandbox', 'demo-model', 'server.mjs');
  const command = () => ({ file: process.execPath, args: [script, '--port', String(demoPort)], env: plainEnv() });
  return new Part({ name: 'demo-model', home, command });
}

/** The sandbox host. Sandboxes end with the installation, not with the host's crash. */
export function hostPart(context) {
  return new Part({
    name: 'host',
    home: context.home,
    stopAfterMs: 15_000,
    command: () => ({
      file: nativeBinary('errand-host'),
      args: [...hostArgs(context), '--listen', `127.0.0.1:${context.hostPort}`, '--stop-sandboxes-on-exit'],
      env: plainEnv({ ERRAND_HOST_SECRET: context.hostSecret }),
    }),
  });
}

/** The Worker in workerd. Its options hold the secrets, so they go through stdin. */
export function workerPart({ home, port, tools, vars }) {
  return new Part({
    name: 'worker',
    home,
    command: () => ({
      file: tools.node,
      args: [path.join(ROOT, 'scripts', 'worker.mjs'), '--stdin'],
      env: plainEnv(),
      input: `${JSON.stringify({ port, home, vars })}\n`,
    }),
  });
}

/** Ends every sandbox of the installation without the host's help; for a forced stop. */
export function stopSandboxesNow(context) {
  const env = plainEnv({ ERRAND_HOST_SECRET: context.hostSecret });
  spawnSync(nativeBinary('errand-host'), [...hostArgs(context), '--stop-all'], { env, timeout: 10_000, stdio: 'ignore' });
}

function hostArgs({ home, tools, vars, published = [], places, sandboxDisk }) {
  const toolDirs = new Set([process.execPath, tools.ripgrep].map((file) => path.dirname(file)));
  return [
    '--state', path.join(home, 'host'),
    '--runner', nativeBinary('errand-runner'),
    '--engine', tools.opencode,
    ...[...toolDirs].flatMap((dir) => ['--tool-dir', dir]),
    ...(vars ? ['--control-plane', vars.RUNNER_URL] : []),
    ...(places ? ['--capacity', String(places)] : []),
    ...published.flatMap((service) => ['--publish', service]),
    ...(sandboxDisk ? ['--sandbox-disk-mib', sandboxDisk] : []),
  ];
}
