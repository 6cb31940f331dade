/** A session whose turn runs, with a stand-in runner at its other end, ready to stream. */
import { StandInRunner } from './stand-in-runner.mjs';

/** Creates a session with a prompt and brings its runner up; `host` is the [`StandInHost`] that its Worker asks. */
export async function streamingSession({ api, host }) {
  const session = await api.json('POST', '/api/sessions', { prompt: 'Stream, for the bench.' });
  const runner = await StandInRunner.start(await host.environment(session.id));
  const messageId = 'msg_bench';
  runner.event({ kind: 'message.started', turnId: runner.turnId, messageId });
  await runner.stored();
  return { id: session.id, runner, messageId, link: partLink(runner, messageId) };
}

/** How a [`RelayRun`] sends through a runner: text parts of one message. */
function partLink(runner, messageId) {
  const at = () => new Date().toISOString();
  let index = 0;
  let startedAt = at();
  return {
    socket: runner.socket,
    begin(partId) {
      startedAt = at();
      const part = { id: partId, index, startedAt, type: 'text', text: '' };
      runner.event({ kind: 'part.started', turnId: runner.turnId, messageId, part });
    },
    end(partId, text) {
      const part = { id: partId, index, startedAt, endedAt: at(), type: 'text', text };
      runner.event({ kind: 'part.finished', turnId: runner.turnId, messageId, part });
      index += 1;
    },
  };
}

/** How a viewer connects to it. */
export function viewersOf(api, session, count) {
  return { count, url: api.socketUrl(session.id), protocols: ['errand', `bearer.${api.token}`], greeted: true };
}
