/** Imported first by every command: refuses a Node that the rest of the scripts do not know. */
const major = Number(process.versions.node.split('.')[0]);
if (major < 20) {
  process.stderr.write(`errand: Node 20 or newer is needed; this is Node ${process.versions.node}.\n`);
  process.exit(1);
}
