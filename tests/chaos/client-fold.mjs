/** The web client's own fold of frames (client/src/features/session), bundled for Node: what a page would show. */
import path from 'node:path';

import { build } from 'esbuild';

import { ROOT } from '../../scripts/lib/paths.mjs';

const SOURCE = path.join(ROOT, 'client', 'src');
const ENTRY = `
  export { INITIAL, prepend, reduce } from '@/features/session/reducer';
  export { foldEvents } from '@/features/session/fold';
  export { EMPTY } from '@/features/session/draft';
`;

const { outputFiles } = await build({
  stdin: { contents: ENTRY, resolveDir: SOURCE, loader: 'ts' },
  alias: { '@': SOURCE },
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'neutral',
  logLevel: 'error',
});
const url = `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`;

export const { INITIAL, prepend, reduce, foldEvents, EMPTY } = await import(url);

/** A fold as the API's transcript writes it: the agent's messages in order of appearance, `[{id, parts}]`. */
export function messagesOf(fold) {
  return fold.blocks
    .filter((block) => block.kind === 'turn')
    .flatMap(({ turn }) => turn.items.filter((item) => item.kind === 'message').map(({ message }) => ({ id: message.id, parts: message.parts })));
}
