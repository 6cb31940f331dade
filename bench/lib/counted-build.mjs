/**
 * A copy of the built Worker whose SessionAgent counts how often the platform calls it, to see what wakes one. The
 * counts are at `GET /api/bench-calls`. Only for measures of wake-ups: everything else runs the build as it is.
 */
import fs from 'node:fs';
import path from 'node:path';

import { ROOT } from '../../scripts/lib/paths.mjs';
import { freshHome } from './processes.mjs';

const CALLS = ['fetch', 'alarm', 'webSocketMessage', 'webSocketClose', 'webSocketError'];

/** The directory of the copy. */
export function countedBuild(buildDir = path.join(ROOT, 'build')) {
  const dir = freshHome('counted');
  for (const name of fs.readdirSync(buildDir).filter((name) => name.endsWith('.wasm'))) {
    fs.copyFileSync(path.join(buildDir, name), path.join(dir, name));
  }
  fs.writeFileSync(path.join(dir, 'index.js'), counted(fs.readFileSync(path.join(buildDir, 'index.js'), 'utf8')));
  return dir;
}

function counted(source) {
  const clause = /export\s*\{([^{}]*)\}\s*;?\s*$/.exec(source);
  if (!clause) throw new Error('the built Worker ends with no export clause');
  const local = new Map(
    clause[1].split(',').map((one) => {
      const [name, as] = one.trim().split(/\s+as\s+/);
      return [as ?? name, name];
    }),
  );
  const [agent, entry] = [local.get('SessionAgent'), local.get('default')];
  if (!agent || !entry) throw new Error('the built Worker exports no SessionAgent, or no default');
  const kept = [...local].filter(([as]) => as !== 'SessionAgent' && as !== 'default');
  const methods = CALLS.map((call) => `${call}(...all) { benchCalls.${call} += 1; return this.inner.${call}(...all); }`);
  return `${source.slice(0, clause.index)}
const benchCalls = { constructor: 0, ${CALLS.map((call) => `${call}: 0`).join(', ')} };
class BenchAgent {
  constructor(state, env) { benchCalls.constructor += 1; this.inner = new ${agent}(state, env); }
  ${methods.join('\n  ')}
}
class BenchEntry extends ${entry} {
  fetch(request) {
    if (new URL(request.url).pathname === '/api/bench-calls') return Response.json(benchCalls);
    return super.fetch(request);
  }
}
export { ${kept.map(([as, name]) => `${name} as ${as}`).join(', ')}${kept.length > 0 ? ', ' : ''}BenchAgent as SessionAgent, BenchEntry as default };
`;
}
