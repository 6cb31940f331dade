/**
 * The runner's protocol (crates/protocol/src/runner.rs), spoken without an engine: what the bench says happened in the
 * sandbox goes to the SessionAgent in the frames that a runner would send. Keeps no spool: a lost connection fails the
 * measure.
 */
import { EventEmitter, once } from 'node:events';

import WebSocket from 'ws';

const PROTOCOL = 1;

export class StandInRunner extends EventEmitter {
  /** Dials with a sandbox's environment, becomes ready and waits for the turn of the session's first prompt. */
  static async start(env) {
    const runner = new StandInRunner(env);
    await once(runner.socket, 'open');
    const turn = once(runner, 'run');
    runner.send({
      type: 'hello', protocol: PROTOCOL, generation: Number(env.ERRAND_GENERATION), spoolId: 'spl_bench',
      lastRseq: 0, ready: false, version: 'bench',
    });
    await once(runner, 'welcome');
    runner.event({ kind: 'ready', engine: 'bench' });
    const [{ turnId }] = await turn;
    runner.turnId = turnId;
    runner.event({ kind: 'turn.accepted', turnId });
    return runner;
  }

  constructor(env) {
    super();
    this.rseq = 0;
    this.acked = 0;
    /** How often the agent found a gap; not once, when all is well. */
    this.resends = 0;
    this.socket = new WebSocket(`${env.ERRAND_URL}/runner/${env.ERRAND_SESSION}`, {
      headers: { authorization: `Bearer ${env.ERRAND_TOKEN}` },
      perMessageDeflate: false,
    });
    this.socket.on('message', (data) => this.received(JSON.parse(data)));
    this.socket.on('error', (error) => this.lost(error.message));
    this.socket.on('close', (code, reason) => this.lost(`${code} ${reason}`));
  }

  received(frame) {
    if (frame.type === 'ack') this.acked = frame.rseq;
    else if (frame.type === 'resend') this.resends += 1;
    this.emit(frame.type, frame);
    this.emit('frame');
  }

  lost(why) {
    if (!this.closing) this.failure = new Error(`the runner's connection was lost: ${why}`);
    this.emit('frame');
  }

  send(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  /** What must not be lost. */
  event(body) {
    this.rseq += 1;
    this.send({ type: 'event', rseq: this.rseq, at: new Date().toISOString(), body });
  }

  /** Until all but `within` events are stored. */
  async stored(within = 0) {
    while (this.rseq - this.acked > within) {
      if (this.failure) throw this.failure;
      await once(this, 'frame');
    }
  }

  async stop() {
    this.closing = true;
    const closed = once(this.socket, 'close');
    this.socket.close();
    await closed;
  }
}
