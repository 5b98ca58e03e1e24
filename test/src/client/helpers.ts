import { loadSync, type PackageDefinition } from '@grpc/proto-loader';
import { protoDirectory } from '../../../src/package-root.ts';
import type { FakeCluster } from './fake-cluster.ts';

/** What a generated stub reads and writes, with numbers of 64 bits as text. */
export function loadProto(...names: readonly string[]): PackageDefinition {
  return loadSync(
    names.map((name) => `holdfast/v1/${name}.proto`),
    {
      includeDirs: [protoDirectory()],
      keepCase: true,
      longs: String,
      enums: String,
      defaults: true,
      oneofs: true,
    },
  );
}

export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** So many turns of the event loop. */
export async function later(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** Answers wait until the returned function is called. */
export function holdAnswers(cluster: FakeCluster): () => void {
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  cluster.hold = () => gate;
  return () => {
    cluster.hold = undefined;
    release();
  };
}
