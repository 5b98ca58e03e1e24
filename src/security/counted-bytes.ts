/** Calls whose bytes count against a quota: the request of what produces, the answer of a read. */
import type { ByteRate } from './allowance.ts';

const COUNTED: ReadonlyMap<string, ByteRate> = new Map([
  ['/holdfast.v1.Log/Produce', 'producedBytesPerSecond'],
  ['/holdfast.v1.Log/ProduceStream', 'producedBytesPerSecond'],
  ['/holdfast.v1.Transactions/Prepare', 'producedBytesPerSecond'],
  ['/holdfast.v1.Log/Fetch', 'fetchedBytesPerSecond'],
  ['/holdfast.v1.Log/Subscribe', 'fetchedBytesPerSecond'],
  ['/holdfast.v1.Deliveries/Receive', 'fetchedBytesPerSecond'],
  ['/holdfast.v1.Deliveries/ReadDeadLetters', 'fetchedBytesPerSecond'],
]);

/** By gRPC path; undefined = of all others each is a request, and no more. */
export function countedBytes(path: string): ByteRate | undefined {
  return COUNTED.get(path);
}
