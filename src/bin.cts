#!/usr/bin/env node
/**
 * The launcher. libuv reads the size of its thread pool once, at first use, so it is set before
 * anything else is loaded. Commit log, state store and reads share the pool; with Node's default
 * of 4 a few slow reads would hold up the one write everybody waits for.
 */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  process.stderr.write(`holdfast: needs Node 20.19 or newer, this is ${process.versions.node}\n`);
  process.exitCode = 1;
} else {
  process.env.UV_THREADPOOL_SIZE ??= '16';
  void import('./main.ts');
}
