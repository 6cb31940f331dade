/**
 * Who may do what, as a table: one row per route of `src/http/router.rs` and of `src/session_agent/routes.rs`, with what it
 * takes. `matrix.test.mjs` tries each row as every caller, and fails when a route exists that is not here or the reverse.
 *
 * To add a route: add a row `[method, route, what it takes, scope of API keys, more]`. Segments in braces are filled from
 * `more.ids` (else with an id that nothing has; `new group` is one made for each try); `more.keysOf` says whose keys are tried; `more.body` is a body that is well formed, so that the policy is what
 * answers. What a route takes is one of [`CELLS`].
 */

/** Every caller, in the order of the cells below. `looker` and `helper` came by share links: to look, to work. */
export const CALLERS = [
  'anonymous', 'stranger', 'viewer', 'member', 'admin', 'chief', 'maker', 'looker', 'helper', 'scoped', 'unscoped', 'elsewhere', 'sandbox',
];

const cells = (text) => Object.fromEntries(CALLERS.map((name, n) => {
  const cell = text.trim().split(/\s+/)[n];
  return [name, /^\d+$/.test(cell) ? Number(cell) : cell];
}));

/**
 * What each kind of route answers: `ok`, or the status of the refusal. Sessions are the maker's, shared by link. Keys are the
 * chief's, for sessions the maker's: `scoped` has only the scope of the row, `unscoped` all but that, `elsewhere` all of
 * them and is good for another repository.
 */
export const CELLS = {
  //                  anon stranger viewer member admin chief maker looker helper scoped unscoped elsewhere sandbox
  // Of one session.
  read: cells('       401  404      404    404    ok    ok    ok    ok     ok     ok     403      404       401'),
  work: cells('       401  404      404    404    403   403   ok    403    ok     ok     403      404       401'),
  oversee: cells('    401  404      404    404    ok    ok    ok    403    403    ok     403      404       401'),
  own: cells('        401  404      404    404    403   403   ok    403    403    ok     403      404       401'),
  answers: cells('    401  404      404    404    ok    ok    403   403    403    ok     403      404       401'),
  join: cells('       401  404      ok     ok     ok    ok    ok    ok     ok     404    404      404       401'),
  // Of an org: a stranger may do it in their own.
  everybody: cells('  401  ok       ok     ok     ok    ok    ok    ok     ok     ok     ok       ok        401'),
  person: cells('     401  ok       ok     ok     ok    ok    ok    ok     ok     403    403      403       401'),
  looks: cells('      401  ok       ok     ok     ok    ok    ok    ok     ok     ok     403      403       401'),
  lists: cells('      401  ok       ok     ok     ok    ok    ok    ok     ok     ok     403      ok        401'),
  works: cells('      401  ok       403    ok     ok    ok    ok    ok     ok     ok     403      403       401'),
  worksInPerson: cells('401 ok      403    ok     ok    ok    ok    ok     ok     403    403      403       401'),
  keepsSecrets: cells(' 401 ok      403    ok     ok    ok    ok    ok     ok     403    403      403       401'),
  administers: cells('401  ok       403    403    ok    ok    403   403    403    ok     403      403       401'),
  makesOrgs: cells('  401  ok       403    403    ok    ok    403   403    403    403    403     403      401'),
  // Of a group of the org to which only the looker (as a member) and the helper (as its admin) belong.
  inGroup: cells('    401  404      404    404    ok    ok    404   ok     ok     ok     403      403       401'),
  leadsGroup: cells(' 401  404      404    404    ok    ok    404   403    ok     ok     403      403       401'),
  ownGroup: cells('   401  404      403    403    ok    ok    403   403    403    ok     403      403       401'),
  // Of nobody in particular, and of sandboxes.
  public: cells('     ok   ok       ok     ok     ok    ok    ok    ok     ok     ok     ok       ok        ok'),
  sandbox: cells('    401  401      401    401    401   401   401   401    401    401    401      401       ok'),
};

const BUDGET = { dimension: 'org', period: 'month', limit: 1_000_000_000 };
const GROUP = { ids: { id: 'group' } };
const MADE = (body) => ({ body, ids: { id: 'session' } });
const SECRET = { body: { value: 'some value' }, ids: { name: 'NAME' } };
const SANDBOX = { ids: { id: 'session' } };

export const ROUTES = [
  ['GET', '/health', 'public'],
  ['GET', '/api/config', 'public'],
  ['POST', '/auth/dev', 'public', null, { body: { login: 'somebody' } }],
  // Ending one's sign-in would end the caller's: those who have none.
  ['POST', '/auth/logout', 'public', null, { only: ['anonymous', 'scoped', 'unscoped', 'elsewhere', 'sandbox'] }],
  ['GET', '/auth/github', 'public'],
  ['GET', '/auth/github/callback', 'public'],
  ['GET', '/auth/google', 'public'],
  ['GET', '/auth/google/callback', 'public'],

  ['GET', '/api/auth/me', 'everybody'],
  ['GET', '/api/auth/sign-ins', 'person'],
  ['DELETE', '/api/auth/sign-ins', 'person', null, { fresh: true }],
  ['DELETE', '/api/auth/sign-ins/{id}', 'person', null, { ids: { id: 'sgn_nowhere' } }],
  ['POST', '/api/auth/org', 'person', null, { body: { org: 'org_nowhere' } }],
  ['POST', '/api/auth/invitations', 'person', null, { body: { code: 'x' } }],
  ['GET', '/api/orgs', 'person'],
  ['POST', '/api/orgs', 'makesOrgs', null, { body: { name: 'Another' } }],

  ['GET', '/api/keys', 'works', 'keys:read'],
  ['GET', '/api/keys?all=true', 'administers', 'admin:write'],
  ['POST', '/api/keys', 'works', 'keys:write', { body: { name: 'k', scopes: ['keys:write'] } }],
  // The maker's keys: those of an admin may revoke everybody's with `admin:write` too.
  ['DELETE', '/api/keys/{id}', 'works', 'keys:write', { ids: { id: 'key_nowhere' }, keysOf: 'maker' }],

  ['GET', '/api/groups', 'looks', 'admin:read'],
  ['POST', '/api/groups', 'administers', 'admin:write', { body: { name: 'Another' } }],
  ['GET', '/api/groups/{id}', 'inGroup', 'admin:read', GROUP],
  ['PUT', '/api/groups/{id}/members/{user}', 'leadsGroup', 'admin:write', { ...GROUP, body: { role: 'member' } }],
  ['DELETE', '/api/groups/{id}/members/{user}', 'leadsGroup', 'admin:write', GROUP],
  ['PATCH', '/api/groups/{id}', 'ownGroup', 'admin:write', { ...GROUP, body: { name: 'Renamed' } }],
  ['DELETE', '/api/groups/{id}', 'ownGroup', 'admin:write', { ids: { id: 'new group' } }],

  ['PATCH', '/api/admin/org', 'administers', 'admin:write', { body: { name: 'Renamed' } }],
  ['GET', '/api/admin/members', 'administers', 'admin:read'],
  ['PATCH', '/api/admin/members/{id}', 'administers', 'admin:write', { body: { role: 'viewer' } }],
  ['DELETE', '/api/admin/members/{id}', 'administers', 'admin:write'],
  ['GET', '/api/admin/invitations', 'administers', 'admin:read'],
  ['POST', '/api/admin/invitations', 'administers', 'admin:write', { body: { role: 'viewer' } }],
  ['DELETE', '/api/admin/invitations/{id}', 'administers', 'admin:write', { ids: { id: 'inv_nowhere' } }],
  ['GET', '/api/admin/settings', 'administers', 'admin:read'],
  ['PUT', '/api/admin/settings', 'administers', 'admin:write', { body: {} }],
  ['GET', '/api/admin/settings/groups/{id}', 'ownGroup', 'admin:read', GROUP],
  ['PUT', '/api/admin/settings/groups/{id}', 'ownGroup', 'admin:write', { ...GROUP, body: {} }],
  ['GET', '/api/admin/settings/users/{id}', 'administers', 'admin:read'],
  ['PUT', '/api/admin/settings/users/{id}', 'administers', 'admin:write', { body: {} }],
  ['GET', '/api/admin/audit', 'administers', 'admin:read'],

  ['GET', '/api/secrets', 'worksInPerson'],
  ['PUT', '/api/secrets/{name}', 'worksInPerson', null, SECRET],
  ['DELETE', '/api/secrets/{name}', 'worksInPerson', null, { ids: SECRET.ids }],
  ['GET', '/api/admin/secrets', 'administers', 'admin:write'],
  ['PUT', '/api/admin/secrets/{name}', 'administers', 'admin:write', SECRET],
  ['DELETE', '/api/admin/secrets/{name}', 'administers', 'admin:write', { ids: SECRET.ids }],
  ['GET', '/api/admin/repositories', 'administers', 'admin:read'],
  ['PUT', '/api/admin/repositories', 'administers', 'admin:write', { body: { url: '/srv/policy' } }],

  ['GET', '/api/repos', 'lists', 'sessions:read'],
  ['GET', '/api/events', 'looks', 'sessions:read'],
  ['GET', '/api/events/ws', 'looks', 'sessions:read'],
  ['GET', '/api/sessions', 'lists', 'sessions:read'],
  ['POST', '/api/sessions', 'works', 'sessions:write', { body: {} }],
  ['GET', '/api/models', 'lists', 'sessions:read'],
  ['GET', '/api/model-keys', 'keepsSecrets', null],
  ['PUT', '/api/model-keys/{provider}', 'keepsSecrets', null, { body: { key: 'sk-not-a-real-key' } }],
  ['DELETE', '/api/model-keys/{provider}', 'keepsSecrets', null],
  ['GET', '/api/admin/model-keys', 'administers', 'admin:read'],
  ['PUT', '/api/admin/model-keys/{provider}', 'administers', 'admin:write', { body: { key: 'sk-not-a-real-key' } }],
  ['DELETE', '/api/admin/model-keys/{provider}', 'administers', 'admin:write'],
  ['GET', '/api/usage/estimate', 'works', 'sessions:write'],
  ['GET', '/api/usage', 'looks', 'sessions:read'],
  ['GET', '/api/usage/history', 'looks', 'sessions:read'],
  ['GET', '/api/usage/history?dimension=org', 'administers', null],
  ['GET', '/api/admin/budgets', 'administers', 'admin:read'],
  ['POST', '/api/admin/budgets', 'administers', 'admin:write', { body: BUDGET }],
  ['PATCH', '/api/admin/budgets/{id}', 'administers', 'admin:write', { ids: { id: 'bdg_nowhere' }, body: { limit: 1 } }],
  ['DELETE', '/api/admin/budgets/{id}', 'administers', 'admin:write', { ids: { id: 'bdg_nowhere' } }],
  ['GET', '/api/admin/git-credentials', 'administers', 'admin:write'],
  ['PUT', '/api/admin/git-credentials/{host}', 'administers', 'admin:write', { ids: { host: 'github.com' }, body: { secret: 'x' } }],
  ['DELETE', '/api/admin/git-credentials/{host}', 'administers', 'admin:write', { ids: { host: 'github.com' } }],
  ['GET', '/api/admin/prices', 'administers', 'admin:read'],
  ['PUT', '/api/admin/prices', 'administers', 'admin:write', { body: { prices: [] } }],

  ['GET', '/api/sessions/{id}', 'read', 'sessions:read', MADE()],
  ['GET', '/api/sessions/{id}/ws', 'read', 'sessions:read', MADE()],
  ['GET', '/api/sessions/{id}/events', 'read', 'sessions:read', MADE()],
  ['GET', '/api/sessions/{id}/transcript', 'read', 'sessions:read', MADE()],
  ['GET', '/api/sessions/{id}/usage', 'read', 'sessions:read', MADE()],
  ['GET', '/api/sessions/{id}/startup', 'read', 'sessions:read', MADE()],
  ['GET', '/api/sessions/{id}/shares', 'oversee', 'sessions:write', MADE()],
  ['GET', '/api/sessions/{id}/snapshot', 'work', 'sessions:read', MADE()],
  ['POST', '/api/sessions/{id}/prompts', 'work', 'prompts:write', MADE({ text: 'hello' })],
  ['PATCH', '/api/sessions/{id}/prompts/{id}', 'work', 'prompts:write', MADE({ text: 'x' })],
  ['DELETE', '/api/sessions/{id}/prompts/{id}', 'work', 'prompts:write', MADE()],
  ['POST', '/api/sessions/{id}/interactions/{id}', 'work', 'prompts:write', MADE({ answer: {} })],
  ['POST', '/api/sessions/{id}/abort', 'work', 'prompts:write', MADE()],
  ['POST', '/api/sessions/{id}/retry', 'work', 'prompts:write', MADE()],
  ['POST', '/api/sessions/{id}/pause', 'work', 'prompts:write', MADE()],
  ['POST', '/api/sessions/{id}/resume', 'work', 'prompts:write', MADE()],
  ['POST', '/api/sessions/{id}/fork', 'work', 'sessions:write', MADE({})],
  ['PATCH', '/api/sessions/{id}', 'oversee', 'sessions:write', MADE({ title: 'Other' })],
  ['POST', '/api/sessions/{id}/archive', 'oversee', 'sessions:write', MADE()],
  ['POST', '/api/sessions/{id}/restore', 'oversee', 'sessions:write', MADE()],
  ['POST', '/api/sessions/{id}/egress/allow', 'answers', 'admin:write', MADE({ host: 'a.example' })],
  ['POST', '/api/sessions/{id}/shares', 'own', 'sessions:write', MADE({ role: 'viewer' })],
  ['DELETE', '/api/sessions/{id}/shares/{id}', 'oversee', 'sessions:write', MADE()],
  ['POST', '/api/sessions/{id}/join', 'join', null, { body: { code: 'code' }, ids: { id: 'open' } }],

  ['GET', '/runner/{id}', 'sandbox', null, SANDBOX],
  ['GET', '/runner/{id}/snapshots/{snapshot}', 'sandbox', null, SANDBOX],
  ['PUT', '/runner/{id}/snapshots/{snapshot}', 'sandbox', null, { ...SANDBOX, body: { a: 'snapshot' } }],
  ['ANY', '/git/{host}/{*path}', 'sandbox', null, { path: '/git/github.com/acme/app.git/info/refs?service=git-upload-pack', method: 'POST' }],
  ['GET', '/runner/{id}/environment', 'sandbox', null, SANDBOX],
  ['ANY', '/llm/{provider}/{*path}', 'sandbox', null, { path: '/llm/demo/v1/chat/completions', method: 'POST', body: { model: 'scripted', messages: [] } }],

  // Last: it ends the session of the rows before.
  ['DELETE', '/api/sessions/{id}', 'oversee', 'sessions:write', MADE()],
];

/** The routes of the router's source; those beneath a session stand in the object's own table. */
export function routesOf(router, agent) {
  const routes = [];
  const pieces = router.split('.route(').slice(1).map((piece) => piece.split('.fallback(')[0]);
  for (const piece of pieces) {
    const route = piece.match(/"([^"]+)"/)[1];
    for (const [, method] of piece.slice(piece.indexOf(route) + route.length).matchAll(/\b(get|post|put|patch|delete|any)\(/g)) {
      if (method === 'any' && route.startsWith('/api/sessions/')) continue;
      routes.push(`${method.toUpperCase()} ${route}`);
    }
  }
  for (const [, method, pattern] of agent.matchAll(/\(Method::(\w+), \[([^\]]*)\]\)\s*=>/g)) {
    const segments = pattern.split(',').map((part) => part.trim()).filter(Boolean);
    let paths = [''];
    for (const segment of segments) {
      const names = segment.startsWith('"') ? segment.split('|').map((name) => name.trim().replaceAll('"', '')) : ['{id}'];
      paths = paths.flatMap((path) => names.map((name) => `${path}/${name}`));
    }
    for (const path of paths) routes.push(`${method.toUpperCase()} /api/sessions/{id}${path}`);
  }
  return [...new Set(routes)].sort();
}
