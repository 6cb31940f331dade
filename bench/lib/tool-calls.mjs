/** A history as an agent makes one: tool calls, said by a stand-in runner, each with a page of output. */

/** Events that may be on their way to the log at once. */
const IN_FLIGHT = 200;
const TOOL_OUTPUT = 'src/lib.rs:42: a line of what a tool prints, as long as such lines are\n'.repeat(12);

/** Tool calls until the log has `wanted` events: each begins, moves on, and ends with a page of output. */
export async function toolCalls(session, wanted) {
  const { runner } = session;
  const start = performance.now();
  const first = runner.rseq;
  for (let i = 0; runner.rseq - first < wanted; i += 1) {
    if (i % 20 === 0) nextMessage(session, i);
    toolCall(session, i);
    await runner.stored(IN_FLIGHT);
  }
  await runner.stored();
  const perSecond = (runner.rseq - first) / ((performance.now() - start) / 1000);
  return { events: runner.rseq - first, perSecond };
}

function nextMessage(session, i) {
  const { runner } = session;
  const { turnId } = runner;
  runner.event({ kind: 'message.finished', turnId, messageId: session.messageId });
  session.messageId = `msg_bench${i}`;
  runner.event({ kind: 'message.started', turnId, messageId: session.messageId });
}

function toolCall({ runner, messageId }, i) {
  const startedAt = new Date().toISOString();
  const part = (more) => ({
    id: `prt_tool${i}`, index: i % 20, startedAt, type: 'tool', tool: 'bash', callId: `call_${i}`,
    input: { command: `cargo test -p crate-${i}`, description: 'Runs the tests of one crate' }, ...more,
  });
  const send = (kind, more) => runner.event({ kind, turnId: runner.turnId, messageId, part: part(more) });
  send('part.started', { status: 'running' });
  send('part.finished', { status: 'completed', title: 'Runs tests', output: TOOL_OUTPUT, endedAt: new Date().toISOString() });
}
