/** Names of secrets, as the API takes them (crates/protocol, repository.rs). Pure. */

/** What is wrong with a name; the server knows some more that are taken. */
export function secretProblem(name: string): string | undefined {
  if (!/^[A-Z_][A-Z0-9_]*$/.test(name)) return "Use A–Z, 0–9 and _, not beginning with a digit.";
  return /^(PATH|HOME|SHELL|_|(LD|GIT|ERRAND|OPENCODE)_.*|(HTTPS?|FTP|ALL|NO)_PROXY|SSL_CERT_(FILE|DIR)|NODE_OPTIONS|JAVA_TOOL_OPTIONS)$/.test(name) ? "Programs in the sandbox go by this name already." : undefined;
}
