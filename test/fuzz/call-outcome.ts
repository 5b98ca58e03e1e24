/** What a call may end with: an answer, an error of ours, or the caller's own doing. */
import { type ServiceError, status } from '@grpc/grpc-js';

export type Outcome = 'taken' | 'refused' | 'ended by the caller';

/** Throws for what no request may bring about. */
export function outcomeOf(path: string, request: Buffer, error: ServiceError | null): Outcome {
  if (error === null) return 'taken';
  const asked = `${path} ${request.toString('hex')}`;
  const reason = error.metadata?.get('holdfast-reason')[0]?.toString();
  if (reason === undefined) {
    const { code, details } = error;
    if (code === status.CANCELLED || code === status.DEADLINE_EXCEEDED) {
      return 'ended by the caller';
    }
    throw new Error(`${asked}: an error without a reason: ${code} ${details}`);
  }
  if (reason === 'INTERNAL') throw new Error(`${asked}: a bug: ${error.details}`);
  return 'refused';
}
