/**
 * `npm run deploy`: checks what the Worker on Cloudflare needs, builds, applies the D1 migrations, deploys. Creates
 * no account, database or secret by itself: what is missing is named with the command that makes it.
 */
import './lib/require-node.mjs';

import fs from 'node:fs';
import path from 'node:path';

import { build } from './build.mjs';
import { report, say, Sentence, step } from './lib/log.mjs';
import { ROOT } from './lib/paths.mjs';
import { endRunningOnSignals, run, tail } from './lib/process.mjs';
import { setup } from './setup.mjs';

const HELP = `npm run deploy [-- --dry-run]

  ERRAND_ORIGIN             public address of the Worker, e.g. https://errand.example.com
  ERRAND_SANDBOX_HOST_URL   address of the sandbox host that it uses
  CLOUDFLARE_API_TOKEN, CLOUDFLARE_ACCOUNT_ID   or a login by: npx wrangler login

Secrets, once (npx wrangler secret put NAME): MASTER_KEY (64 hex digits), SANDBOX_HOST_SECRET, MODELS (JSON list),
ALLOWED_USERS, and GITHUB_CLIENT_ID with GITHUB_CLIENT_SECRET or GOOGLE_CLIENT_ID with GOOGLE_CLIENT_SECRET.
--dry-run checks the configuration, builds and bundles, and changes nothing on Cloudflare.`;

const SECRETS = ['MASTER_KEY', 'SANDBOX_HOST_SECRET', 'MODELS', 'ALLOWED_USERS'];
/** Nobody could sign in without one of these. */
const SIGN_IN = [['GITHUB_CLIENT_ID', 'GITHUB_CLIENT_SECRET'], ['GOOGLE_CLIENT_ID', 'GOOGLE_CLIENT_SECRET']];

async function main() {
  if (process.argv.includes('--help')) return say(HELP);
  endRunningOnSignals();
  const dryRun = process.argv.includes('--dry-run');
  const vars = publicVars();
  const tools = await setup();
  const wrangler = (args, options = {}) =>
    run(tools.node, [path.join(ROOT, 'node_modules', 'wrangler', 'bin', 'wrangler.js'), ...args], {
      cwd: ROOT,
      env: { CI: '1', WRANGLER_SEND_METRICS: 'false' },
      what: `wrangler ${args.slice(0, 2).join(' ')}`,
      ...options,
    });
  if (!dryRun) await step('check account, database and secrets', () => checkRemote(wrangler));
  await build(tools);
  if (!dryRun) {
    const migrate = ['d1', 'migrations', 'apply', 'DB', '--remote'];
    await step('apply the D1 migrations', (progress) => wrangler(migrate, { progress }));
  }
  const deploy = ['deploy', ...Object.entries(vars).flatMap(([name, value]) => ['--var', `${name}:${value}`])];
  if (dryRun) deploy.push('--dry-run', '--outdir', path.join(ROOT, 'target', 'deploy'));
  const { output } = await step(dryRun ? 'bundle' : 'deploy', (progress) => wrangler(deploy, { progress }));
  say(tail(output, 20));
}

/** What may be read by anybody; the rest are secrets. */
function publicVars() {
  const { ERRAND_ORIGIN: origin, ERRAND_SANDBOX_HOST_URL: host } = process.env;
  for (const [name, value] of Object.entries({ ERRAND_ORIGIN: origin, ERRAND_SANDBOX_HOST_URL: host })) {
    if (!value || !URL.canParse(value)) throw new Sentence(`${name} must be set to an address; see npm run deploy -- --help.`);
  }
  const base = origin.replace(/\/+$/, '');
  if (!base.startsWith('https://')) throw new Sentence('ERRAND_ORIGIN must be an https:// address.');
  return {
    ENVIRONMENT: 'production',
    ORIGIN: base,
    RUNNER_URL: base.replace(/^https/, 'wss'),
    SANDBOX_HOST_URL: host.replace(/\/+$/, ''),
  };
}

async function checkRemote(wrangler) {
  const who = await wrangler(['whoami'], { check: false });
  if (who.code !== 0 || /not authenticated/i.test(who.output)) {
    throw new Sentence('wrangler is not logged in: set CLOUDFLARE_API_TOKEN, or run npx wrangler login.', tail(who.output, 10));
  }
  if (!/^\s*database_id\s*=\s*"[0-9a-f-]{36}"/m.test(fs.readFileSync(path.join(ROOT, 'wrangler.toml'), 'utf8'))) {
    throw new Sentence('wrangler.toml names no database: run npx wrangler d1 create errand and put its database_id there.');
  }
  const listed = await wrangler(['secret', 'list'], { check: false });
  const unset = (name) => !listed.output.includes(`"${name}"`);
  const missing = [...SECRETS, ...(SIGN_IN.some((pair) => !pair.some(unset)) ? [] : SIGN_IN[0])].filter(unset);
  if (missing.length > 0) {
    throw new Sentence(`Secrets are missing: ${missing.join(', ')}. Set each with npx wrangler secret put NAME.`);
  }
}

main().catch((error) => {
  report(error);
  process.exitCode = 1;
});
