/** The whole product with all its real parts, as `npm start` runs them, on free ports and in a fresh home. */
import { freePort, models, secrets } from '../../scripts/lib/config.mjs';
import { demoModelPart, hostPart, stopSandboxesNow } from '../../scripts/lib/parts.mjs';
import { which } from '../../scripts/lib/process.mjs';
import { sampleRepository } from '../../scripts/lib/sample.mjs';
import { opencode } from '../../scripts/lib/tools.mjs';
import { freshHome, removeHome, startErrand } from './processes.mjs';

const PATIENCE_MS = 30_000;

/** Resolves when `/health` is good: `{url, sample, hostPid, stop()}`. */
export async function startInstallation({ buildDir }) {
  const home = freshHome('start');
  const { hostSecret } = secrets(home);
  const [demoPort, hostPort] = [await freePort(), await freePort()];
  const tools = { opencode: await opencode(), ripgrep: which('rg') };
  if (!tools.ripgrep) throw new Error('ripgrep is needed on the PATH');
  const context = { home, demoPort, hostPort, hostSecret, tools };
  const parts = [demoModelPart(context), hostPart(context)];
  const kill = () => {
    for (const part of parts) part.kill();
    stopSandboxesNow(context);
  };
  process.once('exit', kill);
  for (const part of parts) part.start();
  const sample = await sampleRepository(home);
  const vars = {
    SANDBOX_HOST_SECRET: hostSecret,
    MODELS: JSON.stringify(models(`http://127.0.0.1:${demoPort}`, {})),
    SAMPLE_REPO: sample,
  };
  const worker = await startErrand({ home, hostUrl: `http://127.0.0.1:${hostPort}`, vars, buildDir });
  const stop = async () => {
    await worker.stop();
    for (const part of parts) await part.stop();
    process.off('exit', kill);
    removeHome(home);
  };
  try {
    await healthy(worker.url);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: worker.url, sample, hostPid: parts[1].child.pid, stop };
}

async function healthy(url) {
  const until = Date.now() + PATIENCE_MS;
  let last = 'no answer';
  while (Date.now() < until) {
    const answer = await fetch(`${url}/health`).catch((error) => ({ status: 0, text: () => error.message }));
    last = await answer.text();
    if (answer.status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the installation did not become healthy: ${last}`);
}
