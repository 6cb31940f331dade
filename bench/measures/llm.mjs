/** What the LLM proxy adds to a model's answer: time to the first byte and to the last, and memory while it streams. */
import http from 'node:http';

import { Api } from '../lib/api.mjs';
import { rssBytes } from '../lib/proc.mjs';
import { removeHome, startBare, startErrand } from '../lib/processes.mjs';
import { StandInHost } from '../lib/stand-in-host.mjs';
import { percentile } from '../lib/stats.mjs';

/** An agent's request in the middle of its work: 40 KB of conversation. */
const REQUEST = JSON.stringify({ model: 'm', stream: true, max_tokens: 1000, messages: [{ role: 'user', content: 'word '.repeat(8_000) }] });
const CHUNK = `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: 'some twenty to forty letters' } }] })}\n\n`;
const LAST = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 8_000, completion_tokens: 200 } })}\n\ndata: [DONE]\n\n`;
const LONG_MB = 64;

/** `llm_first_byte_*`, `llm_answer_*`, `llm_rss_growth`; `*_bare_*` is what the least proxy adds. */
export async function llm({ out, options }) {
  const [host, model] = [await StandInHost.start(), await startModel()];
  const configured = { provider: 'bench', model: 'm', name: 'M', demo: true, dialect: 'openai', baseUrl: `${model.url}/v1` };
  const worker = await startErrand({ hostUrl: host.url, buildDir: options.buildDir, vars: { MODELS: JSON.stringify([configured]) } });
  const bare = await startBare();
  const api = await Api.signIn(worker.url);
  const agent = new http.Agent({ keepAlive: true });
  try {
    const { id } = await api.json('POST', '/api/sessions', { prompt: 'work' });
    const { ERRAND_TOKEN: token } = await host.environment(id);
    const through = { url: `${worker.url}/llm/bench/v1/chat/completions`, agent, token };
    const direct = { url: `${model.url}/v1/chat/completions`, agent, token };
    const least = { url: bare.url, agent, token, headers: { 'x-upstream': direct.url } };
    await compared(out, { through, least, direct }, options.quick ? 20 : 300);
    await long(out, through, worker.workerd, options.quick ? 4 : LONG_MB);
  } finally {
    agent.destroy();
    api.close();
    await worker.stop();
    await bare.stop();
    await host.stop();
    await model.stop();
    removeHome(worker.home);
    removeHome(bare.home);
  }
}

/** Direct, through the proxy and through the least proxy in turn, so that whatever else goes on disturbs all alike. */
async function compared(out, ways, count) {
  const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
  for (let n = 0; n < count + 10; n += 1) {
    for (const [name, way] of Object.entries(ways)) {
      const time = await ask(way);
      if (n >= 10) times[name].push(time);
    }
  }
  const of = (name, part, p) => percentile(times[name].map((time) => time[part]), p);
  const added = (name, part, p) => of(name, part, p) - of('direct', part, p);
  const note = 'through the proxy less direct; 40 KB of request, one after the other';
  for (const [figure, part] of [['llm_first_byte', 'first'], ['llm_answer', 'last']]) {
    for (const p of [50, 99]) out.figure(`${figure}_added_p${p}`, added('through', part, p), 'ms', count, note);
  }
  const least = 'a bare JavaScript Worker that asks two objects, keeps a row and checks nothing';
  out.figure('llm_first_byte_bare_p50', added('least', 'first', 50), 'ms', count, least);
  out.figure('llm_first_byte_vs_bare', added('through', 'first', 50) / added('least', 'first', 50), 'x', count, `the same of ${least}`);
}

async function long(out, way, workerd, megabytes) {
  const before = rssBytes(workerd);
  let most = before;
  const watching = setInterval(() => (most = Math.max(most, rssBytes(workerd))), 20);
  const { bytes } = await ask({ ...way, headers: { 'user-agent': `long/${megabytes}` } });
  clearInterval(watching);
  out.figure('llm_rss_growth', (most - before) / 1e6, 'MB', 1, `at most, while ${Math.round(bytes / 1e6)} MB stream through`);
}

/** Milliseconds to the first and the last byte of the answer's body. */
function ask({ url, agent, token, headers }) {
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const options = { method: 'POST', agent, headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, ...headers } };
    const request = http.request(url, options, (response) => {
      let first;
      let bytes = 0;
      response.on('data', (chunk) => {
        first ??= performance.now() - begun;
        bytes += chunk.length;
      });
      response.on('error', reject).on('end', () => {
        if (response.statusCode === 200) resolve({ first, last: performance.now() - begun, bytes });
        else reject(new Error(`the model call was answered ${response.statusCode}`));
      });
    });
    request.on('error', reject).end(REQUEST);
  });
}

/** A model that answers at once: what is measured is the way. A caller `long/N` gets N megabytes. */
async function startModel() {
  const server = http.createServer((request, response) => {
    request.resume().on('end', async () => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const [, megabytes] = /^long\/(\d+)/.exec(request.headers['user-agent'] ?? '') ?? [];
      const block = CHUNK.repeat(megabytes ? 1_000 : 20);
      for (let sent = 0; sent < Number(megabytes ?? 0) * 1e6; sent += block.length) {
        if (!response.write(block)) await new Promise((resolve) => response.once('drain', resolve));
      }
      response.end(block + LAST);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = () => new Promise((resolve) => server.close(resolve).closeAllConnections());
  return { url: `http://127.0.0.1:${server.address().port}`, stop };
}
