// Ends with 0 when the node's HTTP port answers with 200: the image has no curl.
const TIMEOUT_MS = 4000;
const [path = '/healthz', port = '7600'] = process.argv.slice(2);

try {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const { ok, status } = await fetch(`http://127.0.0.1:${port}${path}`, { signal });
  if (!ok) console.log(`${path} answers ${status}`);
  process.exitCode = ok ? 0 : 1;
} catch (error) {
  console.log(`${path}: ${error.message}`);
  process.exitCode = 1;
}
