/** Real engines beside the load: sessions of a whole installation of its own, each working on one prompt after another. */
import { Api } from './api.mjs';
import { Following } from './following.mjs';
import { startInstallation } from './installation.mjs';
import { processWith, rssBytes } from './proc.mjs';

const PROMPT = 'Say in one sentence what this repository is.';
const MEGABYTE = 2 ** 20;

export class Engines {
  /** Starts `count` sessions; resolves when each has finished its first turn. */
  static async start(count, options, out) {
    out.progress(`load: ${count} real engines`);
    const engines = new Engines(await startInstallation(options));
    try {
      engines.api = await Api.signIn(engines.installation.url);
      engines.sessions = await Promise.all(Array.from({ length: count }, () => engines.session()));
      engines.working = Promise.all(engines.sessions.map((session) => engines.keepWorking(session)));
      engines.working.catch((error) => {
        engines.failure = error;
      });
      return engines;
    } catch (error) {
      await engines.stop();
      throw error;
    }
  }

  constructor(installation) {
    this.installation = installation;
    this.turns = 0;
    this.stopping = false;
  }

  async session() {
    const repo = { url: this.installation.sample };
    const { id } = await this.api.json('POST', '/api/sessions', { repo, prompt: PROMPT });
    const viewer = new Following(this.api, id);
    await viewer.turnEnd();
    return { id, viewer };
  }

  async keepWorking({ id, viewer }) {
    while (!this.stopping) {
      const end = viewer.turnEnd();
      await Promise.race([end, this.api.json('POST', `/api/sessions/${id}/prompts`, { text: PROMPT })]);
      await end;
      this.turns += 1;
    }
  }

  /** `load_engines_*`. */
  async figures(out) {
    if (this.failure) throw this.failure;
    const { hostPid } = this.installation;
    const count = this.sessions.length;
    const note = `${count} real engines beside the load`;
    out.figure('load_engines_turns', this.turns, 'turns', count, `finished meanwhile; ${note}`);
    out.figure('load_engines_host_rss', rssBytes(hostPid) / MEGABYTE, 'MB', 1, note);
    const runners = this.sessions.map(({ id }) => rssBytes(processWith('errand-runner', `ERRAND_SESSION=${id}`)) / MEGABYTE);
    out.figure('load_engines_runner_rss', Math.max(...runners), 'MB', runners.length, `the largest runner; ${note}`);
  }

  async stop() {
    this.stopping = true;
    await this.working?.catch(() => {});
    for (const { viewer } of this.sessions ?? []) viewer.close();
    this.api?.close();
    await this.installation.stop();
  }
}
