/** The REST API as a script uses it: keep-alive connections, a bearer token, JSON. */
import http from 'node:http';

/** A signed-in user of the Worker at `url`. */
export class Api {
  static async signIn(url, login = 'bench') {
    const api = new Api(url, null);
    const { token } = await api.json('POST', '/auth/dev', { login });
    api.token = token;
    return api;
  }

  constructor(url, token) {
    this.url = url;
    this.token = token;
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
  }

  /** The answer's body as a Buffer; anything but 2xx is an error. */
  request(method, path, body) {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      ...(this.token && { authorization: `Bearer ${this.token}` }),
      ...(payload && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
    };
    return new Promise((resolve, reject) => {
      const request = http.request(`${this.url}${path}`, { method, headers, agent: this.agent }, (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk)).on('error', reject);
        response.on('end', () => {
          const whole = Buffer.concat(chunks);
          if (response.statusCode < 300) resolve(whole);
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${whole.toString().slice(0, 300)}`));
        });
      });
      request.on('error', reject).end(payload);
    });
  }

  /** The answer as JSON. */
  async json(method, path, body) {
    return JSON.parse(await this.request(method, path, body));
  }

  /** Address of a session's viewer socket. */
  socketUrl(session) {
    return `${this.url.replace('http', 'ws')}/api/sessions/${session}/ws`;
  }

  close() {
    this.agent.destroy();
  }
}
