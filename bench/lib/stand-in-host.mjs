/**
 * The sandbox contract, played: every sandbox that the Worker asks for "runs" at once, and whoever waits for its
 * session gets the environment that a runner would have had. Starts no process; does not check signatures.
 */
import http from 'node:http';

export class StandInHost {
  static async start() {
    const host = new StandInHost();
    await new Promise((resolve) => host.server.listen(0, '127.0.0.1', resolve));
    host.url = `http://127.0.0.1:${host.server.address().port}`;
    return host;
  }

  constructor() {
    this.sandboxes = new Map();
    this.waiting = new Map();
    this.server = http.createServer((request, response) => this.serve(request, response));
  }

  /** The environment of the session's sandbox, once it was asked for. */
  environment(session) {
    return new Promise((resolve) => {
      const known = [...this.sandboxes.values()].find((sandbox) => sandbox.env.ERRAND_SESSION === session);
      if (known) resolve(known.env);
      else this.waiting.set(session, resolve);
    });
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async serve(request, response) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const [status, body] = this.answer(request.method, request.url, Buffer.concat(chunks));
    response.writeHead(status, { 'content-type': 'application/json' }).end(body && JSON.stringify(body));
  }

  answer(method, url, body) {
    if (url === '/v1/health') {
      const limits = { version: 'bench', isolation: 'none', limits: [], running: this.sandboxes.size, capacity: 1000 };
      return [200, limits];
    }
    const [, name, action] = /^\/v1\/sandboxes\/([^/?]+)\/?(\w*)$/.exec(url) ?? [];
    if (!name) return [404, { error: { kind: 'invalidSpec', message: `no such call: ${method} ${url}` } }];
    if (method === 'PUT') return [202, this.made(name, JSON.parse(body))];
    if (method === 'GET') return [200, this.status(name)];
    this.sandboxes.delete(name);
    return action === 'suspend' ? [200, this.status(name)] : [204, undefined];
  }

  made(name, spec) {
    if (!this.sandboxes.has(name)) {
      this.sandboxes.set(name, { env: spec.env, labels: spec.labels, createdAt: new Date().toISOString() });
      this.waiting.get(spec.env.ERRAND_SESSION)?.(spec.env);
    }
    return this.status(name);
  }

  status(name) {
    const sandbox = this.sandboxes.get(name);
    if (!sandbox) return { name, state: 'gone', labels: {} };
    return { name, state: 'running', createdAt: sandbox.createdAt, isolation: 'none', labels: sandbox.labels };
  }
}
